"""What is in a gallery, how large it is, and who in it could be taken for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from rtface.gallery.gallery import PersonGallery
from rtface.gallery.people import MAPPED, people_in
from rtface.gallery.vectors import Rows

LOOKED_AT = 2000
"""Rows whose nearest row of somebody else is searched for; evenly spread where there are more."""
NEIGHBOURS = 100
"""A row with so many nearer rows of its own person is taken to have no look-alike."""
ENDING_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two people and the squared L2 distance of their nearest pictures, 0..4."""

    first: str
    second: str
    distance: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """A gallery in numbers.

    Attributes:
        people, pictures, counter_examples, kept_faces: how many.
        mapped: rows whose vector was another model's before the gallery was migrated.
        revision: it grows with every change.
        model, fingerprint, size: whose embeddings, of how many numbers.
        form, vector_bytes: how an embedding lies in the database.
        database_bytes, index_bytes: on disk.
        without_consent: people of whom none is recorded.
        ending_soon: (name, last day) of consent that ends in the next 30 days, soonest first.
        look_alikes: the nearest pairs of different people, nearest first.
        looked_at: rows they were searched from; where that is fewer than all, a nearer pair may exist.
    """

    people: int
    pictures: int
    counter_examples: int
    kept_faces: int
    mapped: int
    revision: int
    model: str
    fingerprint: str
    size: int
    form: str
    vector_bytes: int
    database_bytes: int
    index_bytes: int
    without_consent: int
    ending_soon: tuple[tuple[str, date], ...]
    look_alikes: tuple[LookAlike, ...]
    looked_at: int


def statistics(gallery: PersonGallery, today: date, *, pairs: int = 10) -> Statistics:
    """Takes stock of a gallery.

    Args:
        gallery: of any size.
        today: the local date.
        pairs: how many pairs of look-alikes are wanted.
    """
    people = people_in(gallery.database)
    ((kept,),) = gallery.database.rows("SELECT count(*) FROM crops", types=(int,))
    ((mapped,),) = gallery.database.rows(
        "SELECT count(*) FROM pictures WHERE substr(embedder, 1, ?) = ?", len(MAPPED), MAPPED, types=(int,)
    )
    ends = [(person.name, person.consent.until) for person in people if person.consent]
    soon = [(name, end) for name, end in ends if end is not None and end <= today + ENDING_SOON]
    found, looked_at = look_alikes(gallery, pairs)
    return Statistics(
        people=len(people),
        pictures=sum(person.pictures for person in people),
        counter_examples=sum(person.counter_examples for person in people),
        kept_faces=kept,
        mapped=mapped,
        revision=gallery.revision,
        model=gallery.model.name,
        fingerprint=gallery.model.fingerprint,
        size=gallery.model.size,
        form=gallery.form.name,
        vector_bytes=gallery.form.stored_bytes,
        database_bytes=gallery.database.size(),
        index_bytes=gallery.searcher.saved_bytes(),
        without_consent=sum(person.consent is None for person in people),
        ending_soon=tuple(sorted(soon, key=lambda entry: (entry[1], entry[0]))),
        look_alikes=found,
        looked_at=looked_at,
    )


def look_alikes(gallery: PersonGallery, pairs: int) -> tuple[tuple[LookAlike, ...], int]:
    """The nearest pairs of different people, and from how many rows they were searched."""
    nearest: dict[tuple[str, str], float] = {}
    looked_at = 0
    for names, rows in _sample(gallery):
        looked_at += len(names)
        for name, neighbors in zip(names, gallery.search(rows, NEIGHBOURS), strict=True):
            other = next((near for near in neighbors if near.person != name and not near.against), None)
            if other is not None:
                pair = min(name, other.person), max(name, other.person)
                nearest[pair] = min(other.distance, nearest.get(pair, np.inf))
    ranked = sorted(nearest.items(), key=lambda entry: (entry[1], entry[0]))[:pairs]
    return tuple(LookAlike(*pair, distance) for pair, distance in ranked), looked_at


def _sample(gallery: PersonGallery) -> Iterator[tuple[list[str], Rows]]:
    """Names and (N, D) rows, in batches."""
    ids = [row for (row,) in gallery.database.rows("SELECT id FROM pictures WHERE against = 0 ORDER BY id")]
    chosen = [ids[place] for place in np.unique(np.linspace(0, len(ids) - 1, min(LOOKED_AT, len(ids))).astype(int))]
    for start in range(0, len(chosen), 100):
        part = chosen[start : start + 100]
        found = gallery.database.rows(
            f"""SELECT name, picture_id, vector FROM embeddings JOIN pictures ON pictures.id = picture_id
            JOIN people ON people.id = person_id WHERE picture_id IN ({", ".join("?" * len(part))})""",
            *part,
        )
        opened = [(name, gallery.database.sealer.opened(vector, "vector", row)) for name, row, vector in found]
        good = [(name, vector) for name, vector in opened if gallery.form.is_stored(vector)]
        yield [name for name, _ in good], gallery.form.decode([vector for _, vector in good])
