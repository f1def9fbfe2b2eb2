"""Taking people of an exported file into a gallery: all of it or nothing, and what was done with whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from rtface.errors import BadName, GalleryMismatch
from rtface.gallery.editing import Edit, NewRow
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.names import free_text, person_name, tag_name
from rtface.gallery.people import Person, joined, sooner_ending
from rtface.gallery.portable import Entry, Export, Row

SameName = Literal["refuse", "merge", "skip"]
"""What to do with somebody whose name is already enrolled."""


@dataclass(slots=True)
class Received:
    """What an import did.

    Attributes:
        people: who are new.
        merged: who were here and got something.
        skipped: who were here and were left as they are.
        expired: whose consent has ended, so that they were left out.
        rows: embeddings added.
        known: pictures left out because the person had them.
        elsewhere: (picture, name in the file, name here) left out because they are enrolled for somebody else.
    """

    people: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    rows: int = 0
    known: int = 0
    elsewhere: list[tuple[str, str, str]] = field(default_factory=list)


def receive(gallery: PersonGallery, export: Export, *, same_name: SameName = "refuse", today: date) -> Received:
    """Takes these people in, in one transaction: killed in the middle, or with an error, nothing has happened.

    Args:
        gallery: of the model that made the embeddings.
        export: read to its end before anything is durable.
        same_name: ``merge`` adds what is missing to people who are here, ``skip`` leaves them as they are.
        today: whose consent ended before it is left out.

    Raises:
        BadName: somebody is here already and ``same_name`` is ``refuse``, or nobody can be called that.
        GalleryUnavailable: read-only, locked or no room.
        GalleryMismatch: the file has fewer numbers of each face than this gallery keeps.
        GalleryBroken: the file is cut off or changed.
    """
    done = Received()
    with gallery.editing() as edit:
        gallery.model.adopt(gallery.database)
        gallery.model.refuse_others(gallery.database)
        if export.numbers not in (gallery.model.size, gallery.form.size):
            raise GalleryMismatch(
                f"{export.file} was written by a compact gallery and has {export.numbers} numbers of each face; this "
                f"gallery keeps {gallery.form.size}. Import it into a compact one: --set gallery=FILE."
            )
        for entry in export.entries:
            _take(gallery, edit, entry, same_name, today, done)
    return done


def _take(gallery: PersonGallery, edit: Edit, entry: Entry, same_name: SameName, today: date, done: Received) -> None:
    name = person_name(entry.person.name)
    consent = entry.person.consent
    if consent is not None and consent.until is not None and consent.until < today:
        done.expired.append(name)
        return
    person = edit.find(name)
    if person is not None and same_name == "refuse":
        raise BadName(
            f"{name} is already enrolled, and nothing was imported. To add what is missing to people of the same name: "
            "--same-name merge; to leave them as they are: --same-name skip."
        )
    if person is not None and same_name == "skip":
        done.skipped.append(name)
        return
    rows = [row for row in entry.rows if row.picture.against or not _is_elsewhere(gallery, name, row, done)]
    if person is None and all(row.picture.against for row in rows):
        return  # nothing of this person is left
    (done.people if person is None else done.merged).append(name)
    person = edit.person(name, entry.person.created_at)
    for row in rows:
        added = edit.insert(person, _new_row(gallery, row))
        done.rows += added
        done.known += not added
    _take_words(edit, person, entry.person)


def _is_elsewhere(gallery: PersonGallery, name: str, row: Row, done: Received) -> bool:
    """Whether the picture is somebody else's here: then one of the two names is wrong."""
    owner = gallery.has_picture(row.picture.sha256)
    if owner in (None, name):
        return False
    done.elsewhere.append((row.picture.file, name, str(owner)))
    return True


def _new_row(gallery: PersonGallery, row: Row) -> NewRow:
    picture = row.picture
    return NewRow(
        picture.sha256,
        gallery.form.encode(row.embedding[None])[0],
        picture.file,
        picture.quality,
        picture.added_at,
        picture.against,
        picture.provenance,
        row.crop,
    )


def _take_words(edit: Edit, person: int, given: Person) -> None:
    """Tags are added to those here; a note or consent here stays, unless the one given ends sooner."""
    if given.tags:
        edit.tag(person, map(tag_name, given.tags))
    note, consent = edit.words(person)
    more = free_text(given.note)
    if more not in note:
        edit.note(person, joined(note, more))
    theirs = given.consent and replace(given.consent, purpose=free_text(given.consent.purpose))
    sooner = sooner_ending(consent, theirs)
    if sooner is not None and sooner != consent:
        edit.consent(person, sooner)
