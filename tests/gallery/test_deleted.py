"""The gallery's file goes away under a running program: nothing is acknowledged that is lost."""

import shutil
from pathlib import Path

import pytest

from rtface.errors import GalleryUnavailable
from tests.gallery.samples import enroll, gallery_at, units


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with gallery_at(tmp_path / "g.db") as gallery:
        enroll(gallery, "Ada", units(1, 4))
    return tmp_path / "g.db"


def go_away(path: Path, how: str) -> None:
    if how == "moved":
        path.rename(path.with_name("old.db"))
    else:
        path.unlink()
    if how == "replaced":
        with gallery_at(path) as other:
            enroll(other, "Bob", units(2, 1))


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_nothing_is_written_to_a_file_that_is_gone(path: Path, how: str) -> None:
    with gallery_at(path, index="hnsw") as running:
        running.search(units(1, 1), 1)
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        go_away(path, how)
        for act in (
            lambda: enroll(running, "Cyd", units(3, 1)),
            lambda: running.remove("Ada"),
            lambda: running.rename("Ada", "Augusta"),
            running.refresh,
            running.check,
        ):
            with pytest.raises(GalleryUnavailable, match=r"was deleted or replaced while it was open.*start again"):
                act()
    if how == "replaced":
        with gallery_at(path, index="hnsw") as gallery:
            assert gallery.counts() == {"Bob": 1}
            assert gallery.check() == []


def test_file_that_goes_away_during_a_change_does_not_have_it_acknowledged(path: Path) -> None:
    with gallery_at(path) as running:
        with pytest.raises(GalleryUnavailable, match="deleted or replaced"), running.editing() as edit:
            edit.rename(edit.known("Ada"), "Augusta")
            path.unlink()
        assert running.counts() == {"Ada": 4}


def test_file_put_back_is_the_gallery_again(path: Path) -> None:
    with gallery_at(path) as running:
        path.rename(path.with_name("away.db"))
        with pytest.raises(GalleryUnavailable):
            running.refresh()
        path.with_name("away.db").rename(path)
        enroll(running, "Bob", units(2, 1))
    with gallery_at(path) as gallery:
        assert gallery.counts() == {"Ada": 4, "Bob": 1}


def test_copy_put_in_its_place_is_another_file(path: Path, tmp_path: Path) -> None:
    with gallery_at(path) as running:
        shutil.copy(path, tmp_path / "copy.db")
        (tmp_path / "copy.db").replace(path)
        with pytest.raises(GalleryUnavailable, match="deleted or replaced"):
            enroll(running, "Bob", units(2, 1))
