"""Faces put together by person: every method, what it refuses, and what a graph does that others do not."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering

from rtface.clustering.agreement import pairwise
from rtface.clustering.grouping import MOST_LINKED, Method, by_size, default_distance, group_faces, whisper
from rtface.clustering.neighbors import nearest_edges
from rtface.errors import ConfigError, MissingLibrary
from tests.clustering.faces import people

LIMITS: Mapping[float, float] = {1e-2: 1.2, 1e-3: 1.0, 1e-4: 0.8, 1e-5: 0.7}


@pytest.mark.parametrize("method", list(Method))
def test_people_far_apart_are_found_exactly(method: Method) -> None:
    rows, who = people(12, 7)
    groups = group_faces(rows, method, distance=0.9, people=12)
    agreed = pairwise(who.tolist(), groups.tolist())
    assert (agreed.precision, agreed.recall) == (1.0, 1.0)


@pytest.mark.parametrize("method", [Method.AVERAGE, Method.COMPLETE])
@pytest.mark.parametrize("distance", [0.4, 0.9, 1.6])
def test_linkage_is_what_scikit_learn_makes_of_it(method: Method, distance: float) -> None:
    rows, _ = people(9, 5, spread=0.9)
    squares = np.maximum(2 - 2 * rows.astype(np.float64) @ rows.T, 0)
    np.fill_diagonal(squares, 0)
    other = AgglomerativeClustering(None, metric="precomputed", linkage=method.value, distance_threshold=distance)
    agreed = pairwise(other.fit(squares).labels_.tolist(), group_faces(rows, method, distance=distance).tolist())
    assert (agreed.precision, agreed.recall) == (1.0, 1.0)


@pytest.mark.parametrize("method", [Method.GRAPH, Method.AVERAGE, Method.COMPLETE])
def test_strangers_stay_by_themselves(method: Method) -> None:
    rows, _ = people(40, 1)
    assert len(set(group_faces(rows, method, distance=0.8).tolist())) == 40


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_face(method: Method, count: int) -> None:
    assert group_faces(people(1, 1)[0][:count], method, distance=1.0).tolist() == [0] * count


def test_one_false_likeness_does_not_join_two_people_in_the_graph() -> None:
    rows, who = people(2, 10)
    edges, weights = nearest_edges(rows, 0.9)
    a, b = np.flatnonzero(who == 0)[0], np.flatnonzero(who == 1)[0]
    groups = whisper(len(rows), np.vstack([edges, sorted((a, b))]), np.append(weights, 0.5))
    agreed = pairwise(who.tolist(), groups.tolist())
    assert (agreed.precision, agreed.recall) == (1.0, 1.0)


def test_two_faces_of_one_picture_are_joined_by_nothing() -> None:
    rows = people(1, 2)[0]
    assert group_faces(rows, Method.GRAPH, distance=1.0).tolist() == [0, 0]
    assert group_faces(rows, Method.GRAPH, distance=1.0, pictures=np.array([7, 7])).tolist() == [0, 1]


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_faces_does_not_matter_where_people_are_apart(seed: int) -> None:
    rows, who = people(6, 5)
    order = np.random.default_rng(seed).permutation(len(rows))
    groups = group_faces(rows[order], Method.GRAPH, distance=0.9, seed=seed)
    assert pairwise(who[order].tolist(), groups.tolist()).f1 == 1.0


def test_groups_are_numbered_from_the_largest() -> None:
    assert by_size(np.array([9, 4, 4, 2, 9, 4])).tolist() == [1, 0, 0, 2, 1, 0]


@pytest.mark.parametrize(("faces", "distance"), [(10, 1.0), (1000, 1.0), (10_000, 0.8), (100_000, 0.7)])
def test_more_faces_have_to_be_more_alike(faces: int, distance: float) -> None:
    assert default_distance(LIMITS, faces) == pytest.approx(distance)


def test_kmeans_has_to_be_told_how_many() -> None:
    with pytest.raises(ConfigError, match="--people N"):
        group_faces(people(2, 2)[0], Method.KMEANS, distance=1.0)


def test_kmeans_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'rtface\[cluster\]'"):
        group_faces(people(2, 2)[0], Method.KMEANS, distance=1.0, people=2)


def test_linkage_of_too_many_names_the_method_that_can() -> None:
    rows = np.broadcast_to(np.array([1, 0], np.float32), (MOST_LINKED + 1, 2))
    with pytest.raises(ConfigError, match=r"20,000 faces at most, these are 20,001: take --method graph"):
        group_faces(rows, Method.AVERAGE, distance=1.0)
