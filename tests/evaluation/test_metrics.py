"""The metrics by hand and by brute force in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation import metrics

REPEATABLE = settings(derandomize=True, deadline=None)
FEW = st.integers(0, 8).map(lambda halves: halves / 2)  # so that there are ties
SOME = st.lists(FEW, min_size=1, max_size=30).map(np.array)
JUDGED = st.lists(st.tuples(FEW, st.booleans()), min_size=1, max_size=25)

SAME = np.array([0.2, 0.4, 0.6, 1.5])
DIFFERENT = np.array([0.5, 1.2, 1.6, 2.0, 3.0])


def test_rates_at_a_distance_by_hand() -> None:
    assert (metrics.accepts(SAME, 0.6), metrics.accepts(DIFFERENT, 0.6)) == (3, 1)
    assert metrics.val(SAME, 0.6) == 0.75
    assert metrics.far(DIFFERENT, 0.6) == 0.2
    assert metrics.val(SAME, 0.1) == metrics.far(DIFFERENT, 0.1) == 0.0


@pytest.mark.parametrize(
    ("most", "validated", "just_under"), [(0.0, 0.5, 0.5), (0.19, 0.5, 0.5), (0.2, 0.75, 1.2), (0.4, 1.0, 1.6)]
)
def test_val_at_far_by_hand(most: float, validated: float, just_under: float) -> None:
    rate, distance = metrics.val_at_far(SAME, DIFFERENT, most)
    assert rate == validated
    assert distance == math.nextafter(just_under, 0)


def test_equal_different_pairs_are_accepted_together_or_not_at_all() -> None:
    rate, distance = metrics.val_at_far(np.array([0.1, 0.5]), np.array([0.3, 0.5, 0.5, 0.9]), 0.5)
    assert (rate, distance) == (0.5, math.nextafter(0.5, 0))


@REPEATABLE
@given(SOME, SOME, st.floats(0, 0.999))
def test_val_at_far_is_at_the_largest_distance_that_keeps_the_rate(
    same: NDArray[np.float64], different: NDArray[np.float64], most: float
) -> None:
    validated, distance = metrics.val_at_far(same, different, most)
    assert np.mean(different <= distance) <= most
    assert np.mean(different <= np.nextafter(distance, np.inf)) > most
    assert validated == np.mean(same <= distance)


def test_with_too_few_different_pairs_none_is_accepted() -> None:
    assert metrics.val_at_far(SAME, DIFFERENT, 1e-3) == (0.5, math.nextafter(0.5, 0))


def test_rates_are_counted_in_whole_pairs_whatever_floats_say() -> None:
    assert metrics.allowed_accepts(0.29, 100) == 29
    assert metrics.allowed_accepts(1e-3, 3000) == 3
    assert metrics.allowed_accepts(1e-3, 2999) == 2


def test_val_at_far_refuses_what_it_cannot_know() -> None:
    with pytest.raises(EvaluationError, match="no same pairs"):
        metrics.val_at_far(np.array([]), DIFFERENT, 0.1)
    with pytest.raises(EvaluationError, match="no different pairs"):
        metrics.val_at_far(SAME, np.array([]), 0.1, different_total=0)
    with pytest.raises(EvaluationError, match=r"rate of 1\.0"):
        metrics.val_at_far(SAME, DIFFERENT, 1.0)
    with pytest.raises(EvaluationError, match="needs the 11 nearest different pairs, not 5"):
        metrics.val_at_far(SAME, DIFFERENT, 0.01, different_total=1000)


def test_accuracy_counts_a_failure_to_acquire_as_wrong_for_either_kind() -> None:
    distances = np.array([0.2, np.nan, 2.0, np.nan])
    same = np.array([True, True, False, False])
    assert metrics.accuracy(distances, same, 1.0) == 0.5
    assert metrics.accuracy(distances, ~same, 1.0) == 0.0


@REPEATABLE
@given(JUDGED)
def test_no_threshold_is_more_accurate_than_the_best(judged: list[tuple[float, bool]]) -> None:
    distances, same = np.array([pair[0] for pair in judged]), np.array([pair[1] for pair in judged])
    threshold = metrics.best_threshold(distances, same)
    every = [-1.0, *distances.tolist()]
    assert np.mean((distances <= threshold) == same) == max(np.mean((distances <= each) == same) for each in every)


def test_best_threshold_lies_midway_between_the_neighbours_it_parts() -> None:
    distances = np.array([0.2, 0.4, 1.0, 1.4])
    assert metrics.best_threshold(distances, np.array([True, True, False, False])) == pytest.approx(0.7)
    assert metrics.best_threshold(distances, np.array([True] * 4)) == 1.4
    assert metrics.best_threshold(distances, np.array([False] * 4)) < 0.2


def test_best_threshold_among_equally_good_places_is_the_middle_one() -> None:
    # 4 of 6 are right at 0.35, 0.55 and 1.1 alike; the two at 0.5 cannot be parted.
    distances = np.array([0.2, 0.5, 0.5, 0.6, 0.9, 1.3])
    same = np.array([True, False, True, False, True, False])
    assert metrics.best_threshold(distances, same) == pytest.approx(0.55)


def test_best_threshold_without_any_distance_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no compared pairs"):
        metrics.best_threshold(np.array([np.nan]), np.array([True]))


def test_each_fold_is_judged_at_the_threshold_of_the_others() -> None:
    distances = np.array([0.2, 1.0, 0.4, 1.4, 0.9, 1.6])
    same = np.array([True, False] * 3)
    accuracies, thresholds = metrics.kfold(distances, same, np.array([0, 0, 1, 1, 2, 2]))
    np.testing.assert_allclose(thresholds, [1.15, 0.95, 0.7])
    np.testing.assert_allclose(accuracies, [0.5, 1.0, 0.5])


def test_a_single_fold_is_refused() -> None:
    with pytest.raises(EvaluationError, match="at least two"):
        metrics.kfold(SAME, np.ones(4, bool), np.zeros(4, int))


def test_spread_is_that_of_lfw() -> None:
    # Huang et al. 2007, section 5: the standard deviation with n - 1, the error that by the root of n.
    figures = metrics.spread(np.array([0.98, 0.99, 1.0]))
    assert figures.mean == pytest.approx(0.99)
    assert figures.std == pytest.approx(0.01)
    assert figures.error == pytest.approx(0.01 / math.sqrt(3))
    assert metrics.spread(np.array([0.5])) == metrics.Spread(0.5, 0.0, 0.0)


@REPEATABLE
@given(SOME, SOME)
def test_roc_agrees_with_counting_at_every_point(same: NDArray[np.float64], different: NDArray[np.float64]) -> None:
    points = metrics.roc(same, different)
    assert points.distances.tolist() == sorted({*same.tolist(), *different.tolist()})
    for distance, far, val in zip(points.distances, points.far, points.val, strict=True):
        assert far == np.mean(different <= distance)
        assert val == np.mean(same <= distance)


def test_equal_error_rate_by_hand() -> None:
    assert metrics.equal_error_rate(np.array([0.1, 0.2, 0.3, 1.0]), np.array([0.5, 1.1, 1.2, 1.3])) == (0.25, 0.5)
    assert metrics.equal_error_rate(np.array([0.1]), np.array([1.0])) == (0.0, 0.1)


def test_equal_error_rate_of_two_bells_is_the_tail_between_them() -> None:
    rng = np.random.default_rng(5)
    same, different = rng.normal(1, 0.5, 100_000), rng.normal(2, 0.5, 100_000)
    rate, distance = metrics.equal_error_rate(same, different)
    assert rate == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=3e-3)
    assert distance == pytest.approx(1.5, abs=0.02)
