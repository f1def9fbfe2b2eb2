import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from rtface.gallery.cache import Digest, GraphCache, Saved
from rtface.gallery.graph import HnswIndex
from rtface.gallery.index import Labels, Rows
from rtface.gallery.recall import tune
from rtface.gallery.subspace import fitted
from tests.gallery.samples import SIZE, enroll, flat, gallery_at, units

COUNT = 80


def digest(salt: str = "") -> Digest:
    """Of rows that are known by their number, and by what makes them others."""
    return lambda count: f"{count}{salt}"


def saved(path: Path, *, remove: int = 0) -> tuple[GraphCache, Labels, Rows]:
    """A cache of 80 rows, of which the first ones were removed."""
    labels, rows = np.arange(COUNT, dtype=np.int64), units(1, COUNT)
    cache, index = GraphCache(path, "1f2e", SIZE), HnswIndex(SIZE, links=8)
    index.add(labels, rows)
    index.remove(labels[:remove])
    cache.save(Saved(index, tune(index, 0.99)), digest(), revision=7)
    return cache, labels[remove:], rows[remove:]


def assert_same_answers(one: HnswIndex, other: HnswIndex, asked: Rows) -> None:
    labels, at = one.search(asked, 5)
    others, there = other.search(asked, 5)
    assert np.array_equal(labels, others) and np.array_equal(at, there)


def test_saved_index_is_as_the_one_built(tmp_path: Path) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    again = cache.load(digest(), COUNT)
    built = HnswIndex(SIZE, links=8)
    built.add(labels, rows)
    tuning = tune(built, 0.99)
    assert again is not None
    assert np.array_equal(again.graph.vectors(labels), rows)
    assert (again.graph.links, again.graph.effort, again.tuning) == (8, built.effort, tuning)
    assert_same_answers(again.graph, built, units(3, 20))


def test_saved_index_in_a_subspace_is_as_the_one_built(tmp_path: Path) -> None:
    rows, cache = flat(4, 400), GraphCache(tmp_path / "g.db", "1f2e", 64)
    built = HnswIndex(64, space=fitted(rows))
    built.add(np.arange(400, dtype=np.int64), rows)
    cache.save(Saved(built, tune(built, 0.99)), digest(), revision=1)
    again = cache.load(digest(), 400)
    assert again is not None and again.graph.space is not None
    assert_same_answers(again.graph, built, rows)


def test_index_of_the_first_rows_is_used_when_rows_were_added(tmp_path: Path) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    index = cache.load(digest(), COUNT + 5)
    assert index is not None and len(index.graph) == COUNT


def test_removed_rows_are_in_no_saved_index_and_are_not_found_there(tmp_path: Path) -> None:
    cache, labels, rows = saved(tmp_path / "g.db", remove=10)
    data, gone = cache.file.read_bytes(), units(1, 10)
    assert not [row for row in gone if row.tobytes()[:16] in data or row.tobytes()[-16:] in data]
    again = cache.load(digest(), COUNT - 10)
    assert again is not None and sorted(again.graph.labels()) == labels.tolist()
    assert not set(again.graph.search(gone, 5)[0].ravel().tolist()) & set(range(10))
    assert np.mean(again.graph.search(rows, 1)[0][:, 0] == labels) >= 0.98
    again.graph.add(np.array([3]), gone[3:4])
    assert again.graph.search(gone[3:4], 1)[0].tolist() == [[3]]


def test_index_of_removed_or_other_rows_is_not_used(tmp_path: Path) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    assert cache.load(digest(), COUNT - 1) is None
    assert cache.load(digest(" of others"), COUNT) is None


def test_index_of_another_model_is_not_used(tmp_path: Path) -> None:
    saved(tmp_path / "g.db")
    assert GraphCache(tmp_path / "g.db", "other", SIZE).load(digest(), COUNT) is None


