from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtface.gallery import index as index_module
from rtface.gallery.graph import HnswIndex
from rtface.gallery.index import EXACT_UP_TO, ExactIndex, Index, Labels, Rows, choose
from tests.gallery.samples import SIZE, clusters, distances, units


class HalfWaiting(HnswIndex):
    """Takes in half of the rows and lets the others wait."""

    def add(self, labels: Labels, rows: Rows) -> None:
        half = len(labels) // 2
        super().add(labels[:half], rows[:half])
        self.add_later(labels[half:], rows[half:])


KINDS: list[Callable[[int], Index]] = [ExactIndex, HnswIndex, HalfWaiting]
kinds = pytest.mark.parametrize("make", KINDS, ids=["exact", "hnsw", "waiting"])


def labels(start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(start, stop, dtype=np.int64)


def filled(make: Callable[[int], Index], rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Index:
    index = make(rows.shape[1])
    index.add(labels(100, 100 + len(rows)), rows)
    return index


def test_exact_search_is_what_subtraction_gives() -> None:
    rows, queries = units(1, 500), units(2, 40)
    found, at = filled(ExactIndex, rows).search(queries, 7)
    truth = distances(queries, rows)
    order = np.argsort(truth, axis=1)[:, :7]
    assert (found == order + 100).all()
    np.testing.assert_allclose(at, np.take_along_axis(truth, order, axis=1), atol=2e-6)


def test_exact_search_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    index, queries = filled(ExactIndex, units(1, 300)), units(2, 41)
    whole = index.search(queries, 5)
    monkeypatch.setattr(index_module, "BLOCK_ELEMENTS", 1000)
    blocks = index.search(queries, 5)
    assert (whole[0] == blocks[0]).all()
    np.testing.assert_allclose(whole[1], blocks[1], atol=1e-6)


def test_hnsw_finds_what_exact_search_finds() -> None:
    rows = clusters(3, people=300, each=10)
    queries = clusters(3, people=300, each=10)[::7] + units(5, 429) * 0.2
    queries = np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True), np.float32)
    exact, exact_at = filled(ExactIndex, rows).search(queries, 5)
    graph, graph_at = filled(HnswIndex, rows).search(queries, 5)
    recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(exact.tolist(), graph.tolist(), strict=True)])
    assert recall >= 0.99
    same = exact == graph
    np.testing.assert_allclose(exact_at[same], graph_at[same], atol=2e-6)


@kinds
def test_more_neighbours_than_rows_are_all_rows(make: Callable[[int], Index]) -> None:
    found, at = filled(make, units(1, 3)).search(units(2, 2), 50)
    assert found.shape == at.shape == (2, 3)
    assert (np.diff(at, axis=1) >= 0).all()


@kinds
def test_empty_index_finds_nothing(make: Callable[[int], Index]) -> None:
    found, at = make(SIZE).search(units(2, 4), 5)
    assert found.shape == at.shape == (4, 0)


@kinds
def test_no_query_has_no_answer(make: Callable[[int], Index]) -> None:
    found, _ = filled(make, units(1, 30)).search(units(2, 0), 5)
    assert found.shape == (0, 5)


@kinds
def test_rows_added_one_by_one_are_found(make: Callable[[int], Index]) -> None:
    rows = units(4, 1500)
    index = make(SIZE)
    index.add(labels(0, 1000), rows[:1000])
    for place in range(1000, 1500):
        index.add(labels(place, place + 1), rows[place : place + 1])
    found, at = index.search(rows, 1)
    assert len(index) == 1500
    assert np.mean(found[:, 0] == labels(0, 1500)) >= 0.99
    assert np.median(at) < 1e-5


@kinds
def test_removed_rows_are_not_found(make: Callable[[int], Index]) -> None:
    rows = units(4, 60)
    index = filled(make, rows)
    index.remove(labels(110, 150))
    found, _ = index.search(rows, 60)
    assert len(index) == 20
    assert sorted(set(found.ravel().tolist())) == [*range(100, 110), *range(150, 160)]
    assert found.shape == (60, 20)


@kinds
def test_rows_can_be_added_after_all_were_removed(make: Callable[[int], Index]) -> None:
    index = filled(make, units(1, 5))
    index.remove(labels(100, 105))
    assert index.search(units(2, 1), 3)[0].shape == (1, 0)
    index.add(labels(200, 202), units(3, 2))
    assert sorted(index.search(units(2, 1), 3)[0].ravel().tolist()) == [200, 201]


