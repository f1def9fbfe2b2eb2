"""Open-set identification, 1:N: people in a gallery who should be found, strangers who should find nobody.

Source: Grother, Ngan, Hanaoka, *Face Recognition Technology Evaluation, part 2: identification*, NIST IR 8271,
section 3: FNIR(N, R, T), the share of searches for somebody enrolled whose mate is not among the R nearest within the
distance T (here R = 1); FPIR(N, T), the share of searches for somebody not enrolled that return anybody within T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation.distances import BLOCK_ROWS
from rtface.evaluation.figures import PERCENTILES, Interval, unseen

RATES = {"1e-1": 1e-1, "1e-2": 1e-2, "3e-3": 3e-3, "1e-3": 1e-3}
"""False positive identification rates; FRTE's headline is 3e-3. Told where that many searches can show them."""
SIZES = (10, 100, 1_000, 10_000, 100_000)
"""Gallery sizes in people that are measured on the way to all of them."""
STRANGERS = 0.5


@dataclass(frozen=True, slots=True)
class Identification:
    """The figures of one gallery.

    Attributes:
        people: enrolled, N.
        enrolled: pictures of them.
        mated: searches for somebody enrolled; those without a face are misses.
        nonmated: searches for strangers; those without a face are left out.
        missed: FNIR(N, 1, 4): how often the nearest of all is not the mate, at any distance.
        fnir_at_fpir: by FPIR.
        interval: 95 % over the people searched for, by FPIR; empty without a bootstrap.
        distance_at_fpir: the distances that give them.
    """

    people: int
    enrolled: int
    mated: int
    nonmated: int
    missed: float
    fnir_at_fpir: dict[str, float]
    interval: dict[str, Interval]
    distance_at_fpir: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """Who is what in an open-set test.

    Attributes:
        enrolled: (E,) rows in the gallery, the people of small galleries first.
        probes: (M,) rows that are searched for and have a mate.
        strangers: (S,) rows of people who are in no gallery.
        order: (P,) enrolled people, those of small galleries first.
    """

    enrolled: NDArray[np.intp]
    probes: NDArray[np.intp]
    strangers: NDArray[np.intp]
    order: NDArray[np.intp]


