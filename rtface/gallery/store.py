"""The gallery: who is enrolled, from which pictures, who is nearest. The SQLite file is the truth, indexes are caches.

Any number of processes may read and write it at once; each takes in the others' changes with ``refresh``. One gallery
object belongs to the thread that opened it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from rtface.errors import BadName, GalleryUnavailable, UnknownPerson
from rtface.gallery.cache import GraphCache
from rtface.gallery.check import find_problems
from rtface.gallery.database import BUSY_SECONDS, Database, open_database
from rtface.gallery.index import IndexKind
from rtface.gallery.memory import GalleryMemory, are_units
from rtface.gallery.model import GalleryModel
from rtface.gallery.names import normalised, person_name, similar
from rtface.types import Neighbor

__all__ = ["Person", "PersonGallery", "Picture", "open_gallery", "person_name"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled. ``created_at`` is in seconds since 1970."""

    name: str
    pictures: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Where one row comes from: checksum, file as it was given, seconds since 1970, quality 0..1."""

    sha256: str
    file: str
    added_at: float
    quality: float


def open_gallery(
    path: Path,
    *,
    model: str,
    fingerprint: str,
    size: int,
    create: bool = False,
    index: IndexKind = "auto",
    clock: Callable[[], float] = time.time,
    patience: float = BUSY_SECONDS,
) -> PersonGallery:
    """The gallery in this file, for one embedding model. An empty gallery becomes that model's.

    Args:
        path: the SQLite file.
        model: name of the embedding model.
        fingerprint: tells its weights from any others.
        size: numbers in an embedding.
        create: make the file when it is not there.
        index: ``exact`` or ``hnsw``; ``auto`` takes the exact one for as long as it is fast enough.
        clock: seconds since 1970.
        patience: seconds to wait for another program's lock.

    Raises:
        GalleryUnavailable: missing, locked, or not readable.
        GalleryBroken: not a gallery, damaged, or of a newer rtface.
        GalleryMismatch: its vectors are another model's.
    """
    database = open_database(path, create=create, patience=patience)
    try:
        return PersonGallery(database, GalleryModel(model, fingerprint, size), index, clock)
    except BaseException:
        database.close()
        raise


class PersonGallery:
    """Enrolled people in a file; see ``open_gallery``."""

    def __init__(self, database: Database, model: GalleryModel, index: IndexKind, clock: Callable[[], float]) -> None:
        self._database = database
        self._model = model
        self._clock = clock
        self._closed = False
        model.refuse_others(database)
        if database.writable:
            self._finish_erasing()
        self._cache = GraphCache(database.path, model.fingerprint, model.size)
        self._memory = GalleryMemory(database, self._cache, model.size, index)

    def __len__(self) -> int:
        """Rows: pictures of all people."""
        return len(self._memory)

    def __enter__(self) -> PersonGallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def revision(self) -> int:
        """Of the gallery as this object knows it; grows with every change, in whatever process it was made."""
        return self._memory.revision

    def counts(self) -> Mapping[str, int]:
        """Rows of each enrolled person."""
        return self._memory.counts

    def refresh(self) -> bool:
        """Takes in what other processes have changed; True when there was something. Cheap when there was not.

        Raises:
            GalleryMismatch: it was emptied and filled again with another model.
        """
        self._model.refuse_others(self._database)
        return self._memory.follow()

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """For each of N unit rows (N, size) its at most k nearest gallery rows, nearest first.

        Raises:
            GalleryBroken: the vectors on file are damaged.
        """
        return self._memory.search(embeddings, k)

    def people(self) -> list[Person]:
        """Everybody enrolled, by name."""
        rows = self._database.rows(
            """SELECT name, count(pictures.id), people.created_at FROM people
            LEFT JOIN pictures ON pictures.person_id = people.id GROUP BY people.id ORDER BY name""",
            types=(str, int, float),
        )
        return [Person(*row) for row in rows]

    def pictures(self, name: str) -> list[Picture]:
        """Where a person's rows come from, in the order they were added.

        Raises:
            UnknownPerson: nobody of that name is enrolled.
        """
        rows = self._database.rows(
            """SELECT sha256, file, added_at, quality FROM pictures JOIN people ON people.id = pictures.person_id
            WHERE name = ? ORDER BY pictures.id""",
            normalised(name),
            types=(str, str, float, float),
        )
        if not rows:
            raise self._unknown(name)
        return [Picture(*row) for row in rows]

    def has_picture(self, sha256: str) -> str | None:
        """Whose picture this already is; None: nobody's."""
        rows = self._database.rows(
            """SELECT name FROM people JOIN pictures ON pictures.person_id = people.id
            WHERE sha256 = ? ORDER BY pictures.id LIMIT 1""",
            sha256,
            types=(str,),
        )
        return rows[0][0] if rows else None

    def add(self, name: str, embedding: NDArray[np.float32], *, sha256: str, file: str, quality: float) -> None:
        """Adds one picture of a person, who is made with the first one; durable when this returns.

        A picture the person already has is left as it is, so that two processes may enrol the same folder.

        Args:
            name: see ``person_name``.
            embedding: (size,) of norm 1.
            sha256: of the picture's pixels, to know it again.
            file: where it came from, for people to read.
            quality: 0..1.

        Raises:
            BadName: nobody can be called that.
            GalleryUnavailable: read-only, locked or no room; nothing of this picture is kept.
            GalleryMismatch: another process has meanwhile filled the gallery with another model's vectors.
            ValueError: not a unit vector of this model's size.
        """
        name = person_name(name)
        row = np.ascontiguousarray(embedding, "<f4")
        if row.shape != (self._model.size,) or not are_units(row[None])[0]:
            raise ValueError(
                f"An embedding has norm 1 and shape ({self._model.size},), this one has shape {row.shape}."
            )
        with self._database.writing():
            self._model.adopt(self._database)
            self._model.refuse_others(self._database)
            self._insert(name, row.tobytes(), sha256, _printable(file), quality)
        self._memory.follow()

    def _insert(self, name: str, vector: bytes, sha256: str, file: str, quality: float) -> None:
        now, execute = self._clock(), self._database.execute
        execute("INSERT INTO people (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, now)
        added = execute(
            """INSERT INTO pictures (person_id, sha256, file, added_at, quality)
            SELECT id, ?, ?, ?, ? FROM people WHERE name = ? ON CONFLICT (person_id, sha256) DO NOTHING""",
            *(sha256, file, now, float(quality), name),
        )
        if added:
            execute("INSERT INTO embeddings (picture_id, vector) VALUES (last_insert_rowid(), ?)", vector)
            execute("UPDATE meta SET revision = revision + 1")

    def remove(self, name: str) -> None:
        """Erases a person: afterwards no vector, name or path of theirs is in the database, its log or the index.

        Raises:
            UnknownPerson: nobody of that name is enrolled.
            GalleryUnavailable: read-only or locked; or the person is removed and the message says what is still to do.
        """
        with self._database.writing():
            if not self._database.execute("DELETE FROM people WHERE name = ?", normalised(name)):
                raise self._unknown(name)
            self._note_rewriting()
        self._memory.follow()
        self._database.erase_traces()

    def rename(self, old: str, new: str) -> None:
        """Gives a person another name; the old one leaves the file.

        Raises:
            UnknownPerson: nobody is called ``old``.
            BadName: nobody can be called ``new``, or somebody already is.
        """
        old, new = normalised(old), person_name(new)
        with self._database.writing():
            if not self._database.rows("SELECT 1 FROM people WHERE name = ?", old):
                raise self._unknown(old)
            if old == new:
                return
            if self._database.rows("SELECT 1 FROM people WHERE name = ?", new):
                raise BadName(
                    f"{new} is already enrolled: choose another name, or first rtface gallery remove {new!r}."
                )
            self._database.execute("UPDATE people SET name = ? WHERE name = ?", new, old)
            self._note_rewriting()
        self._memory.follow()
        self._database.erase_traces()

    def _note_rewriting(self) -> None:
        """Inside the transaction, before it is durable: a saved index must not outlive the rows it was made from."""
        self._database.execute(
            "UPDATE meta SET revision = revision + 1, rewritten = revision + 1, erasing = revision + 1"
        )
        try:
            self._cache.forget()
        except OSError as error:
            raise GalleryUnavailable(
                f"The index {self._cache.file} cannot be deleted ({error}): nothing was changed."
            ) from error

    def check(self) -> list[str]:
        """What is wrong with the gallery, a sentence each; [] when it is whole. Finishes an erasure cut short.

        Raises:
            GalleryUnavailable: locked, or traces of somebody removed cannot be erased yet.
        """
        if self._database.writable:
            self._database.erase_traces()
        return find_problems(self._database, self._model.size, lambda: self._memory.index)

    def close(self) -> None:
        """Keeps the index for next time and releases the file."""
        if not self._closed:
            self._closed = True
            self._memory.save()
            self._database.close()

    def _finish_erasing(self) -> None:
        try:
            self._database.erase_traces()
        except GalleryUnavailable as error:
            log.warning("%s", error)

    def _unknown(self, name: str) -> UnknownPerson:
        known = [name for (name,) in self._database.rows("SELECT name FROM people", types=(str,))]
        hint = similar(name, known) or " rtface gallery list shows who is."
        return UnknownPerson(f"Nobody called {name!r} is enrolled.{hint}")


def _printable(file: str) -> str:
    """A path whose bytes are no UTF-8 cannot be kept as text; it is only read by people."""
    return file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
