"""The faces of a folder of photos, kept in one file so that only new and changed photos are looked at again.

The file holds embeddings, which are biometric data: it belongs to its owner alone, and what is removed is overwritten.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import platformdirs
from numpy.typing import NDArray

from rtface.errors import GalleryBroken, GalleryMismatch, GalleryUnavailable
from rtface.types import Face

_TABLES = """
CREATE TABLE library (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), version INTEGER, model TEXT, size INTEGER);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,     -- relative to the folder
    changed_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    fault TEXT NOT NULL);          -- why it could not be read; '' when it could
CREATE TABLE faces (
    id INTEGER PRIMARY KEY,
    photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    l REAL NOT NULL, t REAL NOT NULL, r REAL NOT NULL, b REAL NOT NULL,
    quality REAL NOT NULL,
    vector BLOB NOT NULL);         -- little-endian float32
CREATE INDEX faces_by_photo ON faces (photo_id);
"""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from the one that was looked at."""

    changed_ns: int
    bytes: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Of a file. Raises OSError."""
        found = path.stat()
        return cls(found.st_mtime_ns, found.st_size)


@dataclass(frozen=True, slots=True, eq=False)
class LibraryFaces:
    """All faces of a library.

    Attributes:
        paths: of N faces the photo, relative to the folder.
        photos: (N,) a number a photo.
        boxes: (N, 4) float32, left, top, right, bottom in px.
        qualities: (N,) 0..1.
        rows: (N, D) float32 unit vectors.
    """

    paths: list[str]
    photos: NDArray[np.int64]
    boxes: NDArray[np.float32]
    qualities: NDArray[np.float32]
    rows: NDArray[np.float32]


def default_file(folder: Path, model: str) -> Path:
    """Where the faces of a folder are kept, unless another place is named: in the user's own data folder."""
    digest = hashlib.sha256(f"{model} {folder.resolve()}".encode()).hexdigest()[:12]
    return Path(platformdirs.user_data_dir("rtface")) / "photos" / f"{folder.resolve().name or 'root'}-{digest}.db"


class PhotoLibrary:
    """One such file; a context manager. What has been put in is durable when ``put`` returns."""

    def __init__(self, file: Path, *, model: str, size: int) -> None:
        """Opens or makes it.

        Args:
            file: of the library.
            model: name and fingerprint of the embedding model.
            size: numbers in an embedding.

        Raises:
            GalleryUnavailable: it cannot be opened or made.
            GalleryBroken: it is no library, or of a newer rtface.
            GalleryMismatch: it is of another model.
        """
        self._file, self._size = file, size
        with self._told():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.touch(mode=0o600)
            self._database = sqlite3.connect(file, timeout=10, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA foreign_keys = ON")
            self._database.execute("PRAGMA secure_delete = ON")
            self._prepare(model, size)

    def _prepare(self, model: str, size: int) -> None:
        if not self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._database.executescript(
                f"BEGIN; {_TABLES} INSERT INTO library VALUES (1, {VERSION}, '', {size}); COMMIT;"
            )
            self._database.execute("UPDATE library SET model = ?", (model,))
        version, owner, length = self._database.execute("SELECT version, model, size FROM library").fetchone()
        if version > VERSION:
            raise GalleryBroken(f"{self._file} was made by a newer rtface: upgrade it, or name another file.")
        if (owner, length) != (model, size):
            raise GalleryMismatch(
                f"{self._file} holds faces of the model {owner}, and this is {model}. Name another file with --index."
            )

    def __enter__(self) -> PhotoLibrary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def stamps(self) -> dict[str, Stamp]:
        """Of every photo that has been looked at."""
        with self._told():
            found = self._database.execute("SELECT path, changed_ns, bytes FROM photos").fetchall()
        return {path: Stamp(changed, size) for path, changed, size in found}

    def faults(self) -> dict[str, str]:
        """Photos that could not be read, and why."""
        with self._told():
            return dict(self._database.execute("SELECT path, fault FROM photos WHERE fault <> '' ORDER BY path"))

    def put(self, path: str, stamp: Stamp, faces: Iterable[Face], *, fault: str = "") -> None:
        """What has been found in a photo, in place of what was before."""
        with self._told(), self._changing():
            self._database.execute("DELETE FROM photos WHERE path = ?", (path,))
            made = self._database.execute(
                "INSERT INTO photos (path, changed_ns, bytes, fault) VALUES (?, ?, ?, ?)",
                (path, stamp.changed_ns, stamp.bytes, fault),
            )
            self._database.executemany(
                "INSERT INTO faces (photo_id, l, t, r, b, quality, vector) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        made.lastrowid,
                        *(float(side) for side in face.detection.box),
                        face.quality,
                        np.ascontiguousarray(face.embedding, "<f4").tobytes(),
                    )
                    for face in faces
                ],
            )

    def forget(self, paths: Iterable[str]) -> None:
        """Photos that are gone."""
        with self._told(), self._changing():
            self._database.executemany("DELETE FROM photos WHERE path = ?", [(path,) for path in paths])

    def faces(self) -> LibraryFaces:
        """Everything, photo by photo.

        Raises:
            GalleryBroken: a vector is damaged.
        """
        with self._told():
            found = self._database.execute(
                """SELECT path, photo_id, l, t, r, b, quality, vector FROM faces JOIN photos ON photos.id = photo_id
                ORDER BY path, faces.id"""
            ).fetchall()
        if any(len(row[7]) != 4 * self._size for row in found):
            raise GalleryBroken(
                f"{self._file} is damaged: a vector is cut short. Delete it and index the folder again."
            )
        rows = np.frombuffer(b"".join(row[7] for row in found), "<f4").reshape(len(found), self._size)
        return LibraryFaces(
            [row[0] for row in found],
            np.array([row[1] for row in found], np.int64),
            np.array([row[2:6] for row in found], np.float32).reshape(-1, 4),
            np.array([row[6] for row in found], np.float32),
            rows.astype(np.float32),
        )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise GalleryUnavailable(
                f"{self._file} cannot be used: {error}. Close what else uses it, or name another file with --index."
            ) from error
        except sqlite3.DatabaseError as error:
            raise GalleryBroken(
                f"{self._file} is no library of photos, or damaged ({error}): delete it and index the folder again."
            ) from error
        except OSError as error:
            raise GalleryUnavailable(
                f"{self._file} cannot be made: {error.strerror}. Name another file with --index."
            ) from error