def roles(people: NDArray[np.intp], *, pictures: int, strangers: float = STRANGERS, seed: int = 0) -> Roles:
    """Draws who is enrolled and who is a stranger.

    Strangers are first those with too few pictures to be enrolled and searched for, then others by lot.

    Args:
        people: (N,) number of the person of each picture.
        pictures: of each enrolled person that go into the gallery.
        strangers: share of people who are in no gallery, above 0 and below 1.
        seed: of the lot.

    Raises:
        EvaluationError: nobody has enough pictures.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(people)
    able = rng.permutation(np.flatnonzero(counts > pictures))
    present = int(np.count_nonzero(counts))
    wanted = min(present - max(round(strangers * present), 1), len(able))
    if wanted < 1:
        raise EvaluationError(
            f"Of {present} people {len(able)} have more than {pictures} pictures, so nobody can be enrolled and "
            "searched for while others are strangers. Name more pictures, or enroll fewer of each person."
        )
    order = able[:wanted]
    rows = {int(person): rng.permutation(np.flatnonzero(people == person)) for person in order}
    return Roles(
        enrolled=np.concatenate([rows[int(person)][:pictures] for person in order]),
        probes=np.concatenate([rows[int(person)][pictures:] for person in order]),
        strangers=np.flatnonzero(~np.isin(people, order)),
        order=order,
    )


def identify(
    vectors: NDArray[np.float32],
    people: NDArray[np.intp],
    drawn: Roles,
    *,
    sizes: Sequence[int] = SIZES,
    resamples: int = 0,
) -> list[Identification]:
    """The figures of growing galleries, the last of everybody enrolled.

    Args:
        vectors: (N, D) unit rows; NaN rows are failures to acquire.
        people: (N,).
        drawn: who is what.
        sizes: in people; those above what there is are left out.
        resamples: of people, for the intervals; 0 for none.
    """
    steps = sorted({size for size in sizes if 0 < size < len(drawn.order)} | {len(drawn.order)})
    return [_one(vectors, people, drawn, size, resamples) for size in steps]


def _one(
    vectors: NDArray[np.float32], people: NDArray[np.intp], drawn: Roles, size: int, resamples: int
) -> Identification:
    chosen = drawn.order[:size]
    gallery = drawn.enrolled[np.isin(people[drawn.enrolled], chosen)]
    probes = drawn.probes[np.isin(people[drawn.probes], chosen)]
    strangers = drawn.strangers[~np.isnan(vectors[drawn.strangers, 0])]
    nearest, distances = _nearest(vectors, gallery, probes)
    hits = np.where(people[nearest] == people[probes], distances, np.inf)
    false = _nearest(vectors, gallery, strangers)[1]
    rates = {label: rate for label, rate in RATES.items() if rate * len(false) >= 1 - 1e-9}
    points = {label: _at(hits, false, rate) for label, rate in rates.items()}
    return Identification(
        people=size,
        enrolled=len(gallery),
        mated=len(probes),
        nonmated=len(false),
        missed=float(np.mean(~np.isfinite(hits))),
        fnir_at_fpir={label: fnir for label, (fnir, _) in points.items()},
        interval={
            label: unseen(points[label][0], interval, len(np.unique(people[probes])))
            for label, interval in _intervals(hits, false, people[probes], people[strangers], rates, resamples).items()
        },
        distance_at_fpir={label: distance for label, (_, distance) in points.items()},
    )


def _nearest(
    vectors: NDArray[np.float32], gallery: NDArray[np.intp], searches: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The nearest gallery row of each search and its distance; infinite where either has no vector."""
    rows = vectors[gallery]
    found, distances = np.zeros(len(searches), np.intp), np.full(len(searches), np.inf, np.float32)
    for start in range(0, len(searches), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        table = 2 - 2 * (vectors[searches[block]] @ rows.T)
        table = np.where(np.isnan(table), np.inf, np.clip(table, 0, 4))
        best = table.argmin(axis=1)
        found[block], distances[block] = gallery[best], table[np.arange(len(best)), best]
    return found, distances


def _at(
    hits: NDArray[np.float32], false: NDArray[np.float32], rate: float, weights: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """FNIR, and the largest distance at which no more than ``rate`` of strangers find somebody."""
    mine = np.ones(len(hits)) if weights is None else weights
    ordered = np.sort(false)
    allowed = int(np.floor(rate * len(ordered) + 1e-9))
    distance = np.nextafter(ordered[min(allowed, len(ordered) - 1)], np.float32(-np.inf))
    return float(np.sum(mine * (hits > distance)) / mine.sum()), float(distance)


def _intervals(
    hits: NDArray[np.float32],
    false: NDArray[np.float32],
    mates: NDArray[np.intp],
    strangers: NDArray[np.intp],
    rates: dict[str, float],
    resamples: int,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % of FNIR at each rate over people searched for; the gallery stays as it is."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {label: [] for label in rates}
    mate_of, stranger_of = (np.unique(numbers, return_inverse=True)[1] for numbers in (mates, strangers))
    for _ in range(resamples):
        times, stranger_times = (
            np.bincount(rng.integers(0, count, count), minlength=count)
            for count in (int(mate_of.max()) + 1, int(stranger_of.max(initial=-1)) + 1 or 1)
        )
        drawn = np.repeat(false, stranger_times[stranger_of])
        weights = times[mate_of].astype(np.float64)
        for label, rate in rates.items():
            if len(drawn) and weights.any():
                found[label].append(_at(hits, drawn, rate, weights)[0])
    pairs = {label: np.percentile(values, PERCENTILES) for label, values in found.items() if values}
    return {label: (float(low), float(high)) for label, (low, high) in pairs.items()}
