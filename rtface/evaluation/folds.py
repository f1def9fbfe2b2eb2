"""Accuracy of a list of pairs: each fold judged at the distance that is best on the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.evaluation import metrics
from rtface.evaluation.figures import PERCENTILES, Interval

FOLDS = 10
"""Where a list names none: its same pairs and its different pairs are dealt out in turn, as many as LFW has."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The part of pairs judged right, 0..1.

    Attributes:
        mean: over the folds.
        std: standard deviation over the folds (n - 1).
        error: standard error of the mean.
        interval: 95 % over people, at the folds' distances; None without a bootstrap.
        threshold: mean over the folds of the distance chosen on the others.
        folds: how many.
    """

    mean: float
    std: float
    error: float
    interval: Interval | None
    threshold: float
    folds: int


def accuracy_over_folds(
    distances: NDArray[np.float64],
    same: NDArray[np.bool_],
    folds: NDArray[np.integer],
    people: NDArray[np.integer],
    *,
    resamples: int = 0,
) -> Accuracy:
    """Accuracy of (P,) pairs; NaN distances are failures to acquire and wrong.

    Args:
        distances: (P,) squared L2.
        same: (P,).
        folds: (P,) number of each pair's fold.
        people: (P, 2) numbers of each pair's people.
        resamples: of people, for the interval; 0 for none.

    Raises:
        EvaluationError: fewer than two folds, or no fold without failures.
    """
    accuracies, thresholds = metrics.kfold(distances, same, folds)
    numbers = np.unique(folds, return_inverse=True)[1]
    right = ((distances <= thresholds[numbers]) == same) & ~np.isnan(distances)
    figure = metrics.spread(accuracies)
    interval = accuracy_interval(right, people, same, resamples=resamples)
    return Accuracy(figure.mean, figure.std, figure.error, interval, float(thresholds.mean()), len(accuracies))


def accuracy_interval(
    right: NDArray[np.bool_], people: NDArray[np.integer], same: NDArray[np.bool_], *, resamples: int, seed: int = 0
) -> Interval | None:
    """95 % interval of the part of (P,) pairs judged right, over people; None without resamples.

    Same and different pairs keep their shares: drawing a person twice makes more of either kind, and not equally.
    """
    if not resamples:
        return None
    rng, count = np.random.default_rng(seed), int(people.max()) + 1
    found = []
    for _ in range(resamples):
        times = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        weights = np.where(same, times[people[:, 0]], times[people[:, 0]] * times[people[:, 1]])
        kinds = [(kind.mean(), np.sum(weights * right * kind), np.sum(weights * kind)) for kind in (same, ~same)]
        if all(whole or not share for share, _, whole in kinds):
            found.append(sum(share * part / whole for share, part, whole in kinds if share))
    if not found:
        return None
    low, high = np.percentile(found, PERCENTILES)
    return float(low), float(high)


def dealt(same: NDArray[np.bool_], folds: int = FOLDS) -> NDArray[np.intp]:
    """(P,) fold of each pair where a list names none; both kinds are dealt out evenly."""
    numbers = np.empty(len(same), np.intp)
    for kind in (same, ~same):
        numbers[kind] = np.arange(kind.sum()) % folds
    return numbers
