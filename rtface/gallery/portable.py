"""A gallery in one file that any program can read: gzip-compressed JSON, a line each for the header, people, rows, end.

The header names the model. After each person come the person's rows, the embedding as base64 of little-endian float32.
The last line counts people and rows and gives the SHA-256 of all lines before it, so that a file that was cut off or
changed is never taken for a whole one.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from rtface.errors import GalleryBroken, GalleryMismatch, GalleryUnavailable
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import Consent, Person, Picture, Provenance, crops_of, people_in, pictures_of, vectors_of
from rtface.gallery.vectors import are_units

FORMAT = "rtface gallery"
VERSION = 1
LONGEST_LINE = 64_000_000
"""Bytes; a row with a face takes some 15,000."""
COMPRESSION = 1
"""Base64 shrinks to the bytes it stands for; more effort gains nothing on vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A picture with its (D,) float32 unit embedding and, where it was kept, the face as JPEG."""

    picture: Picture
    embedding: NDArray[np.float32]
    crop: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A person with all rows."""

    person: Person
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is in a file."""

    people: int
    rows: int


def export_gallery(gallery: PersonGallery, file: Path, *, crops: bool) -> Amount:
    """Writes everybody into a file only its owner can read; it is there whole or not at all.

    Args:
        gallery: read as it is at one moment.
        file: written over.
        crops: take the kept faces along.

    Raises:
        GalleryUnavailable: the file cannot be written.
    """
    beside = file.with_name(file.name + ".new")
    try:
        descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as stream:
                amount = _write(cast(BinaryIO, stream), gallery, crops)
                stream.flush()
            with beside.open("rb") as whole:
                os.fsync(whole.fileno())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise GalleryUnavailable(f"The export {file} cannot be written: {error.strerror or error}.") from error
    return amount


def _write(stream: BinaryIO, gallery: PersonGallery, crops: bool) -> Amount:
    digest, people, rows = hashlib.sha256(), 0, 0

    def line(record: dict[str, Any]) -> None:
        data = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        digest.update(data)
        stream.write(data)

    with gallery.database.reading():
        line({"format": FORMAT, "version": VERSION, **asdict(gallery.model)})
        for entry in _entries(gallery, crops):
            people, rows = people + 1, rows + len(entry.rows)
            line({"person": _person_record(entry.person)})
            for row in entry.rows:
                line({"row": _row_record(row)})
    line({"end": {"people": people, "rows": rows, "sha256": digest.hexdigest()}})
    return Amount(people, rows)


def _entries(gallery: PersonGallery, crops: bool) -> Iterator[Entry]:
    for person in people_in(gallery.database):
        pictures = pictures_of(gallery.database, person.name)
        stored = vectors_of(gallery.database, person.name)
        good = [value for value in stored if gallery.form.is_stored(value)]
        if not len(pictures) == len(stored) == len(good):
            raise GalleryBroken(f"The gallery {gallery.database.place} is damaged: rtface gallery check says where.")
        kept = crops_of(gallery.database, person.name) if crops else {}
        rows = zip(pictures, gallery.form.decode(good), strict=True)
        yield Entry(person, [Row(picture, vector, kept.get(picture.sha256)) for picture, vector in rows])


def _person_record(person: Person) -> dict[str, Any]:
    consent = person.consent and {
        "given_at": person.consent.given_at,
        "purpose": person.consent.purpose,
        "until": person.consent.until and person.consent.until.isoformat(),
    }
    record = {"name": person.name, "created_at": person.created_at, "note": person.note, "tags": person.tags}
    return {**record, "consent": consent}


def _row_record(row: Row) -> dict[str, Any]:
    record = asdict(row.picture)
    record |= record.pop("provenance")
    record["embedding"] = base64.b64encode(row.embedding.astype("<f4").tobytes()).decode()
    if row.crop is not None:
        record["crop"] = base64.b64encode(row.crop).decode()
    return record


def read_export(file: Path, model: GalleryModel) -> Iterator[Entry]:
    """The people of a file ``export_gallery`` has written. What is wrong with it may only be known at its end, so
    nothing may be believed before it has been read to the end.

    Raises:
        GalleryUnavailable: it is not there or cannot be read.
        GalleryBroken: it is no such file, cut off, changed, or of a newer rtface.
        GalleryMismatch: its embeddings are another model's.
    """
    try:
        with gzip.open(file, "rb") as stream:
            yield from _parsed(file, cast(BinaryIO, stream), model)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(file, str(error)) from error
    except OSError as error:
        if isinstance(error, GalleryUnavailable):
            raise
        raise GalleryUnavailable(f"The file {file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        if isinstance(error, (GalleryBroken, GalleryMismatch)):
            raise
        raise _damaged(file, f"{type(error).__name__}: {error}") from error


def _parsed(file: Path, stream: BinaryIO, model: GalleryModel) -> Iterator[Entry]:
    digest, people, rows = hashlib.sha256(), 0, 0
    entry: Entry | None = None
    for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b"")):
        record = json.loads(line)
        if number == 0:
            _accept(file, record, model)
        elif "row" in record and entry is not None:
            entry.rows.append(_row(file, record["row"], model.size))
            rows += 1
        else:
            if entry is not None:
                yield entry
            if "end" in record:
                wanted = {"people": people, "rows": rows, "sha256": digest.hexdigest()}
                if record["end"] != wanted or stream.read(1):
                    raise _damaged(file, "its checksum is wrong")
                return
            entry, people = Entry(_person(record["person"]), []), people + 1
        digest.update(line)
    raise _damaged(file, "it is cut off")


def _accept(file: Path, header: dict[str, Any], model: GalleryModel) -> None:
    if header.get("format") != FORMAT or not isinstance(header.get("version"), int):
        raise _damaged(file, "it does not begin as one")
    if header["version"] > VERSION:
        raise GalleryBroken(
            f"{file} was written by a newer rtface (version {header['version']} of the format, this one knows "
            f"{VERSION}): pip install --upgrade rtface."
        )
    found = GalleryModel(header["name"], header["fingerprint"], header["size"])
    if found != model:
        raise GalleryMismatch(
            f"{file} holds embeddings of the model {found.name} ({found.fingerprint}), not {model.name} "
            f"({model.fingerprint}), and their distances mean nothing to each other. To import it into a gallery of "
            f"its own: --set embedder={found.name} --set gallery=FILE."
        )


def _person(record: dict[str, Any]) -> Person:
    consent = record["consent"]
    return Person(
        _text(record["name"]),
        0,
        float(record["created_at"]),
        note=_text(record["note"]),
        tags=tuple(_text(tag) for tag in record["tags"]),
        consent=consent
        and Consent(
            float(consent["given_at"]),
            _text(consent["purpose"]),
            None if consent["until"] is None else date.fromisoformat(consent["until"]),
        ),
    )


def _row(file: Path, record: dict[str, Any], size: int) -> Row:
    embedding = np.frombuffer(base64.b64decode(record["embedding"], validate=True), "<f4").astype(np.float32)
    if embedding.shape != (size,) or not are_units(embedding[None])[0]:
        raise _damaged(file, "an embedding in it is none")
    box = record["box"]
    picture = Picture(
        _text(record["sha256"]),
        _text(record["file"]),
        float(record["added_at"]),
        min(max(float(record["quality"]), 0.0), 1.0),
        bool(record["against"]),
        Provenance(
            "import",
            _text(record["detector"]),
            _text(record["embedder"]),
            box and (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        ),
    )
    crop = record.get("crop")
    return Row(picture, embedding, None if crop is None else base64.b64decode(crop, validate=True))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _damaged(file: Path, fault: str) -> GalleryBroken:
    return GalleryBroken(
        f"{file} is no whole export of a gallery ({fault}). Write it again: rtface gallery export FILE; nothing was "
        "imported."
    )
