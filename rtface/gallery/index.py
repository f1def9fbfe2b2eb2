"""Nearest rows: exact by one matrix product, approximate by a graph (HNSW). Exact is right, and what HNSW is held to.

Rows are unit vectors under integer labels, and distances squared L2, 0..4.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.subspace import MOST_LEFT, Subspace

log = logging.getLogger(__name__)

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
IndexKind = Literal["auto", "exact", "hnsw"]

EXACT_UP_TO = 20_000
"""Rows; above, HNSW. Exact took 1.7 ms at 10,000 x 512 and 30 ms at 100,000, HNSW 1.1 ms (two cores of an EPYC); HNSW's
price is minutes of building and now and then a neighbour missed."""
ALL = -1
"""Threads: one a core."""
BLOCK_ELEMENTS = 8_000_000
"""Distances computed at once: 32 MB."""

GRAPH_LINKS = 16
BUILD_EFFORT = 200
"""M and ef_construction as hnswlib's authors advise for this many dimensions (its ALGO_PARAMS)."""
SEARCH_EFFORT = 128
"""ef of a graph that was not tuned: recall@5 of 0.996 at 100,000 x 512."""
NARROW = 64
"""ef of the first search, see ``HnswIndex.near``."""


class Index(Protocol):
    """Rows to search among."""

    kind: str

    def __len__(self) -> int: ...

    def add(self, labels: Labels, rows: Rows) -> None:
        """Adds (N, D) unit rows under labels (N,) not used before."""

    def remove(self, labels: Labels) -> None:
        """They are never found again."""

    def search(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        """Labels and distances, both (N, min(k, rows)), nearest first; the smaller label first where they are equal."""

    def vectors(self, labels: Labels) -> Rows:
        """(N, D) rows as the index holds them."""


class ExactIndex:
    """Compares with every row."""

    kind = "exact"

    def __init__(self, size: int, *, room: int = 0) -> None:
        """Args: ``size`` is D, ``room`` rows expected."""
        self._labels: Labels = np.empty(room, np.int64)
        self._rows: Rows = np.empty((room, size), np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, labels: Labels, rows: Rows) -> None:
        """See ``Index``. Room grows by doubling, so that adding one by one stays cheap."""
        count = self._count + len(labels)
        if count > len(self._labels):
            room = max(count, 2 * self._count, 64)
            self._labels = np.resize(self._labels[: self._count], room)
            grown = np.empty((room, self._rows.shape[1]), np.float32)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        self._labels[self._count : count] = labels
        self._rows[self._count : count] = rows
        self._count = count

    def remove(self, labels: Labels) -> None:
        """See ``Index``. The rows leave memory too."""
        stay = ~np.isin(self._labels[: self._count], labels)
        self._rows = self._rows[: self._count][stay]
        self._labels = self._labels[: self._count][stay]
        self._count = len(self._labels)

    def search(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        """See ``Index``."""
        k = min(k, self._count)
        labels = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        step = max(1, BLOCK_ELEMENTS // max(self._count, 1))
        for start in range(0, len(queries) if k else 0, step):
            block = slice(start, start + step)
            labels[block], distances[block] = _nearest(
                queries[block], self._rows[: self._count], self._labels[: self._count], k
            )
        return labels, distances

    def vectors(self, labels: Labels) -> Rows:
        """See ``Index``."""
        order = np.argsort(self._labels[: self._count], kind="stable")
        places = order[np.searchsorted(self._labels[: self._count], labels, sorter=order)]
        return np.asarray(self._rows[places])


def _nearest(queries: Rows, rows: Rows, labels: Labels, k: int) -> tuple[Labels, Rows]:
    """Squared L2 of unit rows is 2 - 2 cosine: one matrix product."""
    distances = np.clip(2 - 2 * (queries @ rows.T), 0, 4)
    chosen = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return _ordered(labels[chosen], np.take_along_axis(distances, chosen, axis=1))


def _ordered(labels: Labels, distances: Rows) -> tuple[Labels, Rows]:
    """Nearest first, the smaller label first among equals: the same gallery gives the same answer."""
    order = np.lexsort((labels, distances), axis=1)
    return np.take_along_axis(labels, order, axis=1), np.take_along_axis(distances, order, axis=1)


class HnswIndex:
    """hnswlib's graph: searches in milliseconds among hundreds of thousands, misses a neighbour now and then.

    What a narrow search misses it misses far out: a person whose picture is close by is found at once. So a query is
    searched narrowly first, and widely only if nothing near was found.

    Attributes:
        effort: ``ef``, rows looked at closely in each search; see ``recall.tune``.
        near: squared distance, 0..4; where a search with ``ef`` of ``NARROW`` finds a row no farther than this, its
            answer stands. 0: all searches are wide.
        links: ``M``, neighbours each row is joined to.
        space: the rows lie in it, and the graph holds their places; None: it holds the rows themselves.
        threads: that add rows.
    """

    kind = "hnsw"

    def __init__(
        self,
        size: int,
        *,
        room: int = 0,
        links: int = GRAPH_LINKS,
        space: Subspace | None = None,
        file: Path | None = None,
        removed: Iterable[int] = (),
        threads: int = ALL,
    ) -> None:
        """An empty graph, or one read from a file ``save`` has written.

        Args:
            size: D.
            room: rows expected; more are made room for as they come.
            links: see above; a file has its own.
            space: the same.
            file: an unchanged file: hnswlib may crash the process on a damaged one, so its checksum is the caller's.
            removed: labels that were removed before it was saved.
            threads: see above.

        Raises:
            RuntimeError: hnswlib cannot read the file.
        """
        import hnswlib

        self.effort, self.near, self.space, self.threads = SEARCH_EFFORT, 0.0, space, threads
        self._graph = hnswlib.Index(space="l2", dim=size if space is None else len(space.axes))
        if file is None:
            self._graph.init_index(max_elements=max(room, 1024), M=links, ef_construction=BUILD_EFFORT)
        else:
            self._graph.load_index(str(file))
        self.links = int(self._graph.M)
        self._removed = set(removed)
        self._kept: set[int] = set()

    def __len__(self) -> int:
        return int(self._graph.get_current_count()) - len(self._removed)

    @property
    def removed(self) -> list[int]:
        """Labels of removed rows: never found again, they stay in the graph as places to pass through."""
        return sorted(self._removed)

    @property
    def removed_share(self) -> float:
        """Of all rows of the graph, 0..1."""
        return len(self._removed) / max(1, int(self._graph.get_current_count()))

    def fits(self, rows: Rows) -> bool:
        """Whether (N, D) rows can be added without changing their distances."""
        return self.space is None or not len(rows) or bool(self.space.inside(rows)[1].max() <= MOST_LEFT)

    def add(self, labels: Labels, rows: Rows) -> None:
        """See ``Index``. A removed label can be used again. The rows have to fit."""
        if not len(labels):
            return
        count = int(self._graph.get_current_count()) + len(labels)
        if count > self._graph.get_max_elements():
            self._graph.resize_index(count + count // 2)
        self._graph.add_items(self._places(rows)[0], labels, num_threads=self.threads)
        self._removed.difference_update(labels.tolist())
        self._kept.difference_update(labels.tolist())

    def remove(self, labels: Labels) -> None:
        """See ``Index``. Their vectors are in the graph until ``overwrite_removed``."""
        for label in labels.tolist():
            self._graph.mark_deleted(label)
            self._removed.add(label)
            self._kept.add(label)

    def overwrite_removed(self) -> None:
        """Puts noise in the place of every removed vector, so that none is left in memory or in a file."""
        labels = np.array(sorted(self._kept), np.int64)
        if not len(labels):
            return
        noise = np.random.default_rng().standard_normal((len(labels), self._graph.dim))
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        # hnswlib joins a row that changes to its new neighbours, its old neighbours to each other, and shows it again.
        self._graph.add_items(noise.astype(np.float32), labels, num_threads=1)
        for label in labels.tolist():
            self._graph.mark_deleted(label)
        self._kept.clear()

    def search(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        """See ``Index``."""
        k = min(k, len(self))
        if not k or not len(queries):
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        places, left = self._places(queries)
        in_steps = self.near > 0 and self.effort > NARROW
        try:
            labels, distances = self._search(places, left, k, NARROW if in_steps else self.effort)
            far = np.flatnonzero(distances[:, 0] > self.near)
            if in_steps and len(far):
                labels[far], distances[far] = self._search(places[far], left[far], k, self.effort)
        except RuntimeError:
            # Where many rows are equal or removed the graph can fall apart, and hnswlib finds fewer than k.
            log.debug("the graph gave fewer than %d rows; comparing with every one", k)
            return self._search_all(queries, k)
        return labels, distances

    def _search(self, places: Rows, left: Rows, k: int, effort: int) -> tuple[Labels, Rows]:
        self._graph.set_ef(max(effort, 2 * k))
        labels, distances = self._graph.knn_query(places, k)
        return _ordered(labels.astype(np.int64), np.clip(distances + left[:, None], 0, 4))

    def _search_all(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        labels = self.labels()
        return _nearest(np.asarray(queries, np.float32), self.vectors(labels), labels, k)

    def labels(self) -> Labels:
        """(N,) of all its rows, in no order."""
        labels = np.array(self._graph.get_ids_list(), np.int64)
        return labels[~np.isin(labels, self.removed)] if self._removed else labels

    def vectors(self, labels: Labels) -> Rows:
        """See ``Index``. Those of a graph in a subspace are as near to what was added as ``subspace`` says."""
        if not len(labels):
            return np.empty((0, len(self.space.middle) if self.space else self._graph.dim), np.float32)
        places = np.asarray(self._graph.get_items(labels), np.float32)
        return places if self.space is None else self.space.outside(places)

    def _places(self, rows: Rows) -> tuple[Rows, Rows]:
        """(N, d) what the graph holds of rows, and (N,) what that adds to the squared distance to any row."""
        if self.space is None:
            return np.ascontiguousarray(rows, np.float32), np.zeros(len(rows), np.float32)
        return self.space.inside(rows)

    def save(self, file: Path) -> None:
        """Writes the graph.

        Raises:
            OSError: it does not fit on the disk.
        """
        self.overwrite_removed()
        self._graph.save_index(str(file))
        written, wanted = file.stat().st_size, int(self._graph.index_file_size())
        if written != wanted:  # hnswlib says nothing of a full disk
            raise OSError(f"only {written} of {wanted} bytes of {file} could be written")


def choose(kind: IndexKind, rows: int) -> Literal["exact", "hnsw"]:
    """The index for this many rows."""
    if kind == "auto":
        return "hnsw" if rows > EXACT_UP_TO else "exact"
    return kind
