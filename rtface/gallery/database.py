"""What the gallery asks of a database: rows, statements, one writer at a time, and the erasure of traces.

Statements are plain SQL with ``?`` for values, and contain no other ``?`` and no ``%``, so that another database may
put its own marks in their place. What differs between databases (tables, locks, checks, erasing) is behind these
methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from rtface.errors import GalleryBroken
from rtface.gallery.sealing import Sealer

Value = str | int | float | bytes | None


class Database(Protocol):
    """One connection to a gallery's database, used by the thread that opened it.

    ``place`` says where it is, for sentences; no password is in it. ``writable`` tells whether it can be changed.
    ``sealer`` stands between it and whoever reads or writes vectors and faces, and was made by ``rekeying.adopt_key``
    when the connection was opened.
    """

    place: str
    writable: bool
    sealer: Sealer

    def rows(self, sql: str, *values: Value, types: tuple[type, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement; outside ``reading`` and ``writing`` no lock is held afterwards.

        Args:
            sql: a query, or a statement with RETURNING.
            values: for its question marks.
            types: its columns must be of; a damaged database may hold anything.

        Raises:
            GalleryBroken: a value is of another type.
        """

    def execute(self, sql: str, *values: Value) -> int:
        """Runs one statement inside ``writing``; gives the number of rows it changed."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Runs one statement inside ``writing`` for each row of values."""

    def reading(self) -> AbstractContextManager[None]:
        """Queries inside see one state of the gallery, whatever others write meanwhile. Keep it short: traces of what
        others remove cannot be erased before it ends.

        Raises:
            KeyRefused: the gallery's key is no longer the one it was opened with, see ``rekeying.refuse_new_key``.
        """

    def writing(self) -> AbstractContextManager[None]:
        """A transaction nobody else can write beside; durable when it ends, undone by any error.

        Raises:
            GalleryUnavailable: read-only, locked for longer than the patience, or the disk is full.
            KeyRefused: as for ``reading``.
        """

    def may_differ(self, revision: int) -> bool:
        """Whether the gallery may stand at another revision by now; where this is known without asking it, it is not
        asked.

        Raises:
            GalleryLost: its server is out of reach.
        """

    def erase_traces(self) -> None:
        """Makes what was removed unreadable on disk. Does nothing when that is already done.

        Raises:
            GalleryUnavailable: it cannot be done now; done at the next opening.
        """

    def faults(self) -> list[str]:
        """What the database itself finds wrong with its tables, a sentence each."""

    def size(self) -> int:
        """Bytes on disk, all its files together."""

    def close(self) -> None:
        """Closes the connection."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a gallery stands.

    Attributes:
        current: grows with every change.
        rewritten: the revision of the last change that was not an addition.
        logged_after: every such change after this revision is in the table ``changes``.
    """

    current: int
    rewritten: int
    logged_after: int


def revisions(database: Database) -> Revisions:
    """Where this gallery stands now.

    Raises:
        GalleryBroken: the gallery's own record is lost.
    """
    found = database.rows(
        "SELECT revision, rewritten, logged_after FROM meta WHERE only_row = 1", types=(int, int, int)
    )
    if not found:
        raise broken(database.place, "its own record is missing")
    return Revisions(*found[0])


def broken(place: str, fault: str) -> GalleryBroken:
    """The error for a gallery that cannot be believed."""
    return GalleryBroken(
        f"The gallery {place} is not a gallery, or it is damaged ({fault}). Put back a copy, or name another with "
        "--set gallery=FILE and enrol again."
    )
