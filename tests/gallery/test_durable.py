"""What docs/durability.md promises of SQLite's settings; the system is asked for it before a change returns."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtface.gallery.sqlite import open_database
from tests.gallery.samples import gallery_at

DOCUMENT = Path(__file__).parents[2] / "docs" / "durability.md"
ADD = """
import os, sys
from pathlib import Path
from tests.gallery.samples import enroll, gallery_at, units
with gallery_at(Path(sys.argv[1])) as gallery:
    for seed in range(1, 6):
        os.write(2, b"begin\\n")
        enroll(gallery, f"Person {seed}", units(seed, 1))
        os.write(2, b"done\\n")
    os.write(2, b"begin\\n")
    gallery.remove("Person 3")
    os.write(2, b"done\\n")
"""


def pragmas(path: Path) -> dict[str, str]:
    database = open_database(path, create=True)
    try:
        names = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.M)
        return {name: str(database.rows(f"PRAGMA {name}")[0][0]) for name in names}
    finally:
        database.close()


def test_settings_are_those_the_document_names(tmp_path: Path) -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.M))
    assert set(documented) >= {
        "journal_mode",
        "synchronous",
        "fullfsync",
        "secure_delete",
        "foreign_keys",
        "temp_store",
    }
    assert pragmas(tmp_path / "g.db") == documented


def test_settings_are_the_same_when_a_gallery_is_opened_again(tmp_path: Path) -> None:
    gallery_at(tmp_path / "g.db").close()
    assert pragmas(tmp_path / "g.db")["synchronous"] == "2"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_every_change_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    """The system's own account: whatever was written to a file of the gallery is synced before ``done`` is."""
    traced = tmp_path / "trace"
    words = ["strace", "-f", "-y", "-o", str(traced), "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate"]
    folder = tmp_path / "gallery"
    folder.mkdir()
    ran = subprocess.run([*words, sys.executable, "-c", ADD, str(folder / "g.db")], cwd=Path(__file__).parents[2])
    if ran.returncode and "done" not in traced.read_text():
        pytest.skip("strace may not trace here")
    unsynced: set[str] = set()
    changes, synced, folders = 0, 0, 0
    for line in traced.read_text().splitlines():
        call = re.search(r"(\w+)\(\d+<([^>]*)>", line)
        if call is None:
            continue
        kind, file = call.groups()
        if '"done' in line:
            changes += 1
            assert synced > 0, "acknowledged without a sync"
            assert unsynced == set(), f"acknowledged before {unsynced} were synced"
            synced = 0
        elif kind in ("write", "pwrite64") and file.startswith(str(folder)) and not file.endswith("-shm"):
            unsynced.add(file)
        elif kind in ("fsync", "fdatasync"):
            unsynced.discard(file)
            synced += 1
            folders += file == str(folder)
    assert changes == 6
    assert folders > 0, "a new file's name is not durable"
