"""A gallery in one file that any program can read: gzip-compressed JSON, a line each for the header, people, rows, end.

The header names the model. After each person come the person's rows, the embedding as base64 of little-endian float32.
The last line counts people and rows and gives the SHA-256 of all lines before it, so that a file that was cut off or
changed is never taken for a whole one.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from rtface.errors import GalleryBroken, GalleryMismatch, GalleryUnavailable
from rtface.gallery.export_lines import VERSION, ConsentRecord, End, Header, Line, Opening, PersonRecord, RowRecord
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import Consent, Person, Picture, Provenance, crops_of, people_in, pictures_of, vectors_of
from rtface.gallery.vectors import are_units

LONGEST_LINE = 4_000_000
"""Bytes; a row with a face takes some 15,000."""
LARGEST_PERSON = 256_000_000
"""Bytes of one person's lines, who are held in memory at once: some 90,000 rows, or 15,000 with faces."""
COMPRESSION = 1
"""Base64 shrinks to the bytes it stands for; more effort gains nothing on vectors."""
GZIP = b"\x1f\x8b"
JPEG = b"\xff\xd8"


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A picture with its (d,) float32 unit embedding and, where it was kept, the face as JPEG."""

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


@dataclass(frozen=True, slots=True)
class Export:
    """A file that has been opened: the form its gallery kept vectors in, numbers in a row, and the people, to be read
    once and to the end before any of them is believed."""

    file: Path
    form: str
    numbers: int
    entries: Iterator[Entry]


def export_gallery(gallery: PersonGallery, file: Path, *, crops: bool) -> Amount:
    """Writes everybody into a file only its owner can read; it is there whole or not at all.

    Args:
        gallery: read as it is at one moment.
        file: an export that is there is written over, nothing else is.
        crops: take the kept faces along.

    Raises:
        GalleryUnavailable: the file cannot be written, or is something else.
        GalleryBroken: the gallery is damaged.
    """
    try:
        _refuse_anything_else(file)
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as beside:  # only the owner enters
            whole = Path(beside) / "export"
            with os.fdopen(os.open(whole, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as raw:
                with gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as stream:
                    amount = _write(cast(BinaryIO, stream), gallery, crops)
                raw.flush()
                os.fsync(raw.fileno())
            whole.replace(file)
    except OSError as error:
        if isinstance(error, GalleryUnavailable):
            raise
        raise GalleryUnavailable(f"The export {file} cannot be written: {error.strerror or error}.") from error
    return amount


def _refuse_anything_else(file: Path) -> None:
    """A slip of the keyboard must not write over a picture, or over the gallery itself."""
    if file.exists() and file.stat().st_size:
        with file.open("rb") as stream:
            if stream.read(len(GZIP)) != GZIP:
                raise GalleryUnavailable(f"{file} is there already and is no export: choose another name.")


def _write(stream: BinaryIO, gallery: PersonGallery, crops: bool) -> Amount:
    digest, people, rows = hashlib.sha256(), 0, 0

    def line(record: BaseModel) -> None:
        data = record.model_dump_json(exclude_none=True).encode() + b"\n"
        digest.update(data)
        stream.write(data)

    with gallery.database.reading():
        model, form = gallery.model, gallery.form
        line(
            Header(
                format="rtface gallery",
                version=VERSION,
                name=model.name,
                fingerprint=model.fingerprint,
                size=model.size,
                form=form.name,
                numbers=form.size,
            )
        )
        for entry in _entries(gallery, crops):
            people, rows = people + 1, rows + len(entry.rows)
            line(Line(person=_person_line(entry.person)))
            for row in entry.rows:
                line(Line(row=_row_line(row)))
    line(Line(end=End(people=people, rows=rows, sha256=digest.hexdigest())))
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


def _person_line(person: Person) -> PersonRecord:
    given = person.consent
    consent = (
        None if given is None else ConsentRecord(given_at=given.given_at, purpose=given.purpose, until=given.until)
    )
    return PersonRecord(
        name=person.name, created_at=person.created_at, note=person.note, tags=person.tags, consent=consent
    )


def _row_line(row: Row) -> RowRecord:
    picture, how = row.picture, row.picture.provenance
    return RowRecord(
        sha256=picture.sha256,
        file=picture.file,
        added_at=picture.added_at,
        quality=picture.quality,
        against=picture.against,
        **asdict(how),
        embedding=row.embedding.astype("<f4").tobytes(),
        crop=row.crop,
    )


@contextmanager
def read_export(file: Path, model: GalleryModel) -> Iterator[Export]:
    """A file that ``export_gallery`` has written, open while this lasts.

    Raises:
        GalleryUnavailable: it is not there or cannot be read.
        GalleryBroken: it is no such file, cut off, changed, or of a newer rtface; what is wrong with its end is only
            known when all people have been read.
        GalleryMismatch: its embeddings are another model's.
    """
    with ExitStack() as stack:
        with _explained(file):
            stream = cast(BinaryIO, stack.enter_context(gzip.open(file, "rb")))
            first = stream.readline(LONGEST_LINE)
            header = _accepted(file, first, model)
        yield Export(file, header.form, header.numbers, _parsed(file, stream, first, header))


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turns what reading damaged files raises into our errors."""
    try:
        yield
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise _damaged(file, f"{'.'.join(map(str, fault['loc'])) or 'a line'}: {fault['msg']}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(file, str(error)) from error
    except OSError as error:
        raise GalleryUnavailable(f"The file {file} cannot be read: {error.strerror or error}.") from error


def _accepted(file: Path, line: bytes, model: GalleryModel) -> Header:
    opening = Opening.model_validate_json(line)
    if opening.version > VERSION:
        raise GalleryBroken(
            f"{file} was written by a newer rtface (version {opening.version} of the format, this one knows "
            f"{VERSION}): pip install --upgrade rtface."
        )
    header = Header.model_validate_json(line)
    found = GalleryModel(header.name, header.fingerprint, header.size)
    if found != model:
        raise GalleryMismatch(
            f"{file} holds embeddings of the model {found.name} ({found.fingerprint}), not {model.name} "
            f"({model.fingerprint}), and their distances mean nothing to each other. To import it into a gallery of "
            f"its own: --set embedder={found.name} --set gallery=FILE."
        )
    return header


def _parsed(file: Path, stream: BinaryIO, first: bytes, header: Header) -> Iterator[Entry]:
    digest, amount, held = hashlib.sha256(first), Amount(0, 0), 0
    entry: Entry | None = None
    lines = _lines(file, stream)
    for line, record in lines:
        held = held + len(line) if record.row else 0
        if record.row is not None and entry is not None and held <= LARGEST_PERSON:
            entry.rows.append(_row(file, record.row, header.numbers))
            amount = Amount(amount.people, amount.rows + 1)
        elif record.person is not None:
            if entry is not None:
                yield entry
            entry, amount = Entry(_person(record.person), []), Amount(amount.people + 1, amount.rows)
        elif record.end is not None:
            if record.end != End(**asdict(amount), sha256=digest.hexdigest()):
                raise _damaged(file, "its checksum is wrong")
            if next(lines, None) is not None:
                raise _damaged(file, "something follows its end")
            if entry is not None:
                yield entry
            return
        else:
            raise _damaged(file, "a line is out of place")
        digest.update(line)
    raise _damaged(file, "it is cut off")


def _lines(file: Path, stream: BinaryIO) -> Iterator[tuple[bytes, Line]]:
    """All lines after the first. The last has been read when gzip's own checksum has been found right."""
    while True:
        with _explained(file):
            line = stream.readline(LONGEST_LINE)
            if not line:
                return
            record = Line.model_validate_json(line)
        yield line, record


def _person(record: PersonRecord) -> Person:
    given = record.consent
    consent = None if given is None else Consent(given.given_at, given.purpose, given.until)
    return Person(record.name, 0, record.created_at, note=record.note, tags=record.tags, consent=consent)


def _row(file: Path, record: RowRecord, numbers: int) -> Row:
    if len(record.embedding) != 4 * numbers:
        raise _damaged(file, "an embedding has another length than its header says")
    embedding = np.frombuffer(record.embedding, "<f4").astype(np.float32)
    if not are_units(embedding[None])[0]:
        raise _damaged(file, "an embedding is not a unit vector")
    if record.crop is not None and not record.crop.startswith(JPEG):
        raise _damaged(file, "a face is no JPEG")
    how = Provenance("import", record.detector, record.embedder, record.box)
    picture = Picture(record.sha256, record.file, record.added_at, record.quality, record.against, how)
    return Row(picture, embedding, record.crop)


def _damaged(file: Path, fault: str) -> GalleryBroken:
    return GalleryBroken(
        f"{file} is no whole export of a gallery ({fault}). Write it again: rtface gallery export FILE; nothing was "
        "imported."
    )
