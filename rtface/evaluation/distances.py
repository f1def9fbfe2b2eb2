"""The distances that an evaluation counts: all pairs among some vectors, or those of a list, in bounded memory.

Every same and every different pair is a row of a table, with the two vectors it is of. Where there are more pairs than
a table holds, the nearest are kept as they are and the rest is a random sample of which each row stands for several:
false accepts are counted exactly up to the rate that the kept ones cover.

The squared L2 distance of unit vectors is 2 - 2 x·y. Its mean over all pairs of frames of two videos is 2 - 2 x̄·ȳ with
the means x̄ and ȳ of their vectors, so that a video is one row here, however many frames it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Report = Callable[[str, int, int], None]
"""Told a label, how much is done and how much there is."""

MOST_ROWS = 1_000_000
"""Pairs of a kind held at once, 20 MB; half of them the nearest, half a sample, where there are more."""
BLOCK_ROWS = 512
"""Rows of the distance matrix held at once: 20 MB against 10,000 vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """Pairs of one kind, nearest first.

    Attributes:
        distances: (R,) float32; infinite where one of the two pictures gave no vector.
        rows: (R, 2) int32 which vectors they are of.
        weights: (R,) float64 how many pairs each stands for.
        total: of pairs.
        exact: how many of the nearest rows are all there is at their distance and below; R where all are held.
    """

    distances: NDArray[np.float32]
    rows: NDArray[np.int32]
    weights: NDArray[np.float64]
    total: int
    exact: int

    @property
    def sampled(self) -> bool:
        """Whether not every pair is held."""
        return self.exact < len(self.distances)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Same and different pairs of one set of vectors.

    Attributes:
        same: with the failed ones, which are never accepted.
        different: without failed ones, so that failing to see a face earns no room for false accepts.
        people: (N,) number of the person of each vector.
    """

    same: PairTable
    different: PairTable
    people: NDArray[np.intp]


def among(
    vectors: Vectors, people: NDArray[np.integer], *, most_rows: int = MOST_ROWS, report: Report | None = None
) -> Compared:
    """All pairs among N vectors.

    Args:
        vectors: (N, D) unit rows, or means of such for videos; NaN rows are failures to acquire.
        people: (N,) a number for each person.
        most_rows: of a table.
        report: is told how it goes.
    """
    failed = np.isnan(vectors[:, 0]) if len(vectors) else np.zeros(0, np.bool_)
    counts, seen = (np.bincount(people[chosen]) for chosen in (slice(None), ~failed))
    same_total, same_seen = (int((n.astype(np.int64) * (n - 1) // 2).sum()) for n in (counts, seen))
    different_total = int(seen.sum()) * (int(seen.sum()) - 1) // 2 - same_seen
    same = _Collector(same_total, most_rows)
    different = _Collector(different_total, most_rows)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        distances = 2 - 2 * (vectors[block] @ vectors[start:].T)
        once = np.triu(np.ones(distances.shape, np.bool_), 1)
        alike = people[block, None] == people[None, start:]
        same.add(np.where(np.isnan(distances), np.inf, np.clip(distances, 0, 4)), once & alike, start)
        different.add(np.clip(distances, 0, 4), once & ~alike & ~np.isnan(distances), start)
        if report is not None:
            report("pairs", min(start + BLOCK_ROWS, len(vectors)), len(vectors))
    return Compared(same.table(), different.table(), people.astype(np.intp))


def listed(
    vectors: Vectors, people: NDArray[np.integer], pairs: NDArray[np.integer], same: NDArray[np.bool_]
) -> Compared:
    """The pairs of a list.

    Args:
        vectors: (N, D); NaN rows are failures to acquire.
        people: (N,) a number for each person.
        pairs: (P, 2) which vectors are compared.
        same: (P,) whether they are one person's.
    """
    distances = pair_distances(vectors, pairs)
    accepted = np.where(np.isnan(distances), np.inf, distances).astype(np.float32)
    alike, unlike = (_whole(accepted[chosen], pairs[chosen]) for chosen in (same, ~same & np.isfinite(accepted)))
    return Compared(alike, unlike, people.astype(np.intp))


def pair_distances(vectors: Vectors, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    """(P,) squared L2 distances of (P, 2) pairs, or their means of videos; NaN where one failed."""
    parts = [
        np.einsum("pd,pd->p", vectors[some[:, 0]].astype(np.float64), vectors[some[:, 1]].astype(np.float64))
        for some in np.array_split(pairs, len(pairs) // BLOCK_ROWS + 1)
    ]
    return np.asarray(np.clip(2 - 2 * np.concatenate(parts), 0, 4), np.float64)


def _whole(distances: NDArray[np.float32], pairs: NDArray[np.integer]) -> PairTable:
    order = np.argsort(distances, kind="stable")
    count = len(order)
    return PairTable(distances[order], pairs[order].astype(np.int32), np.ones(count), count, count)


class _Collector:
    """Takes pairs block by block and keeps the nearest, and a sample of all."""

    def __init__(self, total: int, most_rows: int) -> None:
        self._total = total
        self._all = total <= most_rows
        self._keep = most_rows if self._all else most_rows // 2
        self._share = 1.0 if self._all else self._keep / total
        self._rng = np.random.default_rng(0)
        self._bound = np.float32(np.inf)
        self._near: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []
        self._held = 0
        self._sample: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []

    def add(self, distances: NDArray[np.float32], wanted: NDArray[np.bool_], start: int) -> None:
        """Takes those ``wanted`` of a block whose first row and column are both ``start``."""
        if self._all:
            self._near.append(_picked(distances, wanted, start))
            return
        near = _picked(distances, wanted & (distances < self._bound), start)
        self._near.append(near)
        self._held += len(near[0])
        chance = self._rng.random(distances.shape, np.float32) < self._share
        self._sample.append(_picked(distances, wanted & chance, start))
        if self._held > 2 * self._keep:
            self._shrink()

    def _shrink(self) -> None:
        distances, rows = _joined(self._near)
        if len(distances) > self._keep:
            chosen = np.argpartition(distances, self._keep - 1)[: self._keep]
            distances, rows = distances[chosen], rows[chosen]
            self._bound = np.float32(distances.max())
        self._near, self._held = [(distances, rows)], len(distances)

    def table(self) -> PairTable:
        """What was kept, nearest first; a sampled row stands for those of its kind that were not."""
        if not self._all:
            self._shrink()
        distances, rows = _joined(self._near)
        order = np.argsort(distances, kind="stable")
        distances, rows = distances[order], rows[order]
        exact = len(distances)
        weights = np.ones(exact)
        if not self._all:
            others, other_rows = self._others(distances, rows)
            each = (self._total - exact) / max(len(others), 1)
            distances, rows = np.concatenate((distances, others)), np.concatenate((rows, other_rows))
            weights = np.concatenate((weights, np.full(len(others), each)))
        return PairTable(distances, rows, weights, self._total, exact)

    def _others(
        self, distances: NDArray[np.float32], rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The sample without what is kept anyway, nearest first."""
        sampled, sampled_rows = _joined(self._sample)
        width = np.int64(rows.max(initial=0)) + sampled_rows.max(initial=0) + 1
        kept = np.isin(_keys(sampled_rows, width), _keys(rows[distances >= sampled.min(initial=np.inf)], width))
        sampled, sampled_rows = sampled[~kept], sampled_rows[~kept]
        order = np.argsort(sampled, kind="stable")
        return sampled[order], sampled_rows[order]


def _keys(rows: NDArray[np.int32], width: np.int64) -> NDArray[np.int64]:
    return np.asarray(rows[:, 0].astype(np.int64) * width + rows[:, 1], np.int64)


def _picked(
    distances: NDArray[np.float32], wanted: NDArray[np.bool_], start: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    places = np.nonzero(wanted)
    rows = np.stack(places, axis=1).astype(np.int32) + np.int32(start)
    return distances[places].astype(np.float32), rows


def _joined(
    parts: list[tuple[NDArray[np.float32], NDArray[np.int32]]],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    return (
        np.concatenate([np.zeros(0, np.float32), *(distances for distances, _ in parts)]),
        np.concatenate([np.zeros((0, 2), np.int32), *(rows for _, rows in parts)]),
    )
