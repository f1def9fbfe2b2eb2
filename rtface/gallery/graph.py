"""Nearest rows by hnswlib's graph (HNSW: Malkov and Yashunin, *Efficient and robust approximate nearest neighbor search
using Hierarchical Navigable Small World graphs*, 2016)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rtface.gallery.index import ExactIndex, Labels, Rows, nearest, ordered
from rtface.gallery.subspace import MOST_LEFT, Subspace

log = logging.getLogger(__name__)

ALL = -1
"""Threads: one a core."""
GRAPH_LINKS = 16
BUILD_EFFORT = 200
"""M and ef_construction as hnswlib's authors advise for this many dimensions (its ALGO_PARAMS)."""
SEARCH_EFFORT = 128
"""ef of a graph that was not tuned: recall@5 of 0.996 at 100,000 x 512."""
NARROW = 64
"""ef of the first search, see ``HnswIndex.near``."""


class HnswIndex:
    """hnswlib's graph: searches in milliseconds among hundreds of thousands, misses a neighbour now and then.

    What a narrow search misses it misses far out: a person whose picture is close by is found at once. So a query is
    searched narrowly first, and widely only if nothing near was found.

    Joining a row to the graph takes a millisecond. Many at once can wait beside it and be compared one by one until
    they are ``settle``d, so that they are found at once.

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
        self._waiting = ExactIndex(size)

    def __len__(self) -> int:
        return self._joined + len(self._waiting)

    @property
    def _joined(self) -> int:
        return int(self._graph.get_current_count()) - len(self._removed)

    @property
    def waiting(self) -> int:
        """Rows that are found but not in the graph yet."""
        return len(self._waiting)

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

    def add_later(self, labels: Labels, rows: Rows) -> None:
        """As ``add``, but costs nothing: the rows wait until ``settle`` takes them into the graph."""
        self._waiting.add(labels, rows)

    def settle(self, most: int | None = None) -> None:
        """Takes rows that wait into the graph, no more than this many."""
        self.add(*self._waiting.take(len(self._waiting) if most is None else most))

    def remove(self, labels: Labels) -> None:
        """See ``Index``. Their vectors are in the graph until ``overwrite_removed``."""
        waiting = np.isin(labels, self._waiting.labels())
        if waiting.any():
            self._waiting.remove(labels[waiting])
        for label in labels[~waiting].tolist():
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
        labels, distances = self._search_graph(queries, min(k, self._joined))
        if len(self._waiting):
            others, there = self._waiting.search(queries, k)
            labels, distances = ordered(np.hstack([labels, others]), np.hstack([distances, there]))
        return labels[:, :k], distances[:, :k]

    def _search_graph(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
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
            joined = self._joined_labels()
            return nearest(np.asarray(queries, np.float32), self.vectors(joined), joined, k)
        return labels, distances

    def _search(self, places: Rows, left: Rows, k: int, effort: int) -> tuple[Labels, Rows]:
        self._graph.set_ef(max(effort, 2 * k))
        labels, distances = self._graph.knn_query(places, k)
        return ordered(labels.astype(np.int64), np.clip(distances + left[:, None], 0, 4))

    def labels(self) -> Labels:
        """(N,) of all its rows, in no order."""
        return np.concatenate([self._joined_labels(), self._waiting.labels()])

    def _joined_labels(self) -> Labels:
        labels = np.array(self._graph.get_ids_list(), np.int64)
        return labels[~np.isin(labels, self.removed)] if self._removed else labels

    def vectors(self, labels: Labels) -> Rows:
        """See ``Index``. Those of a graph in a subspace are as near to what was added as ``subspace`` says."""
        waiting = np.isin(labels, self._waiting.labels())
        rows = np.empty((len(labels), len(self.space.middle) if self.space else self._graph.dim), np.float32)
        rows[waiting] = self._waiting.vectors(labels[waiting])
        if not waiting.all():
            places = np.asarray(self._graph.get_items(labels[~waiting]), np.float32)
            rows[~waiting] = places if self.space is None else self.space.outside(places)
        return rows

    def _places(self, rows: Rows) -> tuple[Rows, Rows]:
        """(N, d) what the graph holds of rows, and (N,) what that adds to the squared distance to any row."""
        if self.space is None:
            return np.ascontiguousarray(rows, np.float32), np.zeros(len(rows), np.float32)
        return self.space.inside(rows)

    def save(self, file: Path) -> None:
        """Writes the graph, with the rows that wait.

        Raises:
            OSError: it does not fit on the disk.
        """
        self.settle()
        self.overwrite_removed()
        self._graph.save_index(str(file))
        written, wanted = file.stat().st_size, int(self._graph.index_file_size())
        if written != wanted:  # hnswlib says nothing of a full disk
            raise OSError(f"only {written} of {wanted} bytes of {file} could be written")