def test_absent_index_is_not_used(tmp_path: Path) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    cache.file.unlink()
    assert cache.load(digest(), COUNT) is None
    cache.forget()
    assert cache.load(digest(), COUNT) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 8, 100, 5000, -1])
def test_index_with_one_wrong_byte_is_not_used(tmp_path: Path, place: int) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    data = bytearray(cache.file.read_bytes())
    data[place] ^= 0xFF
    cache.file.write_bytes(data)
    assert cache.load(digest(), COUNT) is None


@pytest.mark.parametrize("length", [0, 50, 10_000])
def test_truncated_index_is_not_used(tmp_path: Path, length: int) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    cache.file.write_bytes(cache.file.read_bytes()[:length])
    assert cache.load(digest(), COUNT) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', "\x00\xff", '{"version": 1, "more": 2}'])
def test_damaged_note_is_not_believed(tmp_path: Path, text: str) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    cache.note.write_text(text, encoding="latin-1")
    assert cache.load(digest(), COUNT) is None


@pytest.mark.parametrize("key", ["effort", "near", "recall", "target", "rows"])
def test_note_that_lacks_a_measurement_is_not_believed(tmp_path: Path, key: str) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    note = json.loads(cache.note.read_text())
    del note["tuning"][key]
    cache.note.write_text(json.dumps(note))
    assert cache.load(digest(), COUNT) is None


@pytest.mark.parametrize(
    "key", ["version", "size", "rows", "rows_digest", "graph_sha256", "model", "tuning", "removed"]
)
def test_note_with_a_value_of_another_kind_is_not_believed(tmp_path: Path, key: str) -> None:
    cache, _, _ = saved(tmp_path / "g.db")
    cache.note.write_text(json.dumps(json.loads(cache.note.read_text()) | {key: None}))
    assert cache.load(digest(), COUNT) is None


def test_only_the_owner_can_read_the_index(tmp_path: Path) -> None:
    saved(tmp_path / "g.db")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_gallery_searches_right_whatever_became_of_its_index(tmp_path: Path) -> None:
    rows = units(1, 40)
    path = tmp_path / "g.db"
    with gallery_at(path, index="hnsw") as gallery:
        enroll(gallery, "Ada", rows)
        wanted = gallery.search(rows, 3)
    graph, note = tmp_path / "g.db.hnsw", tmp_path / "g.db.hnsw.json"
    whole = graph.read_bytes()
    for damage in (b"", whole[:999], b"text", whole[:-1] + b"\x00", bytes(len(whole)), None):
        if damage is None:
            graph.unlink()
        else:
            graph.write_bytes(damage)
        with gallery_at(path, index="hnsw") as gallery:
            assert gallery.search(rows, 3) == wanted
            assert gallery.check() == []
        # Not byte for byte as before: hnswlib's threads draw the levels of the graph in no fixed order.
        kept = hashlib.sha256(graph.read_bytes()).hexdigest()
        assert kept == json.loads(note.read_text())["graph_sha256"], "the index was not built and kept again"


def test_gallery_that_grew_keeps_its_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "g.db"
    with gallery_at(path, index="hnsw") as gallery:
        enroll(gallery, "Ada", units(1, 40))
        gallery.search(units(1, 1), 1)
    with gallery_at(path, index="hnsw") as gallery:
        enroll(gallery, "Bob", units(2, 2))
    caplog.set_level("INFO", "rtface.gallery")
    for _ in range(2):
        with gallery_at(path, index="hnsw") as gallery:
            assert gallery.search(units(2, 2), 1)[1][0].person == "Bob"
    assert caplog.messages == []


def test_index_is_not_kept_while_somebody_else_removes_a_person(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with gallery_at(path, index="hnsw") as slow:
        enroll(slow, "Ada", units(1, 10))
        enroll(slow, "Bob", units(2, 10))
        slow.search(units(1, 1), 1)
        with gallery_at(path) as other:
            other.remove("Bob")
    assert not (tmp_path / "g.db.hnsw").exists()
