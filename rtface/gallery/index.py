"""Nearest rows, and the exact way to them: one matrix product. It is right, and what the graph (HNSW) is held to.

Rows are unit vectors under integer labels, and distances squared L2, 0..4.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
IndexKind = Literal["auto", "exact", "hnsw"]

EXACT_UP_TO = 20_000
"""Rows; above, HNSW. Exact takes 1.2 ms at 10,000 x 512 and 17 ms at 100,000, HNSW 0.1 and 0.3 (one core of an EPYC,
docs/search.md); HNSW's price is minutes of building and now and then a neighbour missed."""
EXACT_AT_MOST = 5 * EXACT_UP_TO
"""Rows that are compared one by one where no graph finds enough of them; above that takes longer than a frame."""
BLOCK_ELEMENTS = 8_000_000
"""Distances computed at once: 32 MB."""


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

    def take(self, count: int) -> tuple[Labels, Rows]:
        """Removes this many of the rows, the newest, and returns them; (N,) labels and (N, D) rows. No copy stays."""
        taken = slice(max(0, self._count - count), self._count)
        labels, rows = self._labels[taken].copy(), self._rows[taken].copy()
        self._rows[taken] = 0
        self._count = taken.start
        return labels, rows

    def labels(self) -> Labels:
        """(N,) of all its rows, in no order."""
        return self._labels[: self._count]

    def search(self, queries: Rows, k: int) -> tuple[Labels, Rows]:
        """See ``Index``."""
        k = min(k, self._count)
        labels = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        step = max(1, BLOCK_ELEMENTS // max(self._count, 1))
        for start in range(0, len(queries) if k else 0, step):
            block = slice(start, start + step)
            labels[block], distances[block] = nearest(
                queries[block], self._rows[: self._count], self._labels[: self._count], k
            )
        return labels, distances

    def vectors(self, labels: Labels) -> Rows:
        """See ``Index``."""
        order = np.argsort(self._labels[: self._count], kind="stable")
        places = order[np.searchsorted(self._labels[: self._count], labels, sorter=order)]
        return np.asarray(self._rows[places])


def nearest(queries: Rows, rows: Rows, labels: Labels, k: int) -> tuple[Labels, Rows]:
    """The k nearest of these rows. Squared L2 of unit rows is 2 - 2 cosine: one matrix product."""
    distances = np.clip(2 - 2 * (queries @ rows.T), 0, 4)
    chosen = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return ordered(labels[chosen], np.take_along_axis(distances, chosen, axis=1))


def ordered(labels: Labels, distances: Rows) -> tuple[Labels, Rows]:
    """Nearest first, the smaller label first among equals: the same gallery gives the same answer."""
    order = np.lexsort((labels, distances), axis=1)
    return np.take_along_axis(labels, order, axis=1), np.take_along_axis(distances, order, axis=1)


def choose(kind: IndexKind, rows: int) -> Literal["exact", "hnsw"]:
    """The index for this many rows."""
    if kind == "auto":
        return "hnsw" if rows > EXACT_UP_TO else "exact"
    return kind
