"""Files that are whole or not there: written beside and renamed into place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """64 hex digits of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A file in the same folder that becomes ``target`` when the block ends, and vanishes when the block raises.

    Each call has a name of its own, so that two processes never write into the same file.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    """mkstemp makes files for the owner alone; models may be shared."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
