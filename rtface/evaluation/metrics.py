"""How well distances tell people apart. Pure functions over arrays of distances, smaller is more alike.

``same`` and ``different`` are (S,) and (D,) distances of the pairs of one person and of two. A pair is accepted at the
distance d when its own is <= d. Infinite is never accepted: a pair whose picture shows no face that could be found.

Source: Schroff, Kalenichenko, Philbin, *FaceNet*, CVPR 2015, section 4, for TA, FA, VAL and FAR; Huang et al., *Labeled
Faces in the Wild*, 2007, for accuracy over folds and its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError

Distances = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """Operating points by growing distance; each (P,) float64.

    Attributes:
        distances: every distance at which something changes.
        far: FAR there.
        val: VAL there.
    """

    distances: NDArray[np.float64]
    far: NDArray[np.float64]
    val: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over folds.

    Attributes:
        mean: the mean.
        std: standard deviation of the folds, with n - 1 as LFW defines it; 0 for one fold.
        error: standard error of the mean, ``std / sqrt(n)``.
    """

    mean: float
    std: float
    error: float


def accepts(distances: Distances, distance: float) -> int:
    """|TA(d)| of same pairs, |FA(d)| of different ones: how many are accepted."""
    return int(np.count_nonzero(distances <= distance))


def val(same: Distances, distance: float) -> float:
    """VAL(d), validation rate: the accepted part of the same pairs."""
    return accepts(same, distance) / _count(same, "same")


def far(different: Distances, distance: float) -> float:
    """FAR(d), false accept rate: the accepted part of the different pairs."""
    return accepts(different, distance) / _count(different, "different")


def val_at_far(
    same: Distances, different: Distances, most: float, *, different_total: int | None = None
) -> tuple[float, float]:
    """VAL(d) and d, for the largest d whose FAR(d) <= ``most``; exact.

    With n different pairs, floor(most * n) may be accepted, so d lies just under the next nearest of them: equal ones
    are accepted together or not at all. With fewer than 1 / most different pairs none may be accepted; the VAL is then
    that of no false accept at all, which is stricter than asked for and shows nothing about so small a rate.

    Args:
        same: (S,).
        different: (D,), any order; may be only the nearest of them if ``different_total`` says how many there are.
        most: the false accept rate allowed, 0 to 1.
        different_total: D, where ``different`` does not hold all.

    Raises:
        EvaluationError: no pairs, a rate out of range, or too few of the nearest pairs for it.
    """
    if not 0 <= most < 1:
        raise EvaluationError(f"A false accept rate of {most} cannot be asked for; it lies from 0 to below 1.")
    held = _count(different, "different")
    total = held if different_total is None else different_total
    allowed = allowed_accepts(most, total)
    if allowed >= held:
        raise EvaluationError(f"FAR {most:g} of {total} needs the {allowed + 1} nearest different pairs, not {held}.")
    beyond = np.partition(different, allowed)[allowed]
    distance = float(np.nextafter(beyond, -np.inf, dtype=beyond.dtype))
    return val(same, distance), distance


def allowed_accepts(most: float, total: int) -> int:
    """How many of ``total`` pairs may be accepted at a rate of ``most``; 0.29 of 100 is 29, whatever floats say."""
    return int(np.floor(most * total + 1e-9))


def accuracy(distances: Distances, same: NDArray[np.bool_], distance: float) -> float:
    """The part of (N,) pairs judged right when those at most ``distance`` apart are called the same person.

    A distance that is not a number stands for a failure to acquire and is wrong whatever the pair is.
    """
    _count(distances, "compared")
    right = (distances <= distance) == same
    return float(np.mean(right & ~np.isnan(distances)))


def best_threshold(distances: Distances, same: NDArray[np.bool_]) -> float:
    """The distance of the highest accuracy on these (N,) pairs: midway between two neighbouring distances.

    Of several equally good places the one in the middle, which is the least at the mercy of single pairs. Failures to
    acquire (NaN) have no say.

    Raises:
        EvaluationError: no pair has a distance.
    """
    known = ~np.isnan(distances)
    order = np.argsort(distances[known], kind="stable")
    sorted_distances = np.asarray(distances[known][order], np.float64)
    count = _count(sorted_distances, "compared")
    gains = np.where(same[known][order], 1, -1)
    right = np.concatenate(([0], np.cumsum(gains)))  # over calling nobody the same, when the first i are
    possible = np.concatenate(([True], sorted_distances[1:] > sorted_distances[:-1], [True]))
    best = np.flatnonzero(possible & (right == right[possible].max()))
    cut = int(best[(len(best) - 1) // 2])
    if cut == 0:
        return float(np.nextafter(sorted_distances[0], -np.inf))
    if cut == count or np.isinf(sorted_distances[cut]):
        return float(sorted_distances[cut - 1])
    return float((sorted_distances[cut - 1] + sorted_distances[cut]) / 2)


def kfold(
    distances: Distances, same: NDArray[np.bool_], folds: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and threshold of each fold, (F,) each, the threshold chosen on all the other folds.

    Args:
        distances: (N,), NaN for a failure to acquire.
        same: (N,).
        folds: (N,) number of the fold of each pair.

    Raises:
        EvaluationError: fewer than two folds.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise EvaluationError(
            f"{len(numbers)} fold cannot be judged: its threshold comes from other folds. Give at least two."
        )
    accuracies, thresholds = [], []
    for number in numbers:
        held_out = folds == number
        threshold = best_threshold(distances[~held_out], same[~held_out])
        thresholds.append(threshold)
        accuracies.append(accuracy(distances[held_out], same[held_out], threshold))
    return np.array(accuracies), np.array(thresholds)


def spread(values: NDArray[np.float64]) -> Spread:
    """Mean, standard deviation and standard error of (F,) figures."""
    count = _count(values, "averaged")
    std = float(np.std(values, ddof=1)) if count > 1 else 0.0
    return Spread(float(np.mean(values)), std, std / float(np.sqrt(count)))


def roc(same: Distances, different: Distances) -> Roc:
    """VAL and FAR at every distance that occurs, ascending."""
    shown = np.unique(np.concatenate((same, different)).astype(np.float64))
    shown = shown[np.isfinite(shown)]
    val_there = np.searchsorted(np.sort(same), shown, side="right") / _count(same, "same")
    far_there = np.searchsorted(np.sort(different), shown, side="right") / _count(different, "different")
    return Roc(shown, far_there, val_there)


def equal_error_rate(same: Distances, different: Distances) -> tuple[float, float]:
    """The rate at which as many same pairs are rejected as different ones accepted, and its distance.

    Where steps keep the two from ever being equal, the mean of both at the distance where they are nearest.
    """
    points = roc(same, different)
    rejected = 1 - points.val
    nearest = int(np.argmin(np.abs(points.far - rejected)))
    return float((points.far[nearest] + rejected[nearest]) / 2), float(points.distances[nearest])


def _count(distances: Distances, what: str) -> int:
    if len(distances) == 0:
        raise EvaluationError(f"There are no {what} pairs to measure: name more pictures that show a face.")
    return len(distances)
