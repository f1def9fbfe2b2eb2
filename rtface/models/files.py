"""Files that are whole or not there: written beside and renamed into place."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = 1 << 20

ABANDONED_S = 24 * 3600.0
"""A half-written file that nobody has touched for so long belongs to a process that was killed."""


def sha256_of(path: Path) -> str:
    """64 hex digits of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A file in the same folder that becomes ``target`` when the block ends, and vanishes when the block raises.

    Each call has a name of its own, so that two processes never write into the same file.
    """
    _sweep(target)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    for path in target.parent.glob(f".{target.name}.*.part"):
        with suppress(OSError):  # another process may be sweeping too
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()
