"""What the commands of ``rtface gallery`` share: opening it, and people as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rtface.cli._shared import open_system

if TYPE_CHECKING:
    from rtface.gallery.gallery import PersonGallery
    from rtface.gallery.people import Person, Picture


@contextmanager
def opened_gallery(config: Path | None, settings: tuple[str, ...], *, create: bool = False) -> Iterator[PersonGallery]:
    """The gallery of these settings, for one command."""
    with open_system(config, settings) as system, system.open_gallery(create=create) as gallery:
        yield gallery


def moment(seconds: float) -> str:
    """A time for people and programs: ISO 8601 with the local offset."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def picture_record(picture: Picture) -> dict[str, object]:
    """A picture for JSON."""
    how = picture.provenance
    return {
        "file": picture.file,
        "added_at": moment(picture.added_at),
        "quality": round(picture.quality, 3),
        "sha256": picture.sha256,
        "against": picture.against,
        "origin": how.origin or None,
        "detector": how.detector or None,
        "embedder": how.embedder or None,
        "mapped_from": how.mapped_from,
        "box": how.box,
        "revision": picture.revision,
    }


def person_record(person: Person, pictures: list[Picture]) -> dict[str, object]:
    """A person for JSON."""
    consent = person.consent and {
        "given_at": moment(person.consent.given_at),
        "for": person.consent.purpose,
        "until": person.consent.until and person.consent.until.isoformat(),
    }
    return {
        "name": person.name,
        "created_at": moment(person.created_at),
        "note": person.note,
        "tags": list(person.tags),
        "consent": consent,
        "pictures": [picture_record(picture) for picture in pictures],
    }


def known_as(name: str) -> str:
    """A name as the gallery spells it, however it was typed."""
    from rtface.gallery.names import normalised

    return normalised(name)


def printed(text: str) -> str:
    """Text on one line of a terminal, whatever is in it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
