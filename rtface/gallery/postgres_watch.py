"""A thread that knows the gallery's revision, so that a running program asks the server nothing while nothing changes.

A primary server tells every change (LISTEN). A standby cannot, and is asked twice a second. A connection that is lost
is made again, at first at once, then less and less often.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import Connection

from rtface.errors import GalleryError
from rtface.gallery.postgres_schema import CHANNEL

log = logging.getLogger(__name__)

WAKE_S = 0.2
"""How often the thread looks whether it is to end."""
HEARTBEAT_S = 3.0
"""A network that is cut says nothing; so the server is asked this often, too."""
POLL_S = 0.4
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0


class Watch:
    """Follows one gallery. ``revision`` is None until it is first known; ``lost`` is set while the server is gone."""

    def __init__(self, connect: Callable[[], Connection[Any]], place: str, *, back: Callable[[], None]) -> None:
        """Begins.

        Args:
            connect: a new connection in autocommit mode.
            place: for sentences.
            back: called in this thread when a server that was lost answers again.
        """
        self.revision: int | None = None
        self.lost = False
        self._connect = connect
        self._place = place
        self._back = back
        self._ending = threading.Event()
        self._doubted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery watch", daemon=True)
        self._thread.start()

    def doubt(self) -> None:
        """Somebody else could not reach the server: it counts as lost until this thread has."""
        self.lost = True
        self._doubted.set()

    def close(self) -> None:
        """Ends the thread."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._ending.is_set():
            try:
                with self._connect() as connection:
                    wait = FIRST_WAIT_S
                    self._follow(connection)
            except (psycopg.Error, GalleryError) as error:
                self._note_loss(error)
                self._ending.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)

    def _note_loss(self, error: Exception) -> None:
        if not self.lost or self._doubted.is_set():
            log.warning("the gallery %s is out of reach; what is known of it stays in use (%s)", self._place, error)
        self._doubted.clear()
        self.lost = True

    def _follow(self, connection: Connection[Any]) -> None:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        listening = row == (False,)
        if listening:
            connection.execute(f"LISTEN {CHANNEL}")
        while not self._ending.is_set():
            found = connection.execute("SELECT revision FROM meta").fetchone()
            self.revision = None if found is None else found[0]
            self._doubted.clear()
            if self.lost:
                self._back()
                self.lost = False
                log.warning("the gallery %s is back", self._place)
            if listening:
                self._listen(connection)
            else:
                self._ending.wait(POLL_S)

    def _listen(self, connection: Connection[Any]) -> None:
        until = time.monotonic() + HEARTBEAT_S
        while time.monotonic() < until and not self._ending.is_set() and not self._doubted.is_set():
            if list(connection.notifies(timeout=WAKE_S, stop_after=1)):
                return
