"""A whole gallery into a new one, in a file or on a server: rows under the same numbers, whole or not at all.

What was copied is read back inside the transaction and compared by checksum, before anything of it is durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.errors import GalleryBroken, GalleryMismatch, KeyRefused
from rtface.gallery.copy_ends import End, Place, open_end
from rtface.gallery.database import broken
from rtface.gallery.sealing import What

BATCH = 1000
NUMBERED = ("people", "pictures")
"""Tables whose ids are never given twice."""
OWN = ("only_row", "sealed", "erasing")
"""Columns of ``meta`` that belong to one gallery alone: each has its own seal, and nothing to erase yet."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is copied.

    Attributes:
        name: of the table.
        key: columns that part its rows; it is read in their order.
        secret: the column with a vector or a face, of the picture whose id is the key; "" where there is none.
        what: is in it.
    """

    name: str
    key: tuple[str, ...]
    secret: str = ""
    what: What = "vector"


TABLES = (
    Table("people", ("id",)),
    Table("tags", ("person_id", "tag")),
    Table("pictures", ("id",)),
    Table("embeddings", ("picture_id",), "vector", "vector"),
    Table("crops", ("picture_id",), "jpeg", "crop"),
    Table("changes", ("revision", "person_id")),
)


@dataclass(frozen=True, slots=True)
class Copy:
    """What was copied.

    Attributes:
        rows: of each table.
        sha256: of all of it, as it is in both galleries.
        revision: where both stand.
    """

    rows: dict[str, int]
    sha256: str
    revision: int


def copy_gallery(source: Place, target: Place, *, key: Callable[[], bytes | None] | None = None) -> Copy:
    """Copies everything of one gallery into a new one; that of an encrypted one is encrypted with the same key.

    Args:
        source: read in one state, whatever others do to it meanwhile.
        target: a new file or an empty database; killed in the middle it is still empty.
        key: reads the owner's key; asked where the source is encrypted.

    Raises:
        GalleryMismatch: the target has been used, or has other tables.
        GalleryUnavailable, GalleryBroken, KeyRefused: one of them cannot be opened, read or written.
    """
    secret = None
    try:
        origin = open_end(source, key=None)
    except KeyRefused:
        secret = key() if key else None
        if secret is None:
            raise
        origin = open_end(source, key=secret)
    try:
        return _copy_into_new(origin, target, secret)
    finally:
        origin.database.close()


def _copy_into_new(origin: End, target: Place, secret: bytes | None) -> Copy:
    made = isinstance(target, Path) and not target.exists()
    copy = open_end(target, key=secret, create=True)
    done = False
    try:
        with origin.database.reading(), copy.database.writing():
            found = _copy(origin, copy)
        done = True
    finally:
        copy.database.close()
        if made and not done and isinstance(target, Path):
            for tail in ("", "-wal", "-shm"):
                target.with_name(target.name + tail).unlink(missing_ok=True)
    return found


def _copy(origin: End, copy: End) -> Copy:
    if not copy.database.rows("SELECT 1 FROM meta WHERE revision = 0"):
        place = copy.database.place
        raise GalleryMismatch(f"The gallery {place} has been used before: a copy goes into a new file or database.")
    form = _copy_record(origin, copy)
    columns = {table.name: _columns(origin, copy, table.name) for table in TABLES}
    rows, digests = {}, {}
    with copy.loading():
        for table in TABLES:
            rows[table.name], digests[table.name] = _copy_table(origin, copy, table, columns[table.name], form)
    for name in NUMBERED:
        copy.give_ids_after(name, origin.last_id(name))
    again = {table.name: _digest(copy, table, columns[table.name]) for table in TABLES}
    if again != digests:
        wrong = ", ".join(name for name, digest in digests.items() if digest != again[name])
        raise GalleryBroken(f"The copy in {copy.database.place} came out otherwise ({wrong}): nothing was kept of it.")
    ((revision,),) = copy.database.rows("SELECT revision FROM meta", types=(int,))
    return Copy(rows, hashlib.sha256("".join(digests.values()).encode()).hexdigest(), revision)


def _columns(origin: End, copy: End, table: str) -> list[str]:
    """In the order of the source's table.

    Raises:
        GalleryMismatch: the other has not the same.
    """
    here, there = origin.columns(table), copy.columns(table)
    if set(here) != set(there):
        odd = ", ".join(sorted(set(here) ^ set(there)))
        raise GalleryMismatch(
            f"The tables {table} of {origin.database.place} and {copy.database.place} differ ({odd}): upgrade rtface."
        )
    return here


def _copy_record(origin: End, copy: End) -> str:
    """The gallery's own record: model, revision, calibration; gives the form of its vectors."""
    columns = [name for name in _columns(origin, copy, "meta") if name not in OWN]
    (record,) = origin.database.rows(f"SELECT {', '.join(columns)} FROM meta")
    copy.database.execute(f"UPDATE meta SET {', '.join(f'{name} = ?' for name in columns)}", *record)
    return str(record[columns.index("form")])


def _copy_table(origin: End, copy: End, table: Table, columns: list[str], form: str) -> tuple[int, str]:
    """The number of rows copied, and their checksum."""
    done, digest = 0, hashlib.sha256()
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

    def stored(value: bytes, picture: int) -> bytes:
        sealed = copy.database.sealer.seal(value, table.what, picture)
        return copy.as_stored(sealed, form) if table.what == "vector" else sealed

    for batch in _plain_rows(origin, table, columns):
        digest.update(_canonical(batch))
        copy.database.execute_many(sql, [_with_secret(row, table, columns, stored) for row in batch])
        done += len(batch)
    return done, digest.hexdigest()


def _digest(end: End, table: Table, columns: list[str]) -> str:
    digest = hashlib.sha256()
    for batch in _plain_rows(end, table, columns):
        digest.update(_canonical(batch))
    return digest.hexdigest()


def _canonical(batch: list[Row]) -> bytes:
    """The same bytes for the same values, however they are cut into batches and whichever database they are of."""
    return b"".join(repr(row).encode("utf-8", "backslashreplace") + b"\n" for row in batch)


def _plain_rows(end: End, table: Table, columns: list[str]) -> Iterator[list[Row]]:
    """All rows by their key, in batches, vectors and faces in the clear."""
    key = ", ".join(table.key)
    places = [columns.index(name) for name in table.key]

    def plain(value: object, picture: int) -> bytes:
        opened = end.database.sealer.opened(value, table.what, picture)
        if not isinstance(opened, bytes):
            raise broken(end.database.place, f"a value in {table.name} is not what belongs there")
        return opened

    where, after = "", ()
    while True:
        sql = f"SELECT {', '.join(columns)} FROM {table.name} {where} ORDER BY {key} LIMIT ?"
        batch: list[Row] = end.database.rows(sql, *after, BATCH)
        if not batch:
            return
        yield [_with_secret(row, table, columns, plain) for row in batch]
        where = f"WHERE ({key}) > ({', '.join('?' * len(places))})"
        after = tuple(batch[-1][place] for place in places)


def _with_secret(row: Row, table: Table, columns: list[str], change: Callable[[Any, int], bytes]) -> Row:
    """The row with what ``change(value, picture id)`` makes of its vector or face."""
    if not table.secret:
        return row
    place = columns.index(table.secret)
    return (*row[:place], change(row[place], row[columns.index(table.key[0])]), *row[place + 1 :])
