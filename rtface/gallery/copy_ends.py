"""What copying a whole gallery asks of the database at each end, beyond ``Database``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from rtface.gallery.database import Database
from rtface.gallery.sqlite import BUSY_SECONDS, open_database
from rtface.gallery.store import open_server_database
from rtface.gallery.vectors import Float32
from rtface.server_url import ServerUrl


class End(Protocol):
    """A gallery that is copied out of or into."""

    database: Database

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns."""

    def last_id(self, table: str) -> int:
        """The largest id ever given."""

    def give_ids_after(self, table: str, last: int) -> None:
        """Inside ``writing``: ids up to this one are never given again."""

    def as_stored(self, vector: bytes, form: str) -> bytes:
        """A sealed or plain vector of this form, for the column it has here."""

    def loading(self) -> AbstractContextManager[None]:
        """Inside ``writing``: many rows are coming."""


class FileEnd:
    """An SQLite file."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def columns(self, table: str) -> list[str]:
        """See ``End``."""
        return [name for (name,) in self.database.rows("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)]

    def last_id(self, table: str) -> int:
        """See ``End``."""
        rows = self.database.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        return int(rows[0][0]) if rows else 0

    def give_ids_after(self, table: str, last: int) -> None:
        """See ``End``."""
        if not self.database.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", last, table):
            self.database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, last)

    def as_stored(self, vector: bytes, form: str) -> bytes:  # noqa: ARG002 - the joint's
        """See ``End``."""
        return vector

    def loading(self) -> AbstractContextManager[None]:
        """See ``End``."""
        return nullcontext()


class ServerEnd:
    """A PostgreSQL server."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def columns(self, table: str) -> list[str]:
        """See ``End``."""
        rows = self.database.rows(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            table,
        )
        return [name for (name,) in rows]

    def last_id(self, table: str) -> int:
        """See ``End``."""
        rows = self.database.rows(
            "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(?, 'id')::regclass), 0)", table
        )
        return int(rows[0][0])

    def give_ids_after(self, table: str, last: int) -> None:
        """See ``End``."""
        if last > 0:
            self.database.rows("SELECT setval(pg_get_serial_sequence(?, 'id'), ?)", table, last)

    def as_stored(self, vector: bytes, form: str) -> bytes:
        """See ``End``."""
        from rtface.gallery.postgres_vectors import Vector

        return Vector(vector) if form == Float32.name and self.database.sealer.record is None else vector

    @contextmanager
    def loading(self) -> Iterator[None]:
        """See ``End``. The index is made when all rows are there, which is many times faster than row by row."""
        self.database.execute("DROP INDEX IF EXISTS embeddings_near")
        yield
        self.database.rows("SELECT index_embeddings()::text")


Place = Path | ServerUrl


def open_end(place: Place, *, key: bytes | None, create: bool = False) -> End:
    """A gallery at one end of a copy. Raises as ``store.open_gallery``."""
    if isinstance(place, ServerUrl):
        return ServerEnd(open_server_database(place, create=create, patience=BUSY_SECONDS, key=key))
    return FileEnd(open_database(place, create=create, key=key))
