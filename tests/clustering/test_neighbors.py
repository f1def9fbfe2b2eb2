"""Edges between faces, against brute force and, through HNSW, against the exact search."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.clustering import neighbors
from rtface.clustering.neighbors import nearest_edges
from tests.clustering.faces import people


def test_every_pair_within_the_distance_is_there_once() -> None:
    rows, _ = people(5, 6, spread=0.9)
    squares = 2 - 2 * rows.astype(np.float64) @ rows.T
    wanted = {(a, b) for a in range(30) for b in range(a + 1, 30) if squares[a, b] < 1.1}
    edges, weights = nearest_edges(rows, 1.1)
    assert len(wanted) > 30
    assert set(map(tuple, edges.tolist())) == wanted
    assert len(edges) == len(wanted)
    np.testing.assert_allclose(weights, 1 - squares[edges[:, 0], edges[:, 1]] / 1.1, atol=1e-5)


def test_only_so_many_neighbours_of_each_are_looked_at() -> None:
    rows, _ = people(1, 30)
    assert len(nearest_edges(rows, 3.9, neighbors=2)[0]) <= 60


def test_the_graph_index_finds_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = people(60, 10)
    exact = set(map(tuple, nearest_edges(rows, 0.9)[0].tolist()))
    monkeypatch.setattr(neighbors, "EXACT_UP_TO", 10)
    near = set(map(tuple, nearest_edges(rows, 0.9)[0].tolist()))
    assert len(exact) > 2000
    assert len(exact & near) > 0.98 * len(exact)
    assert len(near - exact) < 0.02 * len(exact)
