"""The gallery's file: opening it, its tables, writing to it, and what its errors mean.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtface.errors import GalleryBroken, GalleryError, GalleryUnavailable

log = logging.getLogger(__name__)

APPLICATION_ID = 0x72746661
"""``rtfa``, in the file's header: tells a gallery from any other SQLite file."""
SCHEMA_VERSION = 1
BUSY_SECONDS = 5.0
"""How long another program's write is waited for; ours take milliseconds."""
PAGE_BYTES = 8192
"""Three 512-number vectors fit; at SQLite's usual 4096 one does (measured: 2.0 bytes on disk a byte, here 1.3)."""

_TABLES = (
    """CREATE TABLE meta (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        revision INTEGER NOT NULL,     -- grows with every change
        rewritten INTEGER NOT NULL,    -- the revision of the last change that was not an addition
        erasing INTEGER NOT NULL,      -- the revision of a removal whose traces are still in the file, or 0
        model TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        size INTEGER NOT NULL)         -- numbers in an embedding""",
    """CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created_at REAL NOT NULL)""",
    """CREATE TABLE pictures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: an index made before a removal cannot mistake a row
        person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        file TEXT NOT NULL,
        added_at REAL NOT NULL,
        quality REAL NOT NULL,
        UNIQUE (person_id, sha256))""",
    "CREATE INDEX pictures_by_sha256 ON pictures (sha256)",
    """CREATE TABLE embeddings (
        picture_id INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE,
        vector BLOB NOT NULL)                  -- little-endian float32""",
)

Value = str | int | float | bytes | None


class Database:
    """One connection to a gallery's file, used by the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._connection = connection

    def rows(self, sql: str, *values: Value, types: tuple[type, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; outside ``reading`` no lock is held afterwards.

        Args:
            sql: the query.
            values: for its question marks.
            types: of its columns; SQLite itself gives whatever a damaged file holds.
        """
        with explained(self.path):
            found = self._connection.execute(sql, values).fetchall()
        for row in found:
            if types and not all(map(isinstance, row, types)):
                raise _broken(self.path, "a value is of another type than belongs there")
        return found

    def revisions(self) -> tuple[int, int]:
        """The revision, and the one of the last change that was not an addition.

        Raises:
            GalleryBroken: the gallery's own record is lost.
        """
        found = self.rows("SELECT revision, rewritten FROM meta WHERE only_row = 1", types=(int, int))
        if not found:
            raise _broken(self.path, "its own record is missing")
        return found[0][0], found[0][1]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Queries inside see one state of the gallery, whatever others write meanwhile. Keep it short: traces of what
        others remove cannot be erased before it ends."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def execute(self, sql: str, *values: Value) -> int:
        """Runs one statement inside ``writing``; gives the number of rows it changed."""
        with explained(self.path):
            return self._connection.execute(sql, values).rowcount

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction nobody else can write beside; durable when it ends, undone by any error.

        Raises:
            GalleryUnavailable: read-only, locked for longer than the patience, or the disk is full.
        """
        if not self.writable:
            raise GalleryUnavailable(
                f"The gallery {self.path} can only be read here: give this user the right to write the file and its "
                "folder, or use another one with --set gallery=FILE."
            )
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

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

    def close(self) -> None:
        """Closes the connection; the last one folds the log into the file."""
        self._connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the second: text in a damaged file, or in a message about it
        raise _explanation(error, path) from error


def _explanation(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> GalleryError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return GalleryUnavailable(f"The gallery {path} is locked by another program: close it, or try again.")
    if code == sqlite3.SQLITE_FULL:
        return GalleryUnavailable(f"No room for the gallery {path}: free some space; nothing reported so far is lost.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return GalleryUnavailable(f"The gallery {path} cannot be read or written ({error}): check disk and rights.")
    return _broken(path, str(error))


def _broken(path: Path, fault: str) -> GalleryBroken:
    return GalleryBroken(
        f"The gallery {path} is not a gallery, or it is damaged ({fault}). Put back a copy, or name another file with "
        "--set gallery=FILE and enrol again."
    )


def open_database(path: Path, *, create: bool, patience: float = BUSY_SECONDS) -> Database:
    """A connection to the gallery at this path, its tables checked.

    Args:
        path: the file.
        create: make it, and its folder, when it is not there.
        patience: seconds to wait for another program's lock.

    Raises:
        GalleryUnavailable: missing, locked, or not readable.
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
    database = Database(path, _connect(path, patience) if writable else _connect_readonly(path), writable=writable)
    try:
        _check_header(database, create=create)
    except BaseException:
        database.close()
        raise
    return database


def _make_private(path: Path) -> None:
    """An empty file only its owner can read; SQLite gives the log beside it the same rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        log.debug("another process made %s first", path)


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    with explained(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _refuse_strangers(Database(path, connection, writable=True))  # before anything in the file is changed
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


def _refuse_strangers(database: Database) -> tuple[int, int]:
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


def _check_header(database: Database, *, create: bool) -> None:
    version, tables = _refuse_strangers(database)
    if not tables:
        if not create:
            raise GalleryUnavailable(f"The gallery {database.path} is empty: rtface enroll NAME DIR fills it.")
        _make_tables(database)
    elif version > SCHEMA_VERSION:
        raise GalleryBroken(
            f"The gallery {database.path} was made by a newer rtface (version {version} of its tables, this one knows "
            f"{SCHEMA_VERSION}): pip install --upgrade rtface."
        )


def _make_tables(database: Database) -> None:
    with database.writing():
        if database.rows("SELECT count(*) FROM sqlite_master") != [(0,)]:
            return
        for table in _TABLES:
            database.execute(table)
        database.execute("INSERT INTO meta VALUES (1, 0, 0, 0, '', '', 0)")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
