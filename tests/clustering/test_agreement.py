"""Groups against people: scikit-learn's pairs, and BCubed as it is written down, item by item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.cluster import pair_confusion_matrix

from rtface.clustering.agreement import bcubed, pairwise

labelled = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30)


@given(labelled)
def test_pairs_are_those_scikit_learn_counts(items: list[tuple[int, int]]) -> None:
    people, groups = zip(*items, strict=True)
    (_, wrong), (missed, right) = pair_confusion_matrix(people, groups).tolist()
    found = pairwise(people, groups)
    assert found.precision == pytest.approx(right / (right + wrong) if right + wrong else 1.0)
    assert found.recall == pytest.approx(right / (right + missed) if right + missed else 1.0)


@given(labelled)
def test_bcubed_is_the_mean_over_items(items: list[tuple[int, int]]) -> None:
    people, groups = zip(*items, strict=True)
    precision = recall = 0.0
    for person, group in items:
        inside = [other for other, where in items if where == group]
        theirs = [where for other, where in items if other == person]
        precision += inside.count(person) / len(inside) / len(items)
        recall += theirs.count(group) / len(theirs) / len(items)
    found = bcubed(people, groups)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)


def test_worked_example() -> None:
    found = bcubed(["a", "a", "a", "b"], [1, 1, 2, 2])
    assert found.precision == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert found.recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert pairwise(["a", "a", "a", "b"], [1, 1, 2, 2]).f1 == pytest.approx(0.4)


def test_nothing_put_together_is_precise_and_finds_nothing() -> None:
    found = pairwise(["a", "a"], [1, 2])
    assert (found.precision, found.recall, found.f1) == (1.0, 0.0, 0.0)
