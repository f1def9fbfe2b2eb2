"""Connections to the server of one gallery: a pool for statements and, for a running program, a watch over changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from rtface.errors import GalleryLost
from rtface.gallery.postgres_connection import BoundedConnection
from rtface.gallery.postgres_errors import explained
from rtface.gallery.postgres_schema import bring_up_to_date, search_path_of
from rtface.gallery.postgres_vectors import teach_vectors
from rtface.gallery.postgres_watch import Watch
from rtface.server_url import ServerUrl

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 4
IDLE_S = 60.0
ANSWER_S = 10.0
"""For the answer to a running video; the largest galleries are counted in a few seconds, other questions take
milliseconds."""
WAIT_S = 2
"""For a connection: a video must not stand still for longer. libpq takes whole seconds, at least 2."""
SEARCH_EFFORT = 128
"""hnsw.ef_search, as for hnswlib (``index``)."""

_UNLESS_GIVEN: dict[str, str | int] = {
    "application_name": "rtface",
    "connect_timeout": WAIT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
"""Parameters of libpq: so that a server that is gone without a word is noticed within seconds."""
_UNANSWERED_MS = 4000
"""tcp_user_timeout of connections that only ask. A server busy with many rows sent to it takes no more for a while, and
that must not count."""


class PostgresServer:
    """One gallery's server. ``writable`` tells whether it can be changed; threads may share it."""

    def __init__(self, url: ServerUrl, *, create: bool) -> None:
        """Connects, and makes or mends the tables.

        Raises:
            GalleryUnavailable, GalleryBroken: see ``bring_up_to_date``; the sentence says what the server refused.
        """
        self.url = url
        with explained(url):
            given = conninfo_to_dict(url.secret)
            self._address = make_conninfo("", **{**_UNLESS_GIVEN, **given})
            self._asking = make_conninfo("", **{**_UNLESS_GIVEN, "tcp_user_timeout": _UNANSWERED_MS, **given})
            with psycopg.connect(self._address, autocommit=True) as connection:
                self.writable = bring_up_to_date(connection, url, create=create)
                _warn_of_forgetful(connection, url)
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # its warnings are told by the watch
        self._lock = threading.Lock()
        self._pools: dict[bool, ConnectionPool[BoundedConnection]] = {}
        self._renewed = False
        self._watch: Watch | None = None

    def _new_pool(self, *, to_write: bool) -> ConnectionPool[BoundedConnection]:
        return ConnectionPool(
            self._address if to_write else self._asking,
            connection_class=BoundedConnection,
            kwargs={"autocommit": True},
            configure=_settle,
            min_size=0 if to_write else 1,
            max_size=MOST_CONNECTIONS,
            max_idle=IDLE_S,
            num_workers=1,
            timeout=WAIT_S,
            open=True,
        )

    @contextmanager
    def connection(self, *, to_write: bool = False) -> Iterator[Connection[Any]]:
        """A connection of a pool, for one transaction.

        Raises:
            GalleryLost: the server is out of reach. While the watch knows that, this is told at once.
        """
        if self._watch is not None and self._watch.lost:
            raise GalleryLost(
                f"The gallery {self.url} cannot be reached at the moment; it is asked for again and again."
            )
        try:
            with explained(self.url), self._pool(to_write).connection() as connection:
                connection.answer_s = None if to_write or self._watch is None else ANSWER_S
                yield connection
        except GalleryLost:
            if self._watch is not None:
                self._watch.doubt()
            raise

    def _pool(self, to_write: bool) -> ConnectionPool[BoundedConnection]:
        """The pool, made when first needed; after a loss a new one, whose connections and patience are fresh."""
        with self._lock:
            if self._renewed:
                self._renewed = False
                self._close_pools()
            if to_write not in self._pools:
                self._pools[to_write] = self._new_pool(to_write=to_write)
            return self._pools[to_write]

    def _close_pools(self) -> None:
        while self._pools:
            self._pools.popitem()[1].close(timeout=0)

    def renew(self) -> None:
        """Connections made so far are not used again."""
        self._renewed = True

    def may_differ(self, revision: int) -> bool:
        """Whether the gallery may stand at another revision. Asks the server only the first time.

        Raises:
            GalleryLost: it is out of reach.
        """
        if self._watch is None:
            self._watch = Watch(self._watching_connection, str(self.url), back=self.renew)
            return True
        if self._watch.lost:
            raise GalleryLost(f"The gallery {self.url} cannot be reached: the people known so far stay in use.")
        return self._watch.revision != revision

    def _watching_connection(self) -> Connection[Any]:
        connection = BoundedConnection.connect(self._asking, autocommit=True)
        connection.answer_s = ANSWER_S
        try:
            connection.execute(search_path_of(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Closes all connections."""
        if self._watch is not None:
            self._watch.close()
        self._close_pools()


def _settle(connection: Connection[Any]) -> None:
    """What every connection of the pool is set to."""
    connection.execute(search_path_of(connection))
    connection.execute(
        "SELECT set_config('hnsw.ef_search', %s, false), set_config('hnsw.iterative_scan', 'strict_order', false),"
        " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
        " ELSE current_setting('synchronous_commit') END, false)",
        (str(SEARCH_EFFORT),),
    )
    teach_vectors(connection)


def _warn_of_forgetful(connection: Connection[Any], url: ServerUrl) -> None:
    if connection.execute("SELECT current_setting('fsync')").fetchone() == ("off",):
        log.warning("the server of %s runs with fsync = off: what it acknowledges does not outlive a power cut", url)
