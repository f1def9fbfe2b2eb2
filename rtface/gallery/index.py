"""Nearest rows: exact by one matrix product, approximate by a graph (HNSW). Exact is right, and what HNSW is held to.

Rows are unit vectors under integer labels, and distances squared L2, 0..4.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
IndexKind = Literal["auto", "exact", "hnsw"]

EXACT_UP_TO = 20_000
"""Rows; above, HNSW. Exact took 1.7 ms at 10,000 x 512 and 30 ms at 100,000, HNSW 1.1 ms (two cores of an EPYC); HNSW's
price is minutes of building and now and then a neighbour missed."""
BLOCK_ELEMENTS = 8_000_000
"""Distances computed at once: 32 MB."""

GRAPH_LINKS = 16
BUILD_EFFORT = 200
"""M and ef_construction as hnswlib's authors advise for this many dimensions (its ALGO_PARAMS)."""
SEARCH_EFFORT = 128
"""ef: recall@5 of 0.996 at 100,000 x 512."""


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

    def __init__(self, size: int) -> None:
        """Args: ``size`` is D."""
        self._labels: Labels = np.empty(0, np.int64)
        self._rows: Rows = np.empty((0, size), np.float32)
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
    """hnswlib's graph: searches in milliseconds among hundreds of thousands, misses a neighbour now and then."""

    kind = "hnsw"

    def __init__(self, size: int, *, room: int = 0, file: Path | None = None) -> None:
        """An empty graph, or one read from a file ``save`` has written.

        Args:
            size: D.
            room: rows expected; more are made room for as they come.
            file: an unchanged file: hnswlib may crash the process on a damaged one, so its checksum is the caller's.

        Raises:
            RuntimeError: hnswlib cannot read the file.
        """
        import hnswlib

        self._graph = hnswlib.Index(space="l2", dim=size)
        if file is None:
            self._graph.init_index(max_elements=max(room, 1024), M=GRAPH_LINKS, ef_construction=BUILD_EFFORT)
        else:
            self._graph.load_index(str(file))
        self._graph.set_ef(SEARCH_EFFORT)
        self._removed: set[int] = set()

    def __len__(self) -> int:
        return int(self._graph.get_current_count()) - len(self._removed)

    @property
    def has_removed_rows(self) -> bool:
        """Removed rows are never found again but stay in the graph, so it must not be saved."""
        return bool(self._removed)

    def add(self, labels: Labels, rows: Rows) -> None:
        """See ``Index``."""
        if not len(labels):
            return
        count = int(self._graph.get_current_count()) + len(labels)
        if count > self._graph.get_max_elements():
            self._graph.resize_index(count + count // 2)
        self._graph.add_items(np.ascontiguousarray(rows), labels)

    def remove(self, labels: Labels) -> None:
        """See ``Index``."""
        for label in labels.tolist():
            self._graph.mark_deleted(label)
            self._removed.add(label)

    def search(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        """See ``Index``."""
        k = min(k, len(self))
        if not k or not len(queries):
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        self._graph.set_ef(max(SEARCH_EFFORT, 2 * k))
        try:
            labels, distances = self._graph.knn_query(np.ascontiguousarray(queries, np.float32), k)
        except RuntimeError:
            # Where many rows are equal or removed the graph can fall apart, and hnswlib finds fewer than k.
            log.debug("the graph gave fewer than %d rows; comparing with every one", k)
            return self._search_all(queries, k)
        return _ordered(labels.astype(np.int64), np.clip(distances, 0, 4))

    def _search_all(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        labels = np.array([label for label in self._graph.get_ids_list() if label not in self._removed], np.int64)
        return _nearest(np.asarray(queries, np.float32), self.vectors(labels), labels, k)

    def vectors(self, labels: Labels) -> Rows:
        """See ``Index``."""
        return np.asarray(self._graph.get_items(labels), np.float32).reshape(len(labels), -1)

    def save(self, file: Path) -> None:
        """Writes the graph.

        Raises:
            OSError: it does not fit on the disk.
        """
        assert not self.has_removed_rows, "a saved graph would keep the vectors of people who were removed"
        self._graph.save_index(str(file))
        written, wanted = file.stat().st_size, int(self._graph.index_file_size())
        if written != wanted:  # hnswlib says nothing of a full disk
            raise OSError(f"only {written} of {wanted} bytes of {file} could be written")


def choose(kind: IndexKind, rows: int) -> Literal["exact", "hnsw"]:
    """The index for this many rows."""
    if kind == "auto":
        return "hnsw" if rows > EXACT_UP_TO else "exact"
    return kind
