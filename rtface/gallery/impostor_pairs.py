"""Pictures of different people near each other, and the tail of their distances. Pairs depend on each other, people do
not: intervals come from resampling people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.impostors import ImpostorTail, Step

RATES = (3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Where a tail is measured, half a decade apart: at its rarest step LFW's people have a handful of pairs."""
RESAMPLED = 400
BLOCK = 512
"""Rows of the distance table held at once."""
FARTHEST = 2.0
"""Pairs farther apart matter to no limit; a right angle."""


@dataclass(frozen=True, slots=True, eq=False)
class NearPairs:
    """Pictures of different people, nearest first.

    Attributes:
        people: how many people were compared.
        first, second: (N,) their numbers.
        distances: (N,) ascending.
        weights: (N,) one over the number of pairs of pictures that the two people have: each two people count 1.
    """

    people: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distances: NDArray[np.float64]
    weights: NDArray[np.float64]

    def count(self, distance: float) -> float:
        """Pairs of people within it, each counted by the part of its pictures that are."""
        return float(self.weights[: np.searchsorted(self.distances, distance, side="right")].sum())


def near_pairs(rows: NDArray[np.float32], people: NDArray[np.integer], *, within: float = FARTHEST) -> NearPairs:
    """Every two pictures of different people at most ``within`` apart.

    Args:
        rows: (N, D) unit rows.
        people: (N,) whose each is, numbered from 0 without gaps.
        within: squared L2.
    """
    pictures = np.bincount(people) if len(people) else np.zeros(0, np.int64)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for start in range(0, len(rows), BLOCK):
        distances = np.clip(2 - 2 * (rows[start : start + BLOCK] @ rows[start:].T), 0, 4)
        near = (distances <= within) & (people[start : start + BLOCK, None] != people[None, start:])
        one, other = np.nonzero(np.triu(near, 1))
        whose = people[start:].astype(np.int64)
        parts.append((whose[one], whose[other], distances[one, other].astype(np.float64)))
    if not parts:
        return NearPairs(0, *(np.zeros(0, np.int64),) * 2, *(np.zeros(0),) * 2)
    first, second, found = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.argsort(found, kind="stable")
    first, second = first[order], second[order]
    return NearPairs(len(pictures), first, second, found[order], 1.0 / (pictures[first] * pictures[second]))


def tail_from(pairs: NearPairs, *, rates: Sequence[float] = RATES, seed: int = 0) -> ImpostorTail | None:
    """The tail these pairs show, down to the smallest rate that so many people can; None where they show too little.

    Each step is the distance within which that part of all pairs of people lies. Its interval is what 95 % of samples
    of as many people, drawn with replacement, have at this distance; where few pairs are behind it, that is wider than
    need be, since drawing somebody twice counts all their pairs twice.
    """
    possible = pairs.people * (pairs.people - 1) / 2
    shown = np.cumsum(pairs.weights) / possible if possible else np.zeros(0)
    places = [int(np.searchsorted(shown, rate)) for rate in rates if possible and rate * possible >= 3]
    places = sorted({place for place in places if place < len(shown)})
    if len(places) < 2:
        return None
    drawn = _resampled(pairs, places, seed)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    rising = np.maximum.accumulate(high) * (1 + 1e-9 * np.arange(len(places)))  # never equal: it will be inverted
    steps = [
        Step(float(pairs.distances[place]), rate, min(float(below), rate), max(float(above), rate))
        for place, rate, below, above in zip(places, shown[places].tolist(), low, rising, strict=True)
    ]
    return ImpostorTail(pairs.people, tuple(steps))


def _resampled(pairs: NearPairs, places: Sequence[int], seed: int) -> NDArray[np.float64]:
    """(RESAMPLED, len(places)) rates at these places among people drawn with replacement."""
    rng = np.random.default_rng(seed)
    last = places[-1] + 1
    first, second, weights = pairs.first[:last], pairs.second[:last], pairs.weights[:last]
    drawn = np.empty((RESAMPLED, len(places)))
    for sample in drawn:
        times = rng.multinomial(pairs.people, np.full(pairs.people, 1 / pairs.people)).astype(np.float64)
        possible = (times.sum() ** 2 - (times**2).sum()) / 2
        sample[:] = np.cumsum(times[first] * times[second] * weights)[places] / possible
    return drawn
