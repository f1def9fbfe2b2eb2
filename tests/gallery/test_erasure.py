"""Whoever is removed is in no file afterwards."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryUnavailable
from rtface.gallery.index import IndexKind
from tests.gallery.samples import bytes_on_disk, enroll, gallery_at, traces, units


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_removed_person_leaves_no_trace(tmp_path: Path, kind: IndexKind) -> None:
    path, ada, bob = tmp_path / "g.db", units(1, 20), units(2, 20)
    with gallery_at(path, index=kind) as gallery:
        enroll(gallery, "Ada Secretname", ada)
        enroll(gallery, "Bob", bob)
        gallery.search(ada, 3)
    assert traces(path, ada[0]) and traces(path, bob[0])
    with gallery_at(path, index=kind) as gallery:
        gallery.search(ada, 3)
        gallery.remove("Ada Secretname")
        for row in ada:
            assert traces(path, row) == 0
        assert b"Secretname" not in bytes_on_disk(path)
        gallery.search(ada, 3)
    assert traces(path, bob[0])
    for row in ada:
        assert traces(path, row) == 0
    with gallery_at(path, index=kind) as gallery:
        gallery.search(ada, 3)
    assert sum(traces(path, row) for row in ada) == 0


def test_nothing_of_anybody_removed_is_left_after_a_long_life(tmp_path: Path) -> None:
    """Short cells (paths, names) left stale copies on pages that SQLite had rebalanced, whatever secure_delete says."""
    path, rng = tmp_path / "g.db", np.random.default_rng(4)
    marks: dict[str, list[bytes]] = {}
    removed: list[bytes] = []
    with gallery_at(path) as gallery:
        for step in range(160):
            name = f"person {rng.integers(12)}"
            if name in marks and rng.random() < 0.2:
                gallery.remove(name)
                removed += marks.pop(name)
                data = bytes_on_disk(path)
                assert not [mark for mark in removed if mark in data]
            for row in units(step, int(rng.integers(1, 4))):
                mark = os.urandom(8).hex()
                gallery.add(name, row, sha256=mark * 4, file=f"/pictures/{mark}", quality=0.5)
                marks.setdefault(name, []).extend([mark.encode(), row.tobytes()[:16]])
    assert len(removed) > 50


def test_old_name_leaves_the_file(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "g.db") as gallery:
        gallery.add("Xavier", units(1, 1)[0], sha256="s", file="f", quality=1.0)
        gallery.rename("Xavier", "Ada")
        assert b"Xavier" not in bytes_on_disk(tmp_path / "g.db")


def test_index_left_half_written_by_a_killed_program_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with gallery_at(path) as gallery:
        enroll(gallery, "Ada", units(1, 2))
        (tmp_path / "g.db.hnsw.new").write_bytes(units(1, 2).tobytes())
        gallery.remove("Ada")
    assert traces(path, units(1, 1)[0]) == 0


def test_erasure_somebody_s_reading_holds_up_is_told_and_finished_later(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with gallery_at(path) as gallery:
        enroll(gallery, "Ada", units(1, 2))
        enroll(gallery, "Bob", units(2, 2))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        with pytest.raises(GalleryUnavailable, match="traces of what was removed"):
            gallery.remove("Ada")
        assert gallery.counts() == {"Bob": 2}
        reader.close()
        assert gallery.check() == []
        assert traces(path, units(1, 1)[0]) == 0


def test_erasure_cut_short_is_finished_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with gallery_at(path) as gallery:
        enroll(gallery, "Ada", units(1, 2))
        enroll(gallery, "Bob", units(2, 2))
        with sqlite3.connect(path) as killed:  # no secure_delete: everything it removes stays readable in the file
            killed.execute("PRAGMA foreign_keys = ON")
            killed.execute("PRAGMA secure_delete = OFF")
            killed.execute("DELETE FROM people WHERE name = 'Ada'")
            killed.execute("UPDATE meta SET revision = 90, rewritten = 90, erasing = 90")
        killed.close()
    assert traces(path, units(1, 1)[0]) > 0
    with gallery_at(path) as gallery:
        assert traces(path, units(1, 1)[0]) == 0
        assert gallery.counts() == {"Bob": 2}
