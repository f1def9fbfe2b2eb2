"""Pictures of different people near each other, and the tail of their distances.

Where pairs are many, the tail is counted. Where they are few it is a power of the distance, whose exponent the nearest
pairs give (Hill's estimator for a variable that ends at 0): embeddings near each other lie as in a space of some number
of dimensions m, in which a ball's volume grows as its radius to the power m. FaceNet's exponent on LFW is 13 (of the
squared distance), and stays between 13 and 14 from a rate of 1e-3 down to 1e-5.

Pairs depend on each other, people do not: intervals come from resampling people.

Sources: Hill 1975; de Haan and Ferreira 2006, *Extreme Value Theory*, sections 3.2 and 4.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.impostors import ImpostorTail, Step

COUNTED_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Where a tail is counted, as far down as there are pairs for it, half a decade apart ..."""
COUNTED = 200
"""... which is this many pairs of people; their number and the exponent are then right to about a tenth."""
RAREST = 1e-8
"""Down to which the tail is continued, half a decade apart."""
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


def tail_from(pairs: NearPairs, *, seed: int = 0) -> ImpostorTail | None:
    """The tail these pairs show; None where they are too few.

    Its intervals are what 95 % of samples of as many people, drawn with replacement, have at the same distances.
    """
    possible = math.comb(pairs.people, 2)
    within = np.cumsum(pairs.weights)
    counted = [
        rate for rate in COUNTED_RATES if rate * possible >= COUNTED and len(within) and rate * possible < within[-1]
    ]
    if len(counted) < 2:
        return None
    places = np.searchsorted(within, np.array(counted) * possible)
    rates, start = within[places] / possible, float(pairs.distances[places[0]])
    exponent = _exponent(pairs.distances[: places[0] + 1], pairs.weights[: places[0] + 1])
    steps_down = np.arange(1, math.ceil(2 * math.log10(rates[0] / RAREST)) + 1)
    rarer = start * 10 ** (-steps_down[::-1] / 2 / exponent)
    drawn = _resampled(pairs, places, rarer, seed)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    distances = np.concatenate((rarer, pairs.distances[places]))
    all_rates = np.concatenate((rates[0] * (rarer / start) ** exponent, rates))
    steps = zip(distances.tolist(), all_rates.tolist(), low.tolist(), high.tolist(), strict=True)
    return ImpostorTail(
        pairs.people, tuple(Step(at, rate, min(least, rate), max(most, rate)) for at, rate, least, most in steps)
    )


def _exponent(distances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The power of the distance that the rate is below the last of these; Hill's estimate."""
    return float(weights.sum() / (weights * np.log(distances[-1] / np.maximum(distances, 1e-6))).sum())


def _resampled(
    pairs: NearPairs, places: NDArray[np.int64], rarer: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """(RESAMPLED, len(rarer) + len(places)) rates at these distances among people drawn with replacement."""
    rng = np.random.default_rng(seed)
    last, nearest = places[-1] + 1, places[0] + 1
    first, second, weights = pairs.first[:last], pairs.second[:last], pairs.weights[:last]
    start = pairs.distances[places[0]]
    drawn = np.empty((RESAMPLED, len(rarer) + len(places)))
    for sample in drawn:
        times = rng.multinomial(pairs.people, np.full(pairs.people, 1 / pairs.people)).astype(np.float64)
        weighed = times[first] * times[second] * weights
        rates = np.cumsum(weighed)[places] / ((times.sum() ** 2 - (times**2).sum()) / 2)
        exponent = _exponent(pairs.distances[:nearest], weighed[:nearest])
        sample[:] = np.concatenate((rates[0] * (rarer / start) ** exponent, rates))
    return drawn
