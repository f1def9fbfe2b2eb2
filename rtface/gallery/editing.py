"""Changes of the gallery, as statements inside one transaction of the database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from rtface.errors import BadName, UnknownPerson
from rtface.gallery.database import Database
from rtface.gallery.names import similar
from rtface.gallery.people import UNRECORDED, Consent, Provenance, joined, sooner_ending, words_of

LOGGED = 1000
"""Changes kept for those who follow; whoever is further behind reads the whole roster again."""


@dataclass(frozen=True, slots=True)
class NewRow:
    """What is kept of one face.

    Attributes:
        sha256: of the picture's pixels, to know it again.
        vector: the embedding in the gallery's form.
        file: where it came from, for people to read.
        quality: 0..1.
        added_at: seconds since 1970.
        against: the face is not this person's.
        provenance: how it came.
        crop: the face as JPEG, or None.
    """

    sha256: str
    vector: bytes
    file: str
    quality: float
    added_at: float
    against: bool = False
    provenance: Provenance = UNRECORDED
    crop: bytes | None = None


class Edit:
    """One transaction's changes. Whoever makes it is inside ``Database.writing``.

    ``erased`` tells afterwards whether something was removed or overwritten whose traces must go, ``vectors_gone``
    whether rows were.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: set[int] = set()
        self.erased = False
        self.vectors_gone = False

    def find(self, name: str) -> int | None:
        """A person's id; None: nobody is called that."""
        found = self._database.rows("SELECT id FROM people WHERE name = ?", name, types=(int,))
        return found[0][0] if found else None

    def known(self, name: str) -> int:
        """A person's id.

        Raises:
            UnknownPerson: nobody is called that.
        """
        person = self.find(name)
        if person is None:
            raise unknown(self._database, name)
        return person

    def person(self, name: str, created_at: float) -> int:
        """The id of a person, who is made if there is none of the name."""
        person = self.find(name)
        if person is not None:
            return person
        made = self._database.rows(
            "INSERT INTO people (name, created_at) VALUES (?, ?) RETURNING id", name, created_at, types=(int,)
        )
        self._made.add(made[0][0])
        return int(made[0][0])

    def insert(self, person: int, row: NewRow) -> bool:
        """Adds a row; False and nothing done if the person has this picture."""
        how = row.provenance
        added = self._database.rows(
            """INSERT INTO pictures
            (person_id, sha256, file, added_at, quality, against, origin, detector, embedder, box, revision)
            SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, revision + 1 FROM meta WHERE only_row = 1
            ON CONFLICT (person_id, sha256) DO NOTHING RETURNING id""",
            *(person, row.sha256, printable(row.file), row.added_at, float(row.quality), int(row.against)),
            *(how.origin, how.detector, how.embedder, "" if how.box is None else json.dumps(how.box)),
            types=(int,),
        )
        if not added:
            return False
        picture = added[0][0]
        vector = self._database.sealer.seal(row.vector, "vector", picture)
        self._database.execute("INSERT INTO embeddings (picture_id, vector) VALUES (?, ?)", picture, vector)
        if row.crop is not None:
            crop = self._database.sealer.seal(row.crop, "crop", picture)
            self._database.execute("INSERT INTO crops (picture_id, jpeg) VALUES (?, ?)", picture, crop)
        self._advance()
        return True

    def remove(self, person: int) -> None:
        """Erases a person with every row."""
        self._database.execute("DELETE FROM people WHERE id = ?", person)
        self._rewrite([person], vectors=True)

    def rename(self, person: int, name: str) -> None:
        """Gives a person another name.

        Raises:
            BadName: somebody has it.
        """
        if self.find(name) is not None:
            raise BadName(
                f"{name} is already enrolled: choose another name; if both are the same person, rtface gallery merge."
            )
        self._database.execute("UPDATE people SET name = ? WHERE id = ?", name, person)
        self._rewrite([person])

    def merge(self, source: int, into: int) -> None:
        """Makes one person of two that are the same. Pictures both have stay once, and what one has as a
        counter-example that is a picture of the other goes; of two consents the one that ends sooner counts."""
        execute = self._database.execute
        theirs = "SELECT sha256 FROM pictures WHERE person_id = ?"
        execute(f"DELETE FROM pictures WHERE person_id = ? AND against = 1 AND sha256 IN ({theirs})", into, source)
        execute(f"DELETE FROM pictures WHERE person_id = ? AND sha256 IN ({theirs})", source, into)
        execute("UPDATE pictures SET person_id = ? WHERE person_id = ?", into, source)
        execute(
            """INSERT INTO tags (person_id, tag) SELECT ?, tag FROM tags WHERE person_id = ?
            ON CONFLICT (person_id, tag) DO NOTHING""",
            *(into, source),
        )
        self._merge_words(source, into)
        execute("DELETE FROM people WHERE id = ?", source)
        self._rewrite([source, into], vectors=True)

    def _merge_words(self, source: int, into: int) -> None:
        (note, consent), (more, other) = self.words(into), self.words(source)
        self._database.execute("UPDATE people SET note = ? WHERE id = ?", joined(note, more), into)
        sooner = sooner_ending(consent, other)
        if sooner is not None:
            self._set_consent(into, sooner)

    def words(self, person: int) -> tuple[str, Consent | None]:
        """A person's note and consent."""
        return words_of(self._database, person)

    def note(self, person: int, text: str) -> None:
        """Puts this text in place of a person's note."""
        before = self._database.rows("SELECT note FROM people WHERE id = ?", person)
        self._database.execute("UPDATE people SET note = ? WHERE id = ?", text, person)
        self._advance()
        if before[0][0] not in ("", text):
            self._mark_erasing()

    def tag(self, person: int, add: Iterable[str], remove: Iterable[str] = ()) -> None:
        """Adds and removes tags."""
        gone = 0
        for tag in remove:
            gone += self._database.execute("DELETE FROM tags WHERE person_id = ? AND tag = ?", person, tag)
        for tag in add:
            self._database.execute(
                "INSERT INTO tags (person_id, tag) VALUES (?, ?) ON CONFLICT (person_id, tag) DO NOTHING", person, tag
            )
        self._advance()
        if gone:
            self._mark_erasing()

    def consent(self, person: int, consent: Consent) -> None:
        """Records what a person agreed to, in place of what was recorded before."""
        before = self._database.rows("SELECT consent_for FROM people WHERE id = ?", person)
        self._set_consent(person, consent)
        if person in self._made:
            self._advance()  # nobody has seen their rows, so nobody has to look at them again
        else:
            self._log([person])
        if before[0][0] not in ("", consent.purpose):
            self._mark_erasing()

    def _set_consent(self, person: int, consent: Consent) -> None:
        until = None if consent.until is None else consent.until.isoformat()
        self._database.execute(
            "UPDATE people SET consent_at = ?, consent_for = ?, consent_until = ? WHERE id = ?",
            *(consent.given_at, consent.purpose, until, person),
        )

    def expire(self, today: date) -> list[str]:
        """Erases everybody whose consent has ended before this day; gives their names."""
        ended = self._database.rows(
            "SELECT id, name FROM people WHERE consent_until < ? ORDER BY id", today.isoformat(), types=(int, str)
        )
        for person, _ in ended:
            self._database.execute("DELETE FROM people WHERE id = ?", person)
        if ended:
            self._rewrite([person for person, _ in ended], vectors=True)
        return [name for _, name in ended]

    def _advance(self) -> None:
        self._database.execute("UPDATE meta SET revision = revision + 1")

    def _log(self, persons: list[int]) -> None:
        """A new revision that is more than an addition, and whom those who follow have to look at again."""
        self._database.execute("UPDATE meta SET revision = revision + 1, rewritten = revision + 1")
        self._database.execute_many(
            "INSERT INTO changes (revision, person_id) SELECT revision, ? FROM meta", [(person,) for person in persons]
        )
        oldest = self._database.rows(
            "SELECT revision FROM changes ORDER BY revision DESC LIMIT 1 OFFSET ?", LOGGED, types=(int,)
        )
        if oldest:
            self._database.execute("DELETE FROM changes WHERE revision <= ?", oldest[0][0])
            self._database.execute("UPDATE meta SET logged_after = ?", oldest[0][0])

    def _rewrite(self, persons: list[int], *, vectors: bool = False) -> None:
        self._log(persons)
        self._mark_erasing()
        self.vectors_gone |= vectors

    def _mark_erasing(self) -> None:
        self._database.execute("UPDATE meta SET erasing = revision")
        self.erased = True


def unknown(database: Database, name: str) -> UnknownPerson:
    """The error for a name nobody has."""
    hint = similar(name, (row[0] for row in database.rows("SELECT name FROM people", types=(str,))))
    return UnknownPerson(f"Nobody called {name!r} is enrolled.{hint or ' rtface gallery list shows who is.'}")


def printable(file: str) -> str:
    """A path whose bytes are no UTF-8 cannot be kept as text; it is only read by people."""
    return file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
