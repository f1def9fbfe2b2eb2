"""What the gallery knows of people and their pictures, as it is read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from rtface.gallery.database import Database, broken

Origin = Literal["picture", "camera", "import", ""]
MAPPED = "mapped from "
"""The beginning of ``Provenance.embedder`` of a row that a migration has moved to the gallery's model."""
BATCH = 4096
"""Rows read at once: 8 MB of vectors of 512 numbers."""

SHOWN = "(people.consent_until IS NULL OR people.consent_until >= ?)"
"""Whose consent has not ended; the value is today, YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody agreed to.

    Attributes:
        given_at: seconds since 1970.
        purpose: what for, in the operator's words.
        until: its last day, in the local time of whoever looks; None: until it is withdrawn.
    """

    given_at: float
    purpose: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled.

    Attributes:
        name: unique.
        pictures: rows that show this person.
        created_at: seconds since 1970.
        counter_examples: rows that show somebody who is not this person.
        note: in the operator's words.
        tags: in alphabetical order.
        consent: None where none is recorded.
    """

    name: str
    pictures: int
    created_at: float
    counter_examples: int = 0
    note: str = ""
    tags: tuple[str, ...] = ()
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a row came to be.

    Attributes:
        origin: from a picture, a camera or video, another gallery's file; "" where it was not recorded.
        detector: that found the face.
        embedder: engine and precision that embedded it, e.g. ``onnxruntime int8``; before that ``mapped from`` and a
            model where it is no longer as that model gave it.
        box: of the face in the picture: left, top, right, bottom in px.
    """

    origin: Origin = ""
    detector: str = ""
    embedder: str = ""
    box: tuple[float, float, float, float] | None = None

    @property
    def mapped_from(self) -> str | None:
        """The model whose vector this was before the gallery was migrated; None: the gallery's own."""
        return self.embedder.removeprefix(MAPPED).partition(",")[0] if self.embedder.startswith(MAPPED) else None


UNRECORDED = Provenance()


@dataclass(frozen=True, slots=True)
class Picture:
    """Where one row comes from.

    Attributes:
        sha256: of the picture's pixels.
        file: as it was given.
        added_at: seconds since 1970.
        quality: 0..1.
        against: the face is not this person's.
        provenance: how it came.
        revision: of the gallery when it came; 0 for a row older than this record.
    """

    sha256: str
    file: str
    added_at: float
    quality: float
    against: bool = False
    provenance: Provenance = UNRECORDED
    revision: int = 0


def people_in(database: Database, name: str | None = None) -> list[Person]:
    """All people by name, or the one of this name."""
    which, values = ("", ()) if name is None else ("WHERE name = ?", (name,))
    tags: dict[int, list[str]] = defaultdict(list)
    for person, tag in database.rows("SELECT person_id, tag FROM tags", types=(int, str)):
        tags[person].append(tag)
    rows = database.rows(
        f"""SELECT people.id, name, count(pictures.id), coalesce(sum(against), 0), people.created_at, note
        FROM people LEFT JOIN pictures ON pictures.person_id = people.id {which}
        GROUP BY people.id, name, people.created_at, note""",
        *values,
        types=(int, str, int, int, float, str),
    )
    consents = _consents(database)
    return sorted(
        (
            Person(name, count - against, at, against, note, tuple(sorted(tags[person])), consents.get(person))
            for person, name, count, against, at, note in rows
        ),
        key=lambda person: person.name,
    )


def _consents(database: Database) -> dict[int, Consent]:
    rows = database.rows(
        "SELECT id, consent_at, consent_for, coalesce(consent_until, '') FROM people WHERE consent_at IS NOT NULL",
        types=(int, float, str, str),
    )
    return {person: Consent(at, purpose, _day(until) if until else None) for person, at, purpose, until in rows}


def words_of(database: Database, person: int) -> tuple[str, Consent | None]:
    """The note and the consent of the person of this id."""
    rows = database.rows(
        "SELECT note, coalesce(consent_at, -1.0), consent_for, coalesce(consent_until, '') FROM people WHERE id = ?",
        person,
        types=(str, float, str, str),
    )
    note, at, purpose, until = rows[0]
    return note, None if at < 0 else Consent(at, purpose, _day(until) if until else None)


def sooner_ending(one: Consent | None, other: Consent | None) -> Consent | None:
    """The one of two consents that ends sooner, the first where they end together; one that ends before none."""
    recorded = [consent for consent in (one, other) if consent is not None]
    return min(recorded, key=lambda consent: consent.until or date.max, default=None)


def joined(note: str, more: str) -> str:
    """Two notes as one."""
    return "\n".join(text for text in (note, more) if text)


def _day(text: str) -> date:
    """A date out of the database; long ago for what a damaged one may hold, so that it keeps nobody for longer."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return date.min


_PICTURES = """SELECT sha256, file, added_at, quality, against, origin, detector, embedder, box, pictures.revision
    FROM pictures JOIN people ON people.id = pictures.person_id WHERE name = ? ORDER BY pictures.id"""


def pictures_of(database: Database, name: str) -> list[Picture]:
    """A person's rows in the order they were added; [] for somebody unknown."""
    rows = database.rows(_PICTURES, name, types=(str, str, float, float, int, str, str, str, str, int))
    return [
        Picture(sha, file, at, quality, bool(against), Provenance(origin, detector, embedder, _box(box)), revision)
        for sha, file, at, quality, against, origin, detector, embedder, box, revision in rows
    ]


def _box(text: str) -> tuple[float, float, float, float] | None:
    try:
        left, top, right, bottom = json.loads(text or "null")
        return float(left), float(top), float(right), float(bottom)
    except (ValueError, TypeError):
        return None


def crops_of(database: Database, name: str) -> dict[str, bytes]:
    """The kept face crops of a person, as JPEG by the picture's sha256.

    Raises:
        GalleryBroken: one was not sealed for its row.
    """
    rows = database.rows(
        """SELECT sha256, picture_id, jpeg FROM crops JOIN pictures ON pictures.id = picture_id
        JOIN people ON people.id = person_id WHERE name = ?""",
        name,
        types=(str, int, bytes),
    )
    crops = {sha: database.sealer.opened(jpeg, "crop", picture) for sha, picture, jpeg in rows}
    whole = {sha: crop for sha, crop in crops.items() if isinstance(crop, bytes)}
    if len(whole) < len(crops):
        raise broken(database.place, "a kept face was not sealed for its picture")
    return whole


def vectors_of(database: Database, name: str) -> list[object]:
    """What is kept as the vectors of a person, in the order of ``pictures_of``."""
    rows = database.rows(
        """SELECT picture_id, vector FROM embeddings JOIN pictures ON pictures.id = picture_id
        JOIN people ON people.id = person_id WHERE name = ? ORDER BY picture_id""",
        name,
    )
    return [database.sealer.opened(vector, "vector", picture) for picture, vector in rows]


def stored_vectors(database: Database, after: int, until: int) -> Iterator[list[tuple[int, object]]]:
    """Row ids with what is kept as their vector, over ``after`` and at most ``until``, in batches, by id."""
    while True:
        batch = database.rows(
            "SELECT picture_id, vector FROM embeddings WHERE picture_id > ? AND picture_id <= ? "
            "ORDER BY picture_id LIMIT ?",
            *(after, until, BATCH),
        )
        if not batch:
            return
        yield [(picture, database.sealer.opened(vector, "vector", picture)) for picture, vector in batch]
        after = batch[-1][0]
