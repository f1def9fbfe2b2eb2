"""Tables of pairs against counting them all in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.evaluation import distances
from tests.evaluation.spheres import every_pair, people_on_a_sphere


def test_all_pairs_are_those_of_brute_force_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_ROWS", 37)
    rows, people = people_on_a_sphere(30, 400)
    same, different = every_pair(rows, people)
    found = distances.among(rows, people)
    for table, truth in ((found.same, same), (found.different, different)):
        np.testing.assert_allclose(table.distances, truth, atol=1e-6)
        assert table.total == table.exact == len(truth)
        assert not table.sampled
        assert set(table.weights) == {1.0}


def test_each_distance_is_that_of_its_two_vectors_and_no_pair_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_ROWS", 37)
    rows, people = people_on_a_sphere(10, 100)
    for limit in (100_000, 500):
        found = distances.among(rows, people, most_rows=limit)
        for table, alike in ((found.same, True), (found.different, False)):
            first, second = table.rows.T
            np.testing.assert_allclose(table.distances, ((rows[first] - rows[second]) ** 2).sum(axis=1), atol=1e-5)
            assert np.all((people[first] == people[second]) == alike)
            assert len({(int(a), int(b)) for a, b in table.rows}) == len(table.rows)


def test_where_there_are_too_many_the_nearest_are_exact_and_the_rest_stand_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distances, "BLOCK_ROWS", 64)
    rows, people = people_on_a_sphere(40, 1500)
    _, different = every_pair(rows, people)
    table = distances.among(rows, people, most_rows=20_000).different
    assert table.sampled
    assert table.exact == 10_000
    np.testing.assert_allclose(table.distances[:10_000], different[:10_000], atol=1e-6)
    assert len(table.distances) < 21_000
    assert table.total == len(different) == pytest.approx(table.weights.sum())
    for distance in (1.0, 1.5, 2.0, 2.5):
        share = table.weights[table.distances <= distance].sum() / table.total
        assert share == pytest.approx(np.mean(different <= distance), abs=0.01)


def test_a_failed_picture_rejects_its_same_pairs_and_has_no_different_ones() -> None:
    rows = np.eye(4, dtype=np.float32)
    rows[3] = np.nan
    found = distances.among(rows, np.array([0, 0, 1, 1]))
    assert found.same.distances.tolist() == [2.0, np.inf]
    assert found.different.distances.tolist() == [2.0, 2.0]
    assert (found.same.total, found.different.total) == (2, 2)


def test_means_of_videos_are_as_far_apart_as_their_frames_on_average() -> None:
    frames, _ = people_on_a_sphere(4, 60)
    videos = frames.reshape(2, 30, -1)
    every = [np.sum((a.astype(np.float64) - b) ** 2) for a in videos[0] for b in videos[1]]
    means = videos.mean(axis=1)
    assert distances.among(means, np.array([0, 1])).different.distances[0] == pytest.approx(np.mean(every), abs=1e-6)
    assert distances.pair_distances(means, np.array([[0, 1]]))[0] == pytest.approx(np.mean(every), abs=1e-6)


@pytest.mark.parametrize("pictures", [0, 1])
def test_all_pairs_of_nobody_are_none(pictures: int) -> None:
    found = distances.among(np.ones((pictures, 1), np.float32), np.zeros(pictures, np.intp))
    assert (found.same.total, found.different.total, len(found.same.distances)) == (0, 0, 0)


def test_the_pairs_of_a_list_are_kept_with_their_failures() -> None:
    rows = np.array([[1, 0], [0, 1], [np.nan, np.nan]], np.float32)
    pairs = np.array([[0, 1], [0, 2], [1, 2], [1, 0]])
    found = distances.listed(rows, np.array([0, 1, 2]), pairs, np.array([True, True, False, False]))
    assert found.same.distances.tolist() == [2.0, np.inf]
    assert found.same.rows.tolist() == [[0, 1], [0, 2]]
    assert (found.different.distances.tolist(), found.different.total) == ([2.0], 1)
