"""A disk that is full or may not be written, for real: a small file system, and a user without rights."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtface.errors import GalleryUnavailable
from tests.gallery import program
from tests.gallery.samples import enroll, gallery_at, traces, units

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system, and not in every container")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def leave(disk: Path, size: int) -> Path:
    """A file that takes all room but so many bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        while (free := os.statvfs(disk)).f_bavail * free.f_frsize > size:
            stream.write(bytes(4096))
    return filler


def test_full_disk_is_told_and_nothing_reported_is_lost(small_disk: Path) -> None:
    path = small_disk / "g.db"
    with gallery_at(path) as gallery:
        enroll(gallery, "Ada", units(1, 10))
        leave(small_disk, 400_000)
        with pytest.raises(
            GalleryUnavailable, match=r"^No room for the gallery .*: free some space; nothing reported so"
        ):
            enroll(gallery, "Bob", units(2, 1000))
        kept = gallery.counts()["Bob"]
        assert 0 < kept < 1000
        assert gallery.search(units(2, kept)[-1:], 1)[0][0].distance < 1e-5
    with gallery_at(path) as gallery:
        assert gallery.counts() == {"Ada": 10, "Bob": kept}
        assert gallery.check() == []


def test_person_erased_on_a_full_disk_is_gone_at_once_and_without_trace_once_there_is_room(small_disk: Path) -> None:
    path, faces = small_disk / "g.db", units(1, 20, 2000)
    with gallery_at(path, size=2000) as gallery:
        enroll(gallery, "Ada", faces)
        enroll(gallery, "Bob", units(2, 20, 2000))
    with gallery_at(path, size=2000) as gallery:
        filler = leave(small_disk, 300_000)
        with pytest.raises(GalleryUnavailable, match="No room for the gallery"):
            gallery.remove("Ada")
        assert gallery.counts() == {"Bob": 20}
        assert {near.person for near in gallery.search(faces[:1], 99)[0]} == {"Bob"}
        filler.unlink()
        assert gallery.check() == []
        assert traces(path, faces[0]) + traces(path, faces[-1]) == 0


def test_index_there_is_no_room_for_is_told_and_left_out(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = small_disk / "g.db"
    with gallery_at(path) as gallery:
        enroll(gallery, "Ada", units(1, 40))
    with gallery_at(path, index="hnsw") as gallery:
        leave(small_disk, 5_000)
        assert gallery.search(units(1, 1), 1)[0][0].distance < 1e-5
    assert "is not kept and will be built again" in caplog.text
    assert sorted(file.name for file in small_disk.iterdir()) == ["filler", "g.db"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are POSIX")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_user_without_the_right_to_write_can_search_and_is_told(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "house"
    folder.mkdir()
    with gallery_at(folder / "g.db") as gallery:
        enroll(gallery, "Ada", units(1, 4))
    (folder / "g.db").chmod(0o444 if what == "file" else 0o666)
    folder.chmod(0o555 if what == "folder" else 0o777)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        if os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o055)
    before = sorted(folder.iterdir())
    with program.running(program.read_without_rights, folder / "g.db", NOBODY) as (process, pipe):
        process.join(30)
        said = program.everything_said(pipe)
    folder.chmod(0o755)
    wanted = "can only be read here: give this user the right to write the file and its folder"
    assert said[:1] == ["Ada"]
    assert len(said) == 4 and all(wanted in line for line in said[1:])
    assert sorted(folder.iterdir()) == before