@kinds
def test_many_equal_rows_are_all_found(make: Callable[[int], Index]) -> None:
    rows = np.repeat(units(1, 3), 200, axis=0)
    found, at = filled(make, rows).search(rows[:1], 300)
    assert len(set(found[0].tolist())) == 300
    assert (at[0, :200] < 1e-5).all() and (at[0, 200:] > 0.1).all()


@kinds
def test_equal_distances_come_in_the_order_of_their_labels(make: Callable[[int], Index]) -> None:
    found, _ = filled(make, np.repeat(units(1, 1), 5, axis=0)).search(units(1, 1), 5)
    assert found[0].tolist() == [100, 101, 102, 103, 104]


@kinds
def test_distances_stay_between_0_and_4(make: Callable[[int], Index]) -> None:
    row = units(1, 1)
    _, at = filled(make, np.concatenate([row, -row])).search(row, 2)
    assert at[0, 0] >= 0 and at[0, 1] <= 4
    np.testing.assert_allclose(at, [[0, 4]], atol=1e-5)


@kinds
def test_vectors_come_back_as_they_went_in(make: Callable[[int], Index]) -> None:
    rows = units(1, 20)
    index = filled(make, rows)
    index.remove(labels(103, 105))
    assert np.array_equal(index.vectors(np.array([119, 100, 107])), rows[[19, 0, 7]])


def test_rows_that_wait_are_found_as_well_as_those_of_the_graph_and_settle_bit_by_bit() -> None:
    rows, asked = units(1, 500), units(2, 60)
    index = HnswIndex(SIZE)
    index.add(labels(0, 300), rows[:300])
    index.add_later(labels(300, 500), rows[300:])
    truth = distances(asked, rows)
    for waiting in (200, 150, 100, 50, 0, 0):
        assert (len(index), index.waiting) == (500, waiting)
        found, at = index.search(asked, 7)
        assert np.mean(np.sort(found) == np.sort(np.argsort(truth, axis=1)[:, :7])) > 0.98
        np.testing.assert_allclose(at, np.take_along_axis(truth, found, axis=1), atol=2e-6)
        assert np.array_equal(np.sort(index.labels()), labels(0, 500))
        assert np.array_equal(index.vectors(labels(0, 500)[::-1]), rows[::-1])
        index.settle(50)


def test_rows_that_are_taken_leave_memory() -> None:
    rows, index = units(1, 30), ExactIndex(SIZE)
    index.add(labels(0, 30), rows)
    taken, theirs = index.take(20)
    assert np.array_equal(taken, labels(10, 30)) and np.array_equal(theirs, rows[10:])
    assert not index._rows[10:30].any()
    assert np.array_equal(index.take(99)[0], labels(0, 10)) and len(index) == 0 and len(index.take(1)[0]) == 0


def test_rows_that_wait_are_saved(tmp_path: Path) -> None:
    rows, index = units(1, 40), HnswIndex(SIZE)
    index.add(labels(0, 20), rows[:20])
    index.remove(labels(0, 5))
    index.add_later(labels(3, 5), rows[3:5])  # labels that were removed come again
    index.add_later(labels(20, 40), rows[20:])
    index.remove(labels(30, 32))
    before = index.search(rows, 3)
    index.save(tmp_path / "graph")
    again = HnswIndex(SIZE, file=tmp_path / "graph", removed=index.removed)
    assert len(again) == len(index) == 35 and index.removed == [0, 1, 2]
    assert np.array_equal(again.search(rows, 3)[0], before[0])


def test_saved_graph_is_read_again(tmp_path: Path) -> None:
    rows = units(1, 200)
    index = HnswIndex(SIZE)
    index.add(labels(0, 200), rows)
    index.save(tmp_path / "graph")
    again = HnswIndex(SIZE, file=tmp_path / "graph")
    again.add(labels(200, 300), units(2, 100))
    assert (again.search(rows, 1)[0][:, 0] == labels(0, 200)).all()
    assert len(again) == 300


def test_graph_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        filled_graph().save(tmp_path / "missing" / "graph")


def filled_graph() -> HnswIndex:
    index = HnswIndex(SIZE)
    index.add(labels(0, 10), units(1, 10))
    return index


def test_small_galleries_are_searched_exactly() -> None:
    assert [choose("auto", rows) for rows in (0, EXACT_UP_TO, EXACT_UP_TO + 1)] == ["exact", "exact", "hnsw"]
    assert (choose("hnsw", 0), choose("exact", 10**6)) == ("hnsw", "exact")
