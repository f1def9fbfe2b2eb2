"""Whoever is removed is in no file afterwards."""

import os
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryUnavailable
from rtface.gallery.index import IndexKind
from rtface.gallery.store import PersonGallery
from rtface.gallery.vectors import FORMS
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


@pytest.mark.parametrize("key", [None, bytes(range(32))], ids=["open", "sealed"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["removed", "expired", "merged", "emptied"])
def test_nothing_of_whatever_is_erased_is_left_in_any_form(
    tmp_path: Path, key: bytes | None, form: str, how: str
) -> None:
    """Vectors as stored and as searched, faces, the name, note, tag, purpose, path and checksum."""
    if key:
        pytest.importorskip("cryptography")
    path = tmp_path / "g.db"
    gallery_at(path, key=key).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET form = ?", (form,))
    with gallery_at(path, index="hnsw", key=key) as gallery:
        life(gallery, "Bob Staying", 2)
        life(gallery, "Ada Secretname", 1)
        gallery.search(units(1, 1), 3)
        kept = [value for table in ("vector FROM embeddings", "jpeg FROM crops") for value in stored(gallery, table)]
    data = bytes_on_disk(path)
    assert all(word in data for word in WORDS) and all(value in data for value in kept)
    with gallery_at(path, index="hnsw", key=key) as gallery:
        gallery.search(units(1, 1), 3)
        hers = erased(gallery, how)
        gone = [value for value in kept if value in hers]
        assert len(gone) == 2 * 6
        assert left(path, gallery, gone, how) == []
        gallery.search(units(1, 1), 3)
    with gallery_at(path, index="hnsw", key=key) as gallery:
        assert gallery.search(units(2, 1), 1)[0][0].person == "Bob Staying"
        assert left(path, gallery, gone, how) == []
        assert gallery.check() == []


WORDS = [b"Ada Secretname", b"a note of 1", b"tag of 1", b"purpose of 1", b"/pictures/1-0.jpg", b"sha of 1-0"]
"""What there is to be read of the person of seed 1."""


def life(gallery: PersonGallery, name: str, seed: int) -> None:
    """Somebody with six pictures, one of them a counter-example, and everything else there can be."""
    for place, row in enumerate(units(seed, 6)):
        gallery.add(
            name,
            row,
            sha256=f"sha of {seed}-{place}",
            file=f"/pictures/{seed}-{place}.jpg",
            quality=0.5,
            against=place == 5,
            crop=np.random.default_rng([seed, place]).bytes(3000),
        )
    gallery.note(name, f"a note of {seed}")
    gallery.tag(name, [f"tag of {seed}"])
    gallery.consent(name, f"purpose of {seed}")


def stored(gallery: PersonGallery, what: str) -> list[bytes]:
    return [value for (value,) in gallery.database.rows(f"SELECT {what} ORDER BY picture_id")]


def erased(gallery: PersonGallery, how: str) -> set[bytes]:
    """Erases the person of seed 1; gives what was stored of her."""
    hers = "{} JOIN pictures ON pictures.id = picture_id JOIN people ON people.id = person_id WHERE name LIKE 'Ada%'"
    values = {
        value
        for what in ("vector FROM embeddings", "jpeg FROM crops")
        for (value,) in gallery.database.rows(f"SELECT {hers.format(what)}")
    }
    if how == "expired":
        gallery.consent("Ada Secretname", "purpose of 1", date(2023, 1, 1))
        gallery.expire()
    elif how == "merged":  # into somebody who has the same pictures: hers are not needed twice
        for place, row in enumerate(units(7, 6)):
            gallery.add("Bob Staying", row, sha256=f"sha of 1-{place}", file="/other", quality=0.5)
        gallery.merge("Ada Secretname", "Bob Staying")
        gallery.note("Bob Staying", "")
        gallery.tag("Bob Staying", [], remove=["tag of 1"])
    else:
        gallery.remove("Ada Secretname")
    if how == "emptied":
        gallery.remove("Bob Staying")
        life(gallery, "Bob Staying", 2)
    return values


def left(path: Path, gallery: PersonGallery, gone: list[bytes], how: str) -> list[bytes]:
    """What can still be found of the person of seed 1."""
    rows = gallery.form.decode(gallery.form.encode(gallery.form.project(units(1, 6))))
    vectors = [row.astype("<f4").tobytes() for row in (*units(1, 6), *rows)]
    faces = [np.random.default_rng([1, place]).bytes(3000) for place in range(6)]
    pieces = [value[at : at + 16] for value in (*gone, *vectors, *faces) for at in range(0, len(value) - 15, 16)]
    words = [word for word in WORDS if how != "merged" or not word.startswith((b"sha", b"purpose"))]
    data = bytes_on_disk(path)
    return [piece for piece in (*words, *pieces) if piece in data]
