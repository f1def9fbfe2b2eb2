"""Figures against scikit-learn's where it is installed, against plain counting, and intervals against many worlds."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation import metrics
from rtface.evaluation.distances import Compared, among, listed
from rtface.evaluation.figures import RATES, curve, figures, rates_at, unseen
from tests.evaluation.spheres import every_pair, people_on_a_sphere


def of_distances(same: list[float], different: list[float]) -> Compared:
    """Pairs with just these distances: each of two points on a circle, nobody in two pairs."""
    values = [*same, *different]
    rows = np.tile(np.array([1, 0], np.float32), (2 * len(values), 1))
    cosines = 1 - np.array(values) / 2
    rows[1::2] = np.stack((cosines, np.sqrt(1 - cosines**2)), axis=1)
    pairs = np.arange(2 * len(values)).reshape(-1, 2)
    kinds = np.arange(len(values)) < len(same)
    people = np.repeat(np.arange(len(values)), 2) * 2 + np.where(np.repeat(kinds, 2), 0, np.arange(len(rows)) % 2)
    return listed(rows, people, pairs, kinds)


def test_val_at_far_is_that_of_counting_every_pair() -> None:
    rows, people = people_on_a_sphere(30, 600)
    same, different = every_pair(rows, people)
    found = figures(among(rows, people), resamples=0)
    assert list(found.val_at_far) == ["1e-1", "1e-2", "1e-3", "1e-4", "1e-5"]
    for label, val in found.val_at_far.items():
        truth, distance = metrics.val_at_far(same, different, RATES[label])
        assert val == pytest.approx(truth, abs=1e-9)
        assert found.distance_at_far[label] == pytest.approx(distance, abs=1e-5)
    assert found.equal_error_rate == pytest.approx(metrics.equal_error_rate(same, different)[0], abs=1e-4)


def test_auc_and_roc_are_those_of_scikit_learn() -> None:
    truth = pytest.importorskip("sklearn.metrics")
    rows, people = people_on_a_sphere(20, 300)
    same, different = every_pair(rows, people)
    compared = among(rows, people)
    labels = np.repeat([1, 0], [len(same), len(different)])
    scores = -np.concatenate((same, different))
    assert figures(compared, resamples=0).auc == pytest.approx(truth.roc_auc_score(labels, scores), abs=1e-6)
    far, val, _ = truth.roc_curve(labels, scores, drop_intermediate=False)
    points = curve(compared)
    for share, rate in zip(points.far, points.val, strict=True):
        place = int(np.argmin(np.abs(far - share)))
        assert share == pytest.approx(far[place], abs=1e-9)
        assert val[place - 1] <= rate <= val[min(place + 1, len(val) - 1)]


def test_auc_is_the_chance_that_a_same_pair_is_nearer_with_ties_counting_half() -> None:
    same, different = [0.25, 1.0, 1.0, 2.25], [1.0, 2.25, 4.0]
    chance = np.mean([(a < b) + 0.5 * (a == b) for a in same for b in different])
    assert figures(of_distances(same, different), resamples=0).auc == pytest.approx(chance)


def test_rates_that_too_few_pairs_can_show_are_not_told() -> None:
    rows, people = people_on_a_sphere(5, 40)
    different = len(every_pair(rows, people)[1])
    assert 100 <= different < 1000
    assert list(figures(among(rows, people), resamples=0).val_at_far) == ["1e-1", "1e-2"]


def test_failures_are_rejected_at_every_distance() -> None:
    rows, people = people_on_a_sphere(20, 200, noise=0.01)
    assert figures(among(rows, people), resamples=0).auc == pytest.approx(1, abs=1e-6)
    rows[people == 3] = np.nan
    found = figures(among(rows, people), resamples=0)
    lost = np.sum(people == 3) * (np.sum(people == 3) - 1) // 2 / found.same_pairs
    assert lost > 0.01
    assert found.val_at_far["1e-3"] == pytest.approx(1 - lost)
    assert found.auc == pytest.approx(1 - lost, abs=1e-6)


def test_a_sample_gives_nearly_the_figures_of_all() -> None:
    rows, people = people_on_a_sphere(50, 2000)
    whole = figures(among(rows, people), resamples=0)
    part = figures(among(rows, people, most_rows=200_000), resamples=0)
    assert part.sampled
    assert 0.01 < part.exact_far < 0.1
    for label in ("1e-2", "1e-3", "1e-4"):
        assert part.val_at_far[label] == pytest.approx(whole.val_at_far[label], abs=1e-9)
    assert part.val_at_far["1e-1"] == pytest.approx(whole.val_at_far["1e-1"], abs=0.01)
    assert part.auc == pytest.approx(whole.auc, abs=2e-3)
    assert part.equal_error_rate == pytest.approx(whole.equal_error_rate, abs=3e-3)


def test_intervals_hold_the_figures_of_other_people_as_often_as_they_promise() -> None:
    def world(seed: int) -> Compared:
        return among(*people_on_a_sphere(60, 240, seed=seed))

    others = [figures(world(seed), resamples=0) for seed in range(100, 140)]
    truth = float(np.mean([found.auc for found in others])), float(np.mean([f.val_at_far["1e-2"] for f in others]))
    held = np.zeros(2)
    worlds = 25
    for seed in range(worlds):
        found = figures(world(seed), resamples=60)
        assert found.auc_interval is not None
        for number, (low, high) in enumerate((found.auc_interval, found.val_interval["1e-2"])):
            held[number] += low <= truth[number] <= high
    # 95 % of 25 is 24; resampling pairs instead of people would hold in far fewer.
    assert held.min() >= 0.8 * worlds


def test_where_no_error_was_seen_the_interval_is_that_of_so_few_people() -> None:
    # scipy.stats.binomtest(n, n).proportion_ci(0.95, "exact").low
    assert unseen(1.0, (1.0, 1.0), 5) == pytest.approx((0.47817625, 1.0))
    assert unseen(0.0, (0.0, 0.0), 20) == pytest.approx((0.0, 0.16843347))
    assert unseen(0.5, (0.4, 0.6), 5) == (0.4, 0.6)
    rows, people = people_on_a_sphere(5, 60, noise=0.01)
    found = figures(among(rows, people), resamples=30)
    assert found.val_interval["1e-2"] == pytest.approx((0.47817625, 1.0))


def test_rates_at_a_distance_are_counted() -> None:
    assert rates_at(of_distances([0.25, 1.0], [0.5, 2.25, 4.0]), 0.75) == pytest.approx((0.5, 1 / 3))


def test_without_pairs_of_a_kind_nothing_is_told() -> None:
    with pytest.raises(EvaluationError, match="no pairs of different people"):
        figures(among(np.eye(3, dtype=np.float32), np.zeros(3, np.intp)))
    with pytest.raises(EvaluationError, match="no pairs of same people"):
        curve(among(np.eye(3, dtype=np.float32), np.arange(3)))
