"""The assignment against every permutation there is."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.tracking.assignment import assign

REPEATABLE = settings(derandomize=True, deadline=None)
LIMIT = 2.0
COST = st.one_of(st.floats(0, 3), st.sampled_from([0.0, 1.0, LIMIT, math.inf]))
TABLES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(st.lists(COST, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def cheapest_total(costs: list[list[float]]) -> float:
    rows, columns = len(costs), len(costs[0])
    if rows > columns:
        return cheapest_total([list(column) for column in zip(*costs, strict=True)])
    return min(
        sum(min(costs[row][column], LIMIT) for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


@REPEATABLE
@given(TABLES)
def test_total_is_that_of_the_best_permutation(costs: list[list[float]]) -> None:
    pairs = assign(costs, LIMIT)
    given_up = min(len(costs), len(costs[0])) - len(pairs)
    total = sum(costs[row][column] for row, column in pairs) + given_up * LIMIT
    assert total == pytest.approx(cheapest_total(costs), abs=1e-9)


@REPEATABLE
@given(TABLES)
def test_pairs_are_one_to_one_under_the_limit_and_by_row(costs: list[list[float]]) -> None:
    pairs = assign(costs, LIMIT)
    rows = [row for row, _ in pairs]
    assert rows == sorted(set(rows))
    assert len({column for _, column in pairs}) == len(pairs)
    assert all(costs[row][column] < LIMIT for row, column in pairs)


@pytest.mark.parametrize("costs", [[], [[]], [[], []]])
def test_nobody_or_nothing_makes_no_pairs(costs: list[list[float]]) -> None:
    assert assign(costs, LIMIT) == []


def test_a_row_of_faces_that_all_moved_on_by_more_than_half_their_distance_moves_together() -> None:
    places = [0.0, 1.2, 2.4, 3.6]
    moved = [place + 0.7 for place in places]
    costs = [[abs(there - here) for there in moved] for here in places]
    assert assign(costs, LIMIT) == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_a_good_pair_is_not_broken_up_for_two_bad_ones() -> None:
    assert assign([[0.05, 1.9], [1.9, math.inf]], LIMIT) == [(0, 0)]
