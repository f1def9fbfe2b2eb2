"""SQLite's errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtface.errors import GalleryError, GalleryUnavailable
from rtface.gallery.database import broken


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
    return broken(str(path), str(error))
