"""Consent that has ended: its people are erased at opening, and at midnight beside a running program."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import date

from rtface.errors import GalleryError, GalleryUnavailable
from rtface.gallery.database import Database
from rtface.gallery.editing import Edit

log = logging.getLogger(__name__)


def expire(database: Database, today: date, forget_saved: Callable[[], None]) -> list[str]:
    """Erases everybody whose consent has ended; gives their names.

    Args:
        database: the gallery's.
        today: the local date; a consent's last day is still a day of it.
        forget_saved: deletes a saved index.

    Raises:
        GalleryUnavailable: read-only or locked; or they are removed and the message says what is still to do.
    """
    if not database.rows("SELECT 1 FROM people WHERE consent_until < ? LIMIT 1", today.isoformat()):
        return []
    with database.writing():
        edit = Edit(database)
        names = edit.expire(today)
        if edit.vectors_gone:
            forget_index(forget_saved)
    if names:  # names are never logged
        log.warning("%d people whose consent has ended were erased from %s", len(names), database.place)
    database.erase_traces()
    return names


def forget_index(forget_saved: Callable[[], None]) -> None:
    """Deletes the saved index inside the transaction that removes rows, before it is durable: an index must not
    outlive the rows it was made from.

    Raises:
        GalleryUnavailable: a file cannot be deleted; undoes the transaction.
    """
    try:
        forget_saved()
    except OSError as error:
        raise GalleryUnavailable(f"The saved index cannot be deleted ({error}): nothing was changed.") from error


class ExpiryBeside:
    """Erasing in a thread with a connection of its own: rewriting a large gallery takes seconds, and video goes on."""

    def __init__(self, connect: Callable[[], Database], forget_saved: Callable[[], None]) -> None:
        self._connect = connect
        self._forget_saved = forget_saved
        self._thread: threading.Thread | None = None

    def start(self, today: date) -> None:
        """Begins, once the time before has ended."""
        self.wait()
        self._thread = threading.Thread(target=self._expire, args=(today,), name="expiry", daemon=True)
        self._thread.start()

    def _expire(self, today: date) -> None:
        try:
            database = self._connect()
            try:
                expire(database, today, self._forget_saved)
            finally:
                database.close()
        except GalleryError as error:
            log.warning("consent has ended, but its people could not be erased yet: %s", error)

    def wait(self) -> None:
        """Until it is done."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
