"""Open-set figures against counting every search by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.identification import Roles, identify, roles
from tests.evaluation.spheres import people_on_a_sphere


def test_nobody_is_enrolled_and_searched_for_with_one_picture_nor_both_known_and_strange() -> None:
    _, people = people_on_a_sphere(60, 200)
    drawn = roles(people, pictures=2, strangers=0.4)
    parts = [set(part.tolist()) for part in (drawn.enrolled, drawn.probes, drawn.strangers)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert sum(map(len, parts)) == 200
    assert set(people[drawn.enrolled]) == set(people[drawn.probes]) == set(drawn.order.tolist())
    assert not set(people[drawn.strangers]) & set(drawn.order.tolist())
    assert all(np.sum(people[drawn.enrolled] == person) == 2 for person in drawn.order)
    assert len(set(people)) - len(drawn.order) >= round(0.4 * len(set(people)))


def test_people_with_too_few_pictures_are_the_first_strangers() -> None:
    people = np.array([0, 0, 1, 1, 2, 3], np.intp)
    drawn = roles(people, pictures=1, strangers=0.5)
    assert sorted(drawn.order) == [0, 1]
    assert people[drawn.strangers].tolist() == [2, 3]


def test_without_anybody_to_search_for_there_is_no_test() -> None:
    with pytest.raises(EvaluationError, match="Of 3 people 0 have more than 1 pictures"):
        roles(np.array([0, 1, 2], np.intp), pictures=1)


def test_figures_are_those_of_frte_counted_by_hand() -> None:
    rows, people = people_on_a_sphere(80, 900, noise=1.0)
    drawn = roles(people, pictures=2, strangers=0.5)
    (found,) = identify(rows, people, drawn, sizes=())
    table = ((rows[:, None].astype(np.float64) - rows[drawn.enrolled][None]) ** 2).sum(axis=2)
    nearest, distance = people[drawn.enrolled][table.argmin(axis=1)], table.min(axis=1)
    limit = found.distance_at_fpir["1e-2"]
    false = np.mean(distance[drawn.strangers] <= limit)
    missed = np.mean((nearest != people)[drawn.probes] | (distance[drawn.probes] > limit))
    assert 0 < false <= 1e-2
    assert np.mean(distance[drawn.strangers] <= limit + 0.02) > 1e-2
    assert found.fnir_at_fpir["1e-2"] == pytest.approx(missed)
    assert found.missed == pytest.approx(np.mean((nearest != people)[drawn.probes]))
    assert (found.mated, found.nonmated) == (len(drawn.probes), len(drawn.strangers))


def test_larger_galleries_hold_the_smaller_ones_and_are_harder() -> None:
    rows, people = people_on_a_sphere(200, 1200, noise=1.0)
    sizes = identify(rows, people, roles(people, pictures=1), sizes=(10, 50, 5000), resamples=20)
    assert [one.people for one in sizes] == [10, 50, sizes[-1].people]
    assert [one.missed for one in sizes] == sorted(one.missed for one in sizes)
    assert sizes[0].fnir_at_fpir["1e-2"] < sizes[-1].fnir_at_fpir["1e-2"]
    low, high = sizes[-1].interval["1e-1"]
    assert low < sizes[-1].fnir_at_fpir["1e-1"] < high


def test_a_failed_search_is_a_miss_and_a_failed_stranger_finds_nobody_and_is_left_out() -> None:
    rows = np.eye(6, dtype=np.float32)
    rows[1] = rows[0]
    rows[3] = rows[2]
    people = np.array([0, 0, 1, 1, 2, 3], np.intp)
    drawn = Roles(np.array([0, 2]), np.array([1, 3]), np.array([4, 5]), np.array([0, 1]))
    assert identify(rows, people, drawn)[0].missed == 0
    rows[3] = rows[5] = np.nan
    (found,) = identify(rows, people, drawn)
    assert (found.missed, found.mated, found.nonmated) == (0.5, 2, 1)
    rows[3], rows[2] = rows[2], np.nan  # enrolled without a face
    assert identify(rows, people, drawn)[0].missed == 0.5
