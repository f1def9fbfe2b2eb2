import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from rtface.gallery.cache import GraphCache, RowDigest
from rtface.gallery.index import HnswIndex, Labels, Rows
from tests.gallery.samples import SIZE, enroll, gallery_at, units

COUNT = 80


def saved(path: Path) -> tuple[GraphCache, Labels, Rows]:
    """A cache of 80 rows."""
    labels, rows = np.arange(COUNT, dtype=np.int64), units(1, COUNT)
    cache, digest, index = GraphCache(path, "1f2e", SIZE), RowDigest(), HnswIndex(SIZE)
    index.add(labels, rows)
    digest.update(labels, rows)
    cache.save(index, digest, revision=7)
    return cache, labels, rows


def test_saved_index_is_used_again(tmp_path: Path) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    index = cache.load(labels, rows)
    assert index is not None
    assert np.array_equal(index.vectors(labels), rows)


def test_index_of_the_first_rows_is_used_when_rows_were_added(tmp_path: Path) -> None:
    cache, _, rows = saved(tmp_path / "g.db")
    index = cache.load(np.arange(COUNT + 5, dtype=np.int64), np.concatenate([rows, units(2, 5)]))
    assert index is not None and len(index) == COUNT


def test_index_of_removed_or_other_rows_is_not_used(tmp_path: Path) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    assert cache.load(labels[:-1], rows[:-1]) is None
    assert cache.load(np.delete(np.append(labels, 80), 3), np.concatenate([rows[:3], rows[4:], units(2, 1)])) is None
    other = rows.copy()
    other[3] = -other[3]
    assert cache.load(labels, other) is None
    assert cache.load(labels + 1, rows) is None


def test_index_of_another_model_is_not_used(tmp_path: Path) -> None:
    _, labels, rows = saved(tmp_path / "g.db")
    assert GraphCache(tmp_path / "g.db", "other", SIZE).load(labels, rows) is None


def test_absent_index_is_not_used(tmp_path: Path) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    cache.file.unlink()
    assert cache.load(labels, rows) is None
    cache.forget()
    assert cache.load(labels, rows) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 8, 100, 5000, -1])
def test_index_with_one_wrong_byte_is_not_used(tmp_path: Path, place: int) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    data = bytearray(cache.file.read_bytes())
    data[place] ^= 0xFF
    cache.file.write_bytes(data)
    assert cache.load(labels, rows) is None


@pytest.mark.parametrize("length", [0, 50, 10_000])
def test_truncated_index_is_not_used(tmp_path: Path, length: int) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    cache.file.write_bytes(cache.file.read_bytes()[:length])
    assert cache.load(labels, rows) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', "\x00\xff", '{"version": 1, "more": 2}'])
def test_damaged_note_is_not_believed(tmp_path: Path, text: str) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    cache.note.write_text(text, encoding="latin-1")
    assert cache.load(labels, rows) is None


@pytest.mark.parametrize("key", ["version", "size", "rows", "rows_sha256", "graph_sha256", "model"])
def test_note_with_a_value_of_another_kind_is_not_believed(tmp_path: Path, key: str) -> None:
    cache, labels, rows = saved(tmp_path / "g.db")
    cache.note.write_text(json.dumps(json.loads(cache.note.read_text()) | {key: None}))
    assert cache.load(labels, rows) is None


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
