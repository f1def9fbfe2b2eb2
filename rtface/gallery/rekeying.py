"""A gallery gets a key, another one, or none: all of it in one transaction, and the traces of before erased."""

from __future__ import annotations

from collections.abc import Callable

from rtface.errors import GalleryBroken, KeyRefused
from rtface.gallery.database import Database, broken
from rtface.gallery.expiry import forget_index
from rtface.gallery.people import BATCH
from rtface.gallery.sealing import Sealer, What, new_record, sealer_for


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


def rekey(database: Database, key: bytes | None, forget_saved: Callable[[], None]) -> int:
    """Seals every vector and face with this key, or with None opens them; gives the number of rows.

    Killed at any moment, the gallery is wholly under the key of before or wholly under the new one. Other programs that
    have it open are told at their next look. The connection is the new key's afterwards.

    Args:
        database: opened with the key of before.
        key: 32 bytes, or None for a gallery in the clear.
        forget_saved: deletes a saved index, whose key is the one of before.

    Raises:
        GalleryBroken: a value was not sealed for its row; nothing is changed.
        GalleryUnavailable: read-only, locked, no room; or it is done, and the message says what is still to do.
        MissingLibrary: ``cryptography`` is not installed.
    """
    record = None if key is None else new_record(key)
    sealer = sealer_for(record, key, database.place)
    with database.writing():
        rows = _reseal(database, "embeddings", "vector", "vector", sealer)
        _reseal(database, "crops", "jpeg", "crop", sealer)
        database.execute("UPDATE meta SET sealed = ?", record)
        database.execute(
            "UPDATE meta SET revision = revision + 1, rewritten = revision + 1, logged_after = revision + 1, "
            "erasing = revision + 1"
        )
        forget_index(forget_saved)
    database.sealer = sealer
    database.erase_traces()
    return rows


def _reseal(database: Database, table: str, column: str, what: What, sealer: Sealer) -> int:
    done, after = 0, -(2**63)
    while True:
        batch = database.rows(
            f"SELECT picture_id, {column} FROM {table} WHERE picture_id > ? ORDER BY picture_id LIMIT ?",
            *(after, BATCH),
            types=(int, bytes),
        )
        if not batch:
            return done
        opened = [(row, database.sealer.opened(stored, what, row)) for row, stored in batch]
        whole = [(sealer.seal(value, what, row), row) for row, value in opened if isinstance(value, bytes)]
        if len(whole) < len(batch):
            raise GalleryBroken(f"The gallery {database.place} is damaged: rtface gallery check says where.")
        database.execute_many(f"UPDATE {table} SET {column} = ? WHERE picture_id = ?", whole)
        done, after = done + len(batch), batch[-1][0]
