from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import betainc

from rtface.errors import ModelBroken
from rtface.gallery.impostor_pairs import COUNTED, RAREST, near_pairs, tail_from
from rtface.gallery.impostors import ImpostorTail, Step, shipped_tail, tail_of
from rtface.models.catalogue import load, shipped_file
from tests.gallery.samples import clusters, distances, units

TAIL = ImpostorTail(1000, (Step(0.5, 1e-5, 5e-6, 2e-5), Step(0.7, 1e-3, 8e-4, 1.2e-3), Step(0.9, 1e-1, 0.09, 0.11)))


def numbered(*pictures: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(pictures)), pictures)


def test_near_pairs_are_those_of_brute_force() -> None:
    people = numbered(1, 3, 2, 5, 1, 4)
    rows = units(3, len(people), 8)
    found = near_pairs(rows, people, within=1.5)
    exact = distances(rows, rows)
    expected = sorted(
        (exact[i, j], int(people[i]), int(people[j]))
        for i, j in combinations(range(len(people)), 2)
        if people[i] != people[j] and exact[i, j] <= 1.5
    )
    assert found.distances == pytest.approx([distance for distance, _, _ in expected], abs=1e-5)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [pair[1:] for pair in expected]


def test_two_people_count_once_whatever_the_number_of_their_pictures() -> None:
    people = numbered(1, 7, 3)
    assert near_pairs(units(5, len(people)), people, within=4.0).count(4.0) == pytest.approx(3)


def test_nobody_has_no_pairs() -> None:
    found = near_pairs(np.zeros((0, 8), np.float32), np.zeros(0, np.int64))
    assert (found.people, found.count(4.0)) == (0, 0.0)
    assert tail_from(found) is None


def test_few_people_show_no_tail() -> None:
    assert tail_from(near_pairs(units(1, 30), numbered(*[1] * 30))) is None


def test_tail_is_counted_where_pairs_are_and_continued_where_none_is() -> None:
    """Points spread evenly over a sphere in n dimensions: a quarter of their squared distance is Beta((n - 1) / 2,
    (n - 1) / 2), so the rate within a distance that nobody counted is known."""
    people, dimensions = 1500, 8
    tail = tail_from(near_pairs(units(4, people, dimensions), np.arange(people)))
    assert tail is not None
    assert tail.steps[0].rate <= 4 * RAREST
    assert sum(step.rate * math.comb(people, 2) < COUNTED * 0.99 for step in tail.steps) >= 8
    for step in tail.steps:
        truth = betainc((dimensions - 1) / 2, (dimensions - 1) / 2, step.distance / 4)
        assert step.low <= truth <= step.high
        assert step.rate == pytest.approx(truth, rel=0.1 if step.rate > 1e-3 else 0.6)


def test_interval_holds_what_other_people_of_the_same_kind_have() -> None:
    rows, people = clusters(7, 900, 2, size=24), numbered(*[2] * 900)
    tail = tail_from(near_pairs(rows[:600], people[:600]))
    assert tail is not None
    others = near_pairs(rows[600:], people[600:] - 300)
    middle = tail.steps[-1]
    assert middle.low <= others.count(middle.distance) / math.comb(600, 2) <= middle.high


def test_rate_between_steps_is_straight_over_the_logarithm() -> None:
    assert TAIL.at(0.6).rate == pytest.approx(1e-4)
    assert TAIL.at(0.8).rate == pytest.approx(1e-2)
    assert TAIL.at(0.4).rate == pytest.approx(1e-6)
    assert TAIL.at(3.0).rate == 1


@given(st.floats(0, 4), st.floats(0, 4))
def test_rate_grows_with_distance_and_lies_in_its_interval(some: float, more: float) -> None:
    near, far = (TAIL.at(distance) for distance in sorted((some, more)))
    assert near.rate <= far.rate
    assert near.low <= near.rate <= near.high


def test_smallest_rate_is_the_rule_of_three_over_pairs_of_people() -> None:
    assert TAIL.smallest_rate == pytest.approx(3 / 499_500)


@pytest.mark.parametrize(
    ("people", "steps"),
    [
        (None, [[0.5, 1e-5, 5e-6, 2e-5], [0.7, 1e-3, 8e-4, 1.2e-3]]),
        (9, [[0.5, 1e-5, 5e-6, 2e-5]]),
        (9, [[0.5, 1e-3, 5e-4, 2e-3], [0.7, 1e-3, 8e-4, 1.2e-3]]),
        (9, [[0.5, 1e-5, 2e-5, 3e-5], [0.7, 1e-3, 8e-4, 1.2e-3]]),
        (9, [[0.5, 1e-5, 5e-6], [0.7, 1e-3, 8e-4, 1.2e-3]]),
        (9, [["a", 1e-5, 5e-6, 2e-5], [0.7, 1e-3, 8e-4, 1.2e-3]]),
    ],
)
def test_what_is_no_tail_is_refused(people: object, steps: object) -> None:
    with pytest.raises(ValueError, match=r"tail|rate|number of people|grow"):
        tail_of(people, steps)


def test_shipped_models_have_tails_whose_limits_are_near_those_of_the_catalogue(tmp_path: Path) -> None:
    """Two measurements of the same people: models.toml counts pairs of pictures, of which the often photographed have
    most, and impostors.toml pairs of people."""
    for name, spec in load(tmp_path).items():
        tail = shipped_tail(name, spec.fingerprint)
        assert (tail is not None) == (name in ("facenet", "sface"))
        if tail is not None:
            for rate, distance in spec.limits.items():
                assert 1 / 3 < tail.at(distance).rate / rate < 1.5


def test_statistics_of_other_weights_are_not_used() -> None:
    assert shipped_tail("facenet", "0" * 12) is None


def test_damaged_statistics_are_told(tmp_path: Path) -> None:
    file = tmp_path / "impostors.toml"
    text = shipped_file("impostors.toml").read_text(encoding="utf-8")
    file.write_text(text.replace("people = 1704", 'people = "many"'), encoding="utf-8")
    with pytest.raises(ModelBroken, match="install rtface again"):
        shipped_tail("facenet", load(tmp_path)["facenet"].fingerprint, file=file)
