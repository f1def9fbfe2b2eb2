"""Processes killed in the middle of a change; ``tests/benchmarks/kill.py`` does it a thousand times, on a disk."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gallery.killing import Account, kill_once, table

KILLS = int(os.environ.get("RTFACE_TEST_KILLS", "60"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: what a killed process has written stays, and nothing waits for a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def test_killed_at_any_moment_a_gallery_is_as_before_or_after_the_change_under_way(folder: Path) -> None:
    pytest.importorskip("cryptography", reason="some changes are to the key")
    account = Account()
    for kill in range(KILLS):
        kill_once(folder / "g.db", account, kill)
    print(table(account))
    assert account.reported.total() > 2 * KILLS
    assert account.done.total() + account.undone.total() + account.between == KILLS
