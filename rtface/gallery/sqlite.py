"""The gallery in an SQLite file: opening it, writing to it, and what its errors mean.

A write is durable when it returns (write-ahead log, synced at every commit), so that a process killed at any moment
loses nothing it reported. What is erased is gone from the file: SQLite's ``secure_delete`` alone leaves stale copies
of cells where pages were rebalanced (seen in 3.40), so a removal also rewrites the file (``VACUUM``) and empties the
log.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtface.errors import GalleryBroken, GalleryUnavailable
from rtface.gallery import schema
from rtface.gallery.database import Value, broken
from rtface.gallery.rekeying import adopt_key, refuse_new_key
from rtface.gallery.sealing import UNSEALED, Sealer
from rtface.gallery.sqlite_errors import explained
from rtface.gallery.syncing import sync_folder

log = logging.getLogger(__name__)

APPLICATION_ID = 0x72746661
"""``rtfa``, in the file's header: tells a gallery from any other SQLite file."""
BUSY_SECONDS = 5.0
"""How long another program's write is waited for; ours take milliseconds."""
PAGE_BYTES = 8192
"""Three 512-number vectors fit; at SQLite's usual 4096 one does (measured: 2.0 bytes on disk a byte, here 1.3)."""


class SqliteDatabase:
    """A ``Database`` in a file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path = path
        self.place = str(path)
        self.writable = writable
        self.sealer: Sealer = UNSEALED
        self._file: os.stat_result | None = None
        self._connection = connection

    def open_seal(self, key: bytes | None) -> None:
        """Makes ``sealer``, once the tables are there. Raises as ``rekeying.adopt_key``."""
        self.sealer = adopt_key(self, key)
        self._file = self.path.stat()

    def _refuse_another(self) -> None:
        """In a deleted file SQLite would go on, and lose all that is acknowledged."""
        if self._file is None:  # still being opened
            return
        if not self.path.exists() or not os.path.samestat(self._file, self.path.stat()):
            raise GalleryUnavailable(
                f"The gallery {self.path} was deleted or replaced while it was open, and nothing more is written to "
                "it: put the file back, or make a new one with rtface enroll NAME DIR, and start again."
            )

    def _refuse_new_key(self) -> None:
        if self._file is not None:
            refuse_new_key(self, self.sealer)

    def rows(self, sql: str, *values: Value, types: tuple[type, ...] = ()) -> list[tuple[Any, ...]]:
        """See ``Database``."""
        with explained(self.path):
            found = self._connection.execute(sql, values).fetchall()
        for row in found:
            if types and not all(map(isinstance, row, types)):
                raise broken(self.place, "a value is of another type than belongs there")
        return found

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``Database``."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                self._refuse_another()
                self._refuse_new_key()
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def execute(self, sql: str, *values: Value) -> int:
        """See ``Database``."""
        with explained(self.path):
            return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """See ``Database``."""
        with explained(self.path):
            self._connection.executemany(sql, rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See ``Database``."""
        if not self.writable:
            raise GalleryUnavailable(
                f"The gallery {self.path} can only be read here: give this user the right to write the file and its "
                "folder, or use another one with --set gallery=FILE."
            )
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._refuse_another()
                self._refuse_new_key()
                yield
                self._refuse_another()
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def may_differ(self, revision: int) -> bool:  # noqa: ARG002 - the joint's
        """See ``Database``: a look into the file is cheap enough."""
        return True

    def erase_traces(self) -> None:
        """Rewrites the file without what was removed, and empties the log. Does nothing when that is already done.

        Raises:
            GalleryUnavailable: no room for the rewritten copy, or the file stays locked; done at the next opening.
        """
        removals = self.rows("SELECT erasing FROM meta WHERE erasing > 0")
        if not removals:
            return
        with explained(self.path):
            self._connection.execute("VACUUM")
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise GalleryUnavailable(
                f"Another program is reading the gallery {self.path}, so traces of what was removed are still in its "
                "log: close that program, then run rtface gallery check."
            )
        with self.writing():
            # Another process may have removed somebody since the rewriting: that one's traces are its own to erase.
            self.execute("UPDATE meta SET erasing = 0 WHERE erasing = ?", removals[0][0])

    def faults(self) -> list[str]:
        """See ``Database``."""
        found = [str(row[0]) for row in self.rows("PRAGMA integrity_check(5)")]
        dangling = self.rows("PRAGMA foreign_key_check")
        return [f"database: {line}" for line in found if line != "ok"] + [
            f"database: row {row} of {table} belongs to nothing in {parent}" for table, row, parent, _ in dangling[:5]
        ]

    def size(self) -> int:
        """See ``Database``."""
        files = [self.path, *(self.path.with_name(self.path.name + tail) for tail in ("-wal", "-shm"))]
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Closes the connection; the last one folds the log into the file."""
        self._connection.close()


def open_database(
    path: Path, *, create: bool, patience: float = BUSY_SECONDS, key: bytes | None = None
) -> SqliteDatabase:
    """A connection to the gallery at this path, its tables checked.

    Args:
        path: the file.
        create: make it, and its folder, when it is not there.
        patience: seconds to wait for another program's lock.
        key: of an encrypted gallery, or for a new one.

    Raises:
        GalleryUnavailable: missing, locked, or not readable.
        KeyRefused: a key is missing, wrong, or given for a gallery that has none.
        GalleryBroken: not a gallery, damaged, or of a newer rtface.
    """
    try:
        if not path.exists() and create:
            _make_private(path)
        if not path.exists():
            raise GalleryUnavailable(f"There is no gallery {path}: rtface enroll NAME DIR makes it.")
        if not path.is_file():
            raise GalleryUnavailable(f"The gallery {path} is not a file: name one with --set gallery=FILE.")
    except OSError as error:
        if isinstance(error, GalleryUnavailable):
            raise
        raise GalleryUnavailable(f"The gallery {path} cannot be opened: {error.strerror or error}.") from error
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    connection = _connect(path, patience) if writable else _connect_readonly(path)
    database = SqliteDatabase(path, connection, writable=writable)
    try:
        _check_header(database, create=create)
        database.open_seal(key)
    except BaseException:
        database.close()
        raise
    return database


def _make_private(path: Path) -> None:
    """An empty file only its owner can read; SQLite gives the log beside it the same rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        log.debug("another process made %s first", path)


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    with explained(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _refuse_strangers(SqliteDatabase(path, connection, writable=True))  # before anything in the file is changed
            _keep_a_log(connection, patience)
            for pragma in (
                "synchronous = FULL",
                "fullfsync = ON",
                "foreign_keys = ON",
                "secure_delete = ON",
                "temp_store = MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            connection.close()
            raise
    return connection


def _keep_a_log(connection: sqlite3.Connection, patience: float) -> None:
    """Turns a new file to write-ahead logging. Here alone SQLite does not wait for another process doing the same."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.005)


def _connect_readonly(path: Path) -> sqlite3.Connection:
    """A read-only folder has no place for SQLite's shared memory; then the file is read as unchanging."""
    unfinished = path.with_name(path.name + "-wal")
    unchanging = "" if unfinished.exists() and unfinished.stat().st_size else "&immutable=1"
    with explained(path):
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{unchanging}", uri=True, isolation_level=None)


def _refuse_strangers(database: SqliteDatabase) -> tuple[int, int]:
    """Reads the version of the tables and how many there are.

    Raises:
        GalleryBroken: they are not a gallery's.
    """
    with database.reading():  # another process may be making the tables
        ((application,),) = database.rows("PRAGMA application_id")
        ((version,),) = database.rows("PRAGMA user_version")
        ((tables,),) = database.rows("SELECT count(*) FROM sqlite_master")
    if application != APPLICATION_ID and (application or tables):
        raise GalleryBroken(f"{database.path} is a database, but not a gallery: name another with --set gallery=FILE.")
    return version, tables


def _check_header(database: SqliteDatabase, *, create: bool) -> None:
    version, tables = _refuse_strangers(database)
    if version > schema.VERSION:
        raise GalleryBroken(
            f"The gallery {database.path} was made by a newer rtface (version {version} of its tables, this one knows "
            f"{schema.VERSION}): pip install --upgrade rtface."
        )
    if not tables and not create:
        raise GalleryUnavailable(f"The gallery {database.path} is empty: rtface enroll NAME DIR fills it.")
    if version == schema.VERSION:
        return
    if not database.writable:
        raise GalleryUnavailable(
            f"The gallery {database.path} was made by an older rtface and can only be read here: open it once where it "
            "can be written, for example with rtface gallery check, and it is brought up to date."
        )
    _bring_up_to_date(database)


def _bring_up_to_date(database: SqliteDatabase) -> None:
    """All missing versions of the tables in one transaction: killed in the middle, the file is as it was."""
    with database.writing():
        ((version,),) = database.rows("PRAGMA user_version")  # another process may have done it meanwhile
        for statements in schema.VERSIONS[version:]:
            for statement in statements:
                database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {max(version, schema.VERSION)}")
    if 0 < version < schema.VERSION:
        log.info("brought the gallery %s from version %d of its tables to %d", database.path, version, schema.VERSION)
