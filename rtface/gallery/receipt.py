"""Erasing somebody with a receipt: what was erased, from which files, and a look for what is left in their bytes.

The receipt names nobody. It holds a slow, salted hash of the name (scrypt), so that whoever knows the name can confirm
whose it is; a name that is easily guessed can be guessed there too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtface.errors import GalleryUnavailable
from rtface.gallery.database import Database
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.names import normalised
from rtface.gallery.people import BATCH, Person, Picture, crops_of, pictures_of, vectors_of
from rtface.gallery.remains import SHORTEST_TEXT, Remains
from rtface.gallery.sqlite import SqliteDatabase
from rtface.gallery.vectors import are_units

VERSION = 1
OWN_TAILS = ("", "-wal", "-shm", "-journal", ".hnsw", ".hnsw.json", ".hnsw.new")
"""What the gallery's own files are called after its name."""
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}
"""Some 0.1 s and 32 MB for each guess at a name. Source: RFC 7914, section 2."""
NOT_COVERED = (
    "files written by rtface gallery export",
    "backups, snapshots and copies elsewhere",
    "results and events written by rtface run (--jsonl, --save-video, MQTT, webhooks)",
    "blocks that the file system or an SSD has freed but not overwritten",
)


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased."""

    pictures: int
    counter_examples: int
    vectors: int
    faces: int
    tags: int
    note: bool
    consent: bool


@dataclass(frozen=True, slots=True)
class SearchedFile:
    """A file whose name begins with the gallery's.

    Attributes:
        file: its name.
        size: bytes.
        own: the gallery's, and not a copy somebody made.
        found: how often something of the person is in it.
    """

    file: str
    size: int
    own: bool
    found: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of somebody's data.

    Attributes:
        name_scrypt, salt: see ``hashed``; hex.
        gallery: where it is.
        revision: of the gallery without the person.
        at: seconds since 1970.
        erased: how much.
        files: which were searched; empty for a gallery on a server, which is only asked.
        pieces: of vectors and faces that were searched for, of 8 bytes each.
        texts: name, note, tags, paths and checksums that were searched for.
        texts_left_out: shorter than 8 bytes, or also of somebody who is still here.
        remaining: what is still to do before nothing is left, or "".
    """

    name_scrypt: str
    salt: str
    gallery: str
    revision: int
    at: float
    erased: Erased
    files: tuple[SearchedFile, ...]
    pieces: int
    texts: int
    texts_left_out: int
    remaining: str

    @property
    def complete(self) -> bool:
        """Nothing is left in the gallery's own files."""
        return not self.remaining and not any(file.found for file in self.files if file.own)


def hashed(name: str, salt: bytes) -> bytes:
    """What a receipt holds instead of the name."""
    return hashlib.scrypt(normalised(name).encode(), salt=salt, maxmem=1 << 26, dklen=32, **SCRYPT)


def erase(gallery: PersonGallery, name: str, at: float) -> Receipt:
    """Removes somebody as ``PersonGallery.remove`` does, and looks for what is left.

    Args:
        gallery: writable.
        name: whom.
        at: seconds since 1970.

    Raises:
        UnknownPerson: nobody of that name is enrolled.
        GalleryUnavailable: read-only or locked; nobody is removed.
    """
    person, salt, remaining = gallery.person(name), os.urandom(16), ""
    removed = False
    try:
        with gallery.editing() as edit:
            known = edit.known(person.name)
            pictures = pictures_of(gallery.database, person.name)
            values = list(_values(gallery, known, person.name))
            crops = len(crops_of(gallery.database, person.name))
            edit.remove(known)
            left_out, texts = _unshared(gallery.database, _texts(person, pictures))
            removed = True
    except GalleryUnavailable as error:
        if not removed or edit.find(person.name) is not None:
            raise
        remaining = str(error)
    against = sum(picture.against for picture in pictures)
    amount = Erased(
        len(pictures) - against,
        against,
        len(pictures),
        crops,
        len(person.tags),
        bool(person.note),
        bool(person.consent),
    )
    sought = Remains(values, texts)
    return Receipt(
        name_scrypt=hashed(person.name, salt).hex(),
        salt=salt.hex(),
        gallery=gallery.database.place,
        revision=gallery.revision,
        at=at,
        erased=amount,
        files=tuple(_searched(gallery.database, sought)),
        pieces=sought.pieces,
        texts=sought.texts,
        texts_left_out=left_out + len(texts) - sought.texts,
        remaining=remaining,
    )


