"""A whole file sealed in parts, and a place for the open one that is on no disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtface.gallery.sealing import OVERHEAD, Sealer

PART_BYTES = 1 << 24


@contextmanager
def file_in_memory() -> Iterator[Path]:
    """A path under which other libraries can write and read, with nothing on a disk; gone at the end.

    Raises:
        OSError: this system has none.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("an encrypted gallery keeps its index on Linux only, where a file can be in memory alone")
    descriptor = os.memfd_create("rtface index")
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def seal_file(plain: Path, sealed: Path, sealer: Sealer) -> None:
    """Writes ``plain`` sealed over what is in ``sealed``. Whoever reads it checks by other means that no part is
    missing or older than the others.

    Raises:
        OSError: it does not fit.
    """
    with plain.open("rb") as source, sealed.open("wb") as target:
        for number, part in enumerate(iter(lambda: source.read(PART_BYTES), b""), 1):
            target.write(sealer.seal(part, "index", number))


def open_file(sealed: Path, plain: Path, sealer: Sealer) -> None:
    """Writes what ``seal_file`` has sealed, open, over what is in ``plain``.

    Raises:
        ValueError: a part does not open.
        OSError: it cannot be read, or does not fit.
    """
    with sealed.open("rb") as source, plain.open("wb") as target:
        for number, part in enumerate(iter(lambda: source.read(PART_BYTES + OVERHEAD), b""), 1):
            opened = sealer.opened(part, "index", number)
            if not isinstance(opened, bytes):
                raise ValueError("it was sealed with another key, or is damaged")
            target.write(opened)
