"""Galleries of the first version become today's, whole or not at all."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryUnavailable
from rtface.gallery import schema
from rtface.gallery.store import Picture
from tests.gallery.first_version import first_version_at
from tests.gallery.samples import SIZE, enroll, gallery_at, units


@pytest.fixture
def path(tmp_path: Path) -> Path:
    first_version_at(tmp_path / "g.db", {"Ada": units(1, 6), "김민수": units(2, 4)})
    return tmp_path / "g.db"


def tables(path: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
        return [(name, *row) for name in names for row in connection.execute(f"PRAGMA table_info({name})")]
    finally:
        connection.close()


def test_gallery_of_the_first_version_opens_with_everything_in_it(path: Path) -> None:
    with gallery_at(path, create=False) as gallery:
        assert {person.name: person.pictures for person in gallery.people()} == {"Ada": 6, "김민수": 4}
        assert gallery.pictures("Ada")[2] == Picture("Ada-2", "/old/Ada-2.jpg", 2.5, 0.5)
        assert gallery.revision == 10
        found = gallery.search(np.concatenate([units(1, 6), units(2, 4)]), 1)
        assert [near[0].person for near in found] == ["Ada"] * 6 + ["김민수"] * 4
        assert max(near[0].distance for near in found) < 1e-5
        enroll(gallery, "Bob", units(3, 1))
        gallery.remove("Ada")
        assert gallery.check() == []
    with gallery_at(path, create=False) as gallery:
        assert gallery.counts() == {"김민수": 4, "Bob": 1}


def test_old_and_new_galleries_end_with_the_same_tables(path: Path, tmp_path: Path) -> None:
    gallery_at(path).close()
    gallery_at(tmp_path / "new.db").close()
    assert tables(path) == tables(tmp_path / "new.db")


def test_migration_that_fails_half_way_leaves_the_gallery_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(path)
    broken = (*schema.VERSIONS[0:1], (*schema.VERSIONS[1][:-1], "CREATE TABLE no good"))
    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSIONS", broken)
        with pytest.raises(Exception, match="damaged"):
            gallery_at(path)
    assert tables(path) == before
    with gallery_at(path) as gallery:
        assert len(gallery) == 10


def test_first_version_that_can_only_be_read_says_how_to_bring_it_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.gallery.sqlite.os.access", lambda *_: False)
    with pytest.raises(GalleryUnavailable, match=r"older rtface.*rtface gallery check"):
        gallery_at(path, create=False)


def test_follower_reads_everything_again_after_a_change_an_older_program_did_not_log(path: Path) -> None:
    with gallery_at(path) as gallery:
        gallery.search(units(1, 1), 3)
        with sqlite3.connect(path, isolation_level=None) as older:
            older.execute("PRAGMA foreign_keys = ON")
            older.execute("UPDATE people SET name = 'Augusta' WHERE name = 'Ada'")
            older.execute("DELETE FROM people WHERE name = '김민수'")
            older.execute("UPDATE meta SET revision = revision + 1, rewritten = revision + 1")
        older.close()
        assert gallery.refresh()
        assert gallery.counts() == {"Augusta": 6}
        assert {near.person for near in gallery.search(units(2, 1), 99)[0]} == {"Augusta"}
        assert gallery.check() == []


def test_vectors_kept_in_a_form_of_a_newer_program_are_not_misread(path: Path) -> None:
    gallery_at(path).close()
    with sqlite3.connect(path, isolation_level=None) as newer:
        newer.execute("UPDATE meta SET form = 'cubist'")
    newer.close()
    with pytest.raises(Exception, match=r"'cubist'.*upgrade"):
        gallery_at(path, size=SIZE)