def _values(gallery: PersonGallery, person: int, name: str) -> Iterator[bytes]:
    """Vectors as they are stored and as an index holds them, and the part of each face that is like no other JPEG; none
    of a picture that somebody else has too."""
    database = gallery.database
    shared = {
        row
        for (row,) in database.rows(
            "SELECT id FROM pictures WHERE person_id = ? AND sha256 IN "
            "(SELECT sha256 FROM pictures WHERE person_id <> ?)",
            *(person, person),
        )
    }
    stored = database.rows(
        "SELECT picture_id, vector FROM embeddings JOIN pictures ON pictures.id = picture_id WHERE person_id = ? "
        "ORDER BY picture_id",
        person,
    )
    for (row, value), opened in zip(stored, vectors_of(database, name), strict=True):
        if row in shared:
            continue
        if isinstance(value, bytes):
            yield value
        if gallery.form.is_stored(opened):
            decoded = gallery.form.decode([opened])
            yield from (unit.astype("<f4").tobytes() for unit in decoded[are_units(decoded)])
    crops = "SELECT picture_id, jpeg FROM crops JOIN pictures ON pictures.id = picture_id WHERE person_id = ?"
    for row, jpeg in database.rows(crops, person, types=(int, bytes)):
        opened = database.sealer.opened(jpeg, "crop", row)
        for crop in {jpeg, opened} if row not in shared else ():
            if isinstance(crop, bytes):
                yield crop[len(crop) // 2 :]


def _texts(person: Person, pictures: list[Picture]) -> set[str]:
    purpose = person.consent.purpose if person.consent else ""
    words = {person.name, person.note, purpose, *person.tags}
    return {text for text in (*words, *(text for one in pictures for text in (one.file, one.sha256))) if text}


def _unshared(database: Database, texts: set[str]) -> tuple[int, set[str]]:
    """How many of the texts are in what others have, and the rest."""
    rest = {text for text in texts if len(text.encode()) >= SHORTEST_TEXT}
    short = texts - rest
    for others in _texts_of_others(database):
        rest = {text for text in rest if text not in others}
    return len(texts) - len(short) - len(rest), rest | short


def _texts_of_others(database: Database) -> Iterator[str]:
    """All texts of those who are still here and of the gallery itself, many at once."""
    own = ("SELECT sql FROM sqlite_master",) if isinstance(database, SqliteDatabase) else ()
    people = (
        "SELECT name, note, consent_for FROM people",
        "SELECT tag FROM tags",
        "SELECT model, fingerprint FROM meta",
    )
    for query in (*own, *people):
        yield "\n".join(text for row in database.rows(query) for text in row if isinstance(text, str))
    after = 0
    while True:
        batch = database.rows(
            "SELECT id, file, sha256 FROM pictures WHERE id > ? ORDER BY id LIMIT ?",
            *(after, BATCH),
            types=(int, str, str),
        )
        if not batch:
            return
        yield "\n".join(text for row in batch for text in row[1:])
        after = batch[-1][0]


def _searched(database: Database, sought: Remains) -> Iterator[SearchedFile]:
    if not isinstance(database, SqliteDatabase):
        return
    path: Path = database.path
    own = {path.name + tail for tail in OWN_TAILS}
    for file in sorted(path.parent.glob(f"{_literal(path.name)}*")):
        if file.is_file():
            yield SearchedFile(file.name, file.stat().st_size, file.name in own, sought.count_in(file))


def _literal(name: str) -> str:
    """A file's name for ``glob``, whatever is in it."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
