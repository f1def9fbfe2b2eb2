"""Embeddings kept between evaluations, so that a second look at the same pictures takes seconds.

A template is found by what it was made from and how: the digest of the picture's bytes and the recipe (model,
precision, detector, crop). It holds embeddings of faces, which are personal data: the folder is its owner's alone, what
is removed is overwritten, and ``clear`` removes all of it. Those asked for longest ago go first where there are too
many.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from rtface.errors import EvaluationError

FILE = "templates.db"
MOST_BYTES = 1_000_000_000
"""Half a million embeddings of 512 numbers."""
ROOM = 0.9
"""The part of ``MOST_BYTES`` that a full cache is cut down to."""
PAGE_BYTES = 16_384
"""Seven embeddings of 512 numbers; of the usual 4,096 one would fill half and leave the rest unused."""
PATIENCE_S = 60.0
"""Several evaluations may write at once."""
WAITING = 256
"""New templates written at once."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What a cache holds."""

    templates: int
    bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Cached:
    """What was found out about a picture once: its (D,) vector, or None, which is a failure to acquire."""

    vector: NDArray[np.float32] | None


class TemplateCache:
    """One file of templates; a context manager."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        """Opens or makes it.

        Raises:
            EvaluationError: the folder or file cannot be used.
        """
        self.path = folder / FILE
        self._most_bytes = most_bytes
        self._waiting: dict[bytes, NDArray[np.float32] | None] = {}
        self._used: list[tuple[int, bytes]] = []
        with self._explained():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._rows = sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None)
            self._rows.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self._rows.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heard only before the first table
            self._rows.execute("PRAGMA journal_mode = WAL")  # who reads does not wait for who writes
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute("PRAGMA secure_delete = ON")
            self._rows.execute("CREATE TABLE IF NOT EXISTS templates (key BLOB PRIMARY KEY, vector BLOB, run INTEGER)")
            self._run = 1 + int(self._rows.execute("SELECT coalesce(max(run), 0) FROM templates").fetchone()[0])

    def __enter__(self) -> TemplateCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> Cached | None:
        """What is kept under this key; None where nothing is."""
        if key in self._waiting:
            return Cached(self._waiting[key])
        with self._explained():
            row = self._rows.execute("SELECT vector, run FROM templates WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if row[1] != self._run:
            self._used.append((self._run, key))
        return Cached(None if row[0] is None else np.frombuffer(row[0], "<f4").astype(np.float32))

    def put(self, key: bytes, vector: NDArray[np.float32] | None) -> None:
        """Keeps a template, or that there is none."""
        self._waiting[key] = vector
        if len(self._waiting) >= WAITING:
            self._write()

    def size(self) -> CacheSize:
        """How much it holds."""
        self._write()
        with self._explained():
            (count,) = self._rows.execute("SELECT count(*) FROM templates").fetchone()
        return CacheSize(int(count), self.path.stat().st_size)

    def close(self) -> None:
        """Writes what waits, cuts down what is too much."""
        self._write()
        with self._explained():
            self._rows.executemany("UPDATE templates SET run = ? WHERE key = ?", self._used)
            self._cut_down()
            self._rows.close()

    def _write(self) -> None:
        rows = [
            (key, None if vector is None else vector.astype("<f4").tobytes(), self._run)
            for key, vector in self._waiting.items()
        ]
        with self._explained():
            self._rows.execute("BEGIN IMMEDIATE")
            self._rows.executemany("INSERT OR REPLACE INTO templates VALUES (?, ?, ?)", rows)
            self._rows.execute("COMMIT")
        self._waiting.clear()

    def _cut_down(self) -> None:
        """Removes what no run has asked for longest."""
        (pages,), (page,) = (self._rows.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        if pages * page <= self._most_bytes:
            return
        (count,) = self._rows.execute("SELECT count(*) FROM templates").fetchone()
        surplus = count - int(count * ROOM * self._most_bytes / (pages * page))
        self._rows.execute(
            "DELETE FROM templates WHERE key IN (SELECT key FROM templates ORDER BY run LIMIT ?)", (surplus,)
        )
        # Not execute: it steps once, and each step gives back one page.
        self._rows.executescript("PRAGMA incremental_vacuum")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            cure = (
                "Another evaluation has held it for a minute: try again; what was embedded before is not lost."
                if "locked" in str(error)
                else "Do without it with --no-cache, or remove it with `rtface evaluate cache --clear`."
            )
            raise EvaluationError(f"The cache of embeddings {self.path} cannot be used ({error}). {cure}") from error


def cache_folder() -> Path:
    """Where this user's cache is."""
    return platformdirs.user_cache_path("rtface") / "evaluation"


def clear(folder: Path) -> bool:
    """Removes the cache; False where there was none.

    Raises:
        EvaluationError: it cannot be removed.
    """
    names = (FILE, f"{FILE}-journal", f"{FILE}-wal", f"{FILE}-shm")
    files = [path for name in names if (path := folder / name).exists()]
    try:
        for path in files:
            path.unlink()
    except OSError as error:
        raise EvaluationError(f"The cache of embeddings {folder} cannot be removed: {error.strerror}.") from error
    return bool(files)


def key_of(content: bytes, recipe: Sequence[str]) -> bytes:
    """What a template is kept under: all that decides its numbers."""
    digest = hashlib.sha256(content)
    for part in recipe:
        digest.update(b"\0" + part.encode())
    return digest.digest()


def digest_of(path: Path) -> bytes | None:
    """Of a file's bytes; None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return None
