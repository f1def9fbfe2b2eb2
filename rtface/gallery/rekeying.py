"""A gallery gets a key, another one, or none: all of it in one transaction, and the traces of before erased."""

from __future__ import annotations

from rtface.errors import KeyRefused
from rtface.gallery.database import Database, broken
from rtface.gallery.sealing import Sealer, new_record, sealer_for


def adopt_key(database: Database, key: bytes | None) -> Sealer:
    """What opens this gallery; one in which nobody is enrolled yet becomes this key's.

    Args:
        database: its tables checked.
        key: the owner's, or None where none is set.

    Raises:
        KeyRefused: a key is missing, wrong, or given for a gallery that has none.
        GalleryBroken: a newer rtface has sealed it, or its record is lost.
        MissingLibrary: ``cryptography`` is not installed.
    """
    record = record_of(database)
    if record is None and key is not None and database.writable:
        fresh = new_record(key)
        with database.writing():
            database.execute(
                "UPDATE meta SET sealed = ? WHERE sealed IS NULL AND NOT EXISTS (SELECT 1 FROM people)", fresh
            )
        record = record_of(database)  # another process may have been first
    return sealer_for(record, key, database.place)


def record_of(database: Database) -> bytes | None:
    """``meta.sealed``: what tells the gallery's key from another; None where it has none.

    Raises:
        GalleryBroken: the record is lost.
    """
    found = database.rows("SELECT sealed FROM meta", types=(bytes | None,))  # type: ignore[arg-type]
    if not found:
        raise broken(database.place, "its own record is missing")
    record: bytes | None = found[0][0]
    return record


def refuse_new_key(database: Database, sealer: Sealer) -> None:
    """Inside a transaction: the gallery has the key it had when this connection was opened.

    Raises:
        KeyRefused: another program has meanwhile encrypted it, decrypted it or changed its key.
    """
    rows = database.rows("SELECT sealed FROM meta")
    if rows and rows[0][0] != sealer.record:
        raise KeyRefused(
            f"The gallery {database.place} was encrypted or decrypted, or its key was changed, since this program "
            "opened it: set gallery_key to the key it has now and start again."
        )
