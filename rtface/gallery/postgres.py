"""The gallery on a PostgreSQL server: statements, one writer at a time, and the erasure of traces.

A write is durable when it returns, on the server and, with ``synchronous_standby_names`` set there, on its standbys.
What is erased leaves the tables and the index. It stays in the write-ahead log until that is recycled, in archives of
it, and in backups: those are the administrator's to age out (docs/scale.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import Connection

from rtface.errors import GalleryLost, GalleryUnavailable
from rtface.gallery.database import Value, broken
from rtface.gallery.postgres_errors import explained
from rtface.gallery.postgres_schema import SCHEMA, WRITER_LOCK
from rtface.gallery.postgres_server import PostgresServer
from rtface.gallery.rekeying import adopt_key, refuse_new_key
from rtface.gallery.sealing import UNSEALED, Sealer

log = logging.getLogger(__name__)

REWRITTEN_UP_TO = 20_000
"""Rows of a gallery that is rewritten when somebody is erased; a larger one would be locked for minutes."""


class PostgresDatabase:
    """A ``Database`` on a server."""

    def __init__(self, server: PostgresServer, *, patience: float, owner: bool = True) -> None:
        """Args: ``patience`` in seconds for another program's lock; ``owner`` closes the server with it."""
        self.server = server
        self.place = str(server.url)
        self.writable = server.writable
        self._patience = patience
        self._owner = owner
        self.sealer: Sealer = UNSEALED
        self._opened = False
        self._under_way: Connection[Any] | None = None

    def open_seal(self, key: bytes | None) -> None:
        """Makes ``sealer``. Raises as ``rekeying.adopt_key``."""
        self.sealer = adopt_key(self, key)
        self._opened = True

    def _refuse_new_key(self) -> None:
        if self._opened:
            refuse_new_key(self, self.sealer)

    def rows(self, sql: str, *values: object, types: tuple[type, ...] = ()) -> list[tuple[Any, ...]]:
        """See ``Database``."""
        try:
            found = self._ask(sql, values)
        except GalleryLost:
            if self._under_way is not None:
                raise
            self.server.renew()  # a server that was started again has closed what the pool still holds
            found = self._ask(sql, values)
        for row in found:
            if types and not all(map(isinstance, row, types)):
                raise broken(self.place, "a value is of another type than belongs there")
        return found

    def _ask(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            return connection.execute(marked(sql), values or None, binary=True).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        if self._under_way is None:
            with self.server.connection() as connection:
                yield connection
        else:
            with explained(self.server.url):
                yield self._under_way

    @contextmanager
    def _transaction(self, begin: LiteralString, *, commit: bool) -> Iterator[Connection[Any]]:
        assert self._under_way is None, "a transaction inside another"
        with self.server.connection(to_write=commit) as connection:
            connection.execute(begin)
            self._under_way = connection
            try:
                yield connection
                if commit:
                    connection.execute("COMMIT")
            finally:
                self._under_way = None
                _undo(connection)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``Database``."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", commit=False):
            self._refuse_new_key()
            yield

    def execute(self, sql: str, *values: Value) -> int:
        """See ``Database``."""
        with self._connection() as connection:
            return connection.execute(marked(sql), values or None).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """See ``Database``."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.executemany(marked(sql), list(rows))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See ``Database``."""
        if not self.writable:
            raise GalleryUnavailable(
                f"The gallery {self.place} can only be read here: it is a standby, or this user may not change it. "
                "Name its primary server and a user who may with --set gallery=URL."
            )
        with self._transaction("BEGIN", commit=True) as connection:
            connection.execute(f"SET LOCAL lock_timeout = {round(self._patience * 1000)}")
            connection.execute(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
            self._refuse_new_key()
            yield

    def erase_traces(self) -> None:
        """Rewrites the tables without what was removed, or frees its place where they are large.

        Does nothing when that is already done. Bytes of a place that was freed are overwritten when it is used again.

        Raises:
            GalleryUnavailable: a table stays locked; done at the next opening.
        """
        removals = self.rows("SELECT erasing FROM meta WHERE erasing > 0")
        if not removals:
            return
        few = not self.rows("SELECT 1 FROM embeddings LIMIT 1 OFFSET ?", REWRITTEN_UP_TO)
        with self.server.connection(to_write=True) as connection:
            connection.execute(f"SET lock_timeout = {round(self._patience * 1000)}")
            try:
                for table in ("people", "pictures", "embeddings", "tags", "crops", "changes"):
                    connection.execute(f"VACUUM {'(FULL)' if few else '(TRUNCATE)'} {SCHEMA}.{table}")
            finally:
                if not connection.broken:
                    connection.execute("RESET lock_timeout")
        if not few:
            log.warning(
                "the gallery %s is large: what was erased cannot be found any more, but its bytes stay on the server's "
                "disk until their place is used again; VACUUM FULL in a quiet hour overwrites them (docs/scale.md)",
                self.place,
            )
        with self.writing():
            self.execute("UPDATE meta SET erasing = 0 WHERE erasing = ?", removals[0][0])

    def faults(self) -> list[str]:
        """See ``Database``."""
        invalid = self.rows(
            "SELECT c.relname::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE NOT indisvalid"
            " AND c.relnamespace = ?::regnamespace",
            SCHEMA,
        )
        damaged = self.rows(
            "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()"
        )
        return [f"database: the index {name} is not whole: REINDEX INDEX {SCHEMA}.{name}" for (name,) in invalid] + [
            f"database: {count} pages on the server's disk were damaged; put back a backup"
            for (count,) in damaged
            if count
        ]

    def size(self) -> int:
        """See ``Database``."""
        ((found,),) = self.rows(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = ?::regnamespace",
            SCHEMA,
        )
        return int(found)

    def may_differ(self, revision: int) -> bool:
        """See ``Database``."""
        return self.server.may_differ(revision)

    def beside(self) -> PostgresDatabase:
        """The same gallery for another thread, over the same pool."""
        other = PostgresDatabase(self.server, patience=self._patience, owner=False)
        other.sealer, other._opened = self.sealer, self._opened
        return other

    def close(self) -> None:
        """Closes the connections."""
        if self._owner:
            self.server.close()


def _undo(connection: Connection[Any]) -> None:
    """Ends what is still under way; a connection that is lost has nothing."""
    try:
        if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error as error:
        log.debug("nothing to undo any more: %s", error)


def marked(sql: str) -> LiteralString:
    """A statement with psycopg's marks for its values. It is ours, never a user's text."""
    return sql.replace("?", "%s")  # type: ignore[return-value,unused-ignore]
