"""The gallery: who is enrolled, from which pictures, who is nearest. The database is the truth, indexes are caches.

Any number of processes may read and write it at once; each takes in the others' changes with ``refresh``. One gallery
object belongs to the thread that opened it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rtface.errors import GalleryUnavailable
from rtface.gallery.check import find_problems
from rtface.gallery.database import Database
from rtface.gallery.editing import Edit, NewRow, unknown
from rtface.gallery.expiry import ExpiryBeside, expire, forget_index
from rtface.gallery.model import GalleryModel
from rtface.gallery.names import free_text, normalised, person_name, tag_name
from rtface.gallery.people import UNRECORDED, Consent, Person, Picture, Provenance, people_in, pictures_of
from rtface.gallery.searcher import Searcher
from rtface.gallery.vectors import VectorForm, encoded_row
from rtface.types import Neighbor

log = logging.getLogger(__name__)


class PersonGallery:
    """Enrolled people in a database; see ``store.open_gallery``.

    ``database``, ``model``, ``form`` and ``searcher`` are the parts it stands on, for what works on all rows at once.
    """

    def __init__(
        self,
        database: Database,
        model: GalleryModel,
        form: VectorForm,
        searcher: Searcher,
        *,
        clock: Callable[[], float],
        connect: Callable[[], Database],
    ) -> None:
        """Finishes what is still to be erased, and erases people whose consent has ended.

        Args:
            database: the truth; closed with the gallery.
            model: whose vectors these are.
            form: how they lie in the database.
            searcher: finds the nearest of them.
            clock: seconds since 1970; its local date is today.
            connect: another connection to the same database, for another thread.
        """
        self.database = database
        self.model = model
        self.form = form
        self.searcher = searcher
        self._clock = clock
        self._expired_on = self._looked_on = self._today()
        self._beside = ExpiryBeside(connect, searcher.forget_saved)
        self._expired: list[str] = []
        self._closed = False
        if database.writable:
            self._finish_erasing()

    def __len__(self) -> int:
        """Rows: pictures of all people, and counter-examples."""
        return len(self.searcher)

    def __enter__(self) -> PersonGallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def revision(self) -> int:
        """Of the gallery as this object knows it; grows with every change, in whatever process it was made."""
        return self.searcher.revision

    def counts(self) -> Mapping[str, int]:
        """Rows that speak for each enrolled person; it follows the gallery as this object does."""
        return self.searcher.counts

    def refresh(self) -> bool:
        """Takes in what other processes have changed; True when there was something. Cheap when there was not.

        Of very many new rows it takes some at each call, so that it can be called between two frames. When another
        process has compacted the gallery, the next search makes a new index first.

        Raises:
            GalleryMismatch: it was emptied and filled again with another model.
            GalleryLost: its server is out of reach; what is known of it stays in use.
        """
        if self._looked_on == self._today() and not self.database.may_differ(self.revision):
            return False
        self.model.refuse_others(self.database)
        self.follow_form()
        changed = self.searcher.follow(at_once=False)
        today = self._looked_on = self._today()
        if today > self._expired_on and self.database.writable:
            self._expired_on = today
            self._beside.start(today)
        return changed

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """For each of N unit rows (N, size) its at most k nearest gallery rows, nearest first.

        Raises:
            GalleryBroken: the vectors on file are damaged.
        """
        return self.searcher.search(embeddings, k)

    def people(self) -> list[Person]:
        """Everybody enrolled, by name."""
        return people_in(self.database)

    def person(self, name: str) -> Person:
        """What is known of somebody. Raises UnknownPerson."""
        found = people_in(self.database, normalised(name))
        if not found:
            raise unknown(self.database, name)
        return found[0]

    def pictures(self, name: str) -> list[Picture]:
        """Where a person's rows come from, in the order they were added. Raises UnknownPerson."""
        found = pictures_of(self.database, normalised(name))
        if not found:
            raise unknown(self.database, name)
        return found

    def has_picture(self, sha256: str) -> str | None:
        """Whose picture this already is; None: nobody's. Counter-examples are not looked at."""
        rows = self.database.rows(
            """SELECT name FROM people JOIN pictures ON pictures.person_id = people.id
            WHERE sha256 = ? AND against = 0 ORDER BY pictures.id LIMIT 1""",
            sha256,
            types=(str,),
        )
        return rows[0][0] if rows else None

    def has_counter_example(self, name: str, sha256: str) -> bool:
        """Whether this picture is known not to be this person."""
        theirs = pictures_of(self.database, normalised(name))
        return any(picture.against and picture.sha256 == sha256 for picture in theirs)

    def add(
        self,
        name: str,
        embedding: NDArray[np.float32],
        *,
        sha256: str,
        file: str,
        quality: float,
        against: bool = False,
        provenance: Provenance = UNRECORDED,
        crop: bytes | None = None,
    ) -> None:
        """Adds one picture of a person, who is made with the first one; durable when this returns.

        A picture the person already has is left as it is, so that two processes may enrol the same folder.

        Args:
            name: see ``person_name``.
            embedding: (size,) of norm 1.
            sha256: of the picture's pixels, to know it again.
            file: where it came from, for people to read.
            quality: 0..1.
            against: a counter-example: this face is not this person.
            provenance: how it came.
            crop: the face as JPEG, to be kept with it.

        Raises:
            BadName: nobody can be called that.
            UnknownPerson: a counter-example for nobody.
            GalleryUnavailable: read-only, locked or no room; nothing of this picture is kept.
            GalleryMismatch: another process has meanwhile filled the gallery with another model's vectors.
            ValueError: not a unit vector of this model's size.
        """
        name = person_name(name)
        with self.database.writing():
            self.model.adopt(self.database)
            self.model.refuse_others(self.database)
            self.follow_form()
            vector = encoded_row(self.form, embedding, self.model.size)
            row = NewRow(sha256, vector, file, quality, self._clock(), against, provenance, crop)
            edit = Edit(self.database)
            edit.insert(edit.known(name) if against else edit.person(name, self._clock()), row)
        self.searcher.follow()

    def follow_form(self) -> None:
        """Takes in that the gallery was compacted."""
        form = self.model.form(self.database)
        if form.name != self.form.name:
            self.form = form
            self.searcher.use(form)

    @contextmanager
    def editing(self) -> Iterator[Edit]:
        """A transaction and what follows from it: this object follows, and traces of what is gone are erased."""
        with self.database.writing():
            self.follow_form()
            edit = Edit(self.database)
            yield edit
            if edit.vectors_gone:
                forget_index(self.searcher.forget_saved)
        self.searcher.follow()
        if edit.erased:
            self.database.erase_traces()

    def remove(self, name: str) -> None:
        """Erases a person: afterwards no vector, name or path of theirs is in the database, its log or the index.

        Raises:
            UnknownPerson: nobody of that name is enrolled.
            GalleryUnavailable: read-only or locked; or the person is removed and the message says what is still to do.
        """
        with self.editing() as edit:
            edit.remove(edit.known(normalised(name)))

    def rename(self, old: str, new: str) -> None:
        """Gives a person another name; the old one leaves the file.

        Raises:
            UnknownPerson: nobody is called ``old``.
            BadName: nobody can be called ``new``, or somebody already is.
        """
        old, new = normalised(old), person_name(new)
        with self.editing() as edit:
            person = edit.known(old)
            if old != new:
                edit.rename(person, new)

    def merge(self, source: str, into: str) -> None:
        """Makes one person of two, who were the same all along; the name ``source`` leaves the file.

        Raises:
            UnknownPerson: one of them is not enrolled.
        """
        with self.editing() as edit:
            one, other = edit.known(normalised(source)), edit.known(normalised(into))
            if one != other:
                edit.merge(one, other)

    def note(self, name: str, text: str) -> None:
        """Puts a text in place of a person's note; "" takes it away. Raises UnknownPerson."""
        with self.editing() as edit:
            edit.note(edit.known(normalised(name)), free_text(text))

    def tag(self, name: str, add: Iterable[str] = (), *, remove: Iterable[str] = ()) -> None:
        """Adds and removes a person's tags. Raises UnknownPerson."""
        with self.editing() as edit:
            edit.tag(edit.known(normalised(name)), map(tag_name, add), map(normalised, remove))

    def consent(self, name: str, purpose: str, until: date | None = None) -> None:
        """Records that a person agreed now, for this, until the end of that day. Raises UnknownPerson."""
        with self.editing() as edit:
            edit.consent(edit.known(normalised(name)), Consent(self._clock(), free_text(purpose), until))

    def expire(self) -> list[str]:
        """Erases everybody whose consent has ended; gives their names and those of whom opening has erased. Raises
        GalleryUnavailable as ``remove`` does."""
        self._expired += expire(self.database, self._today(), self.searcher.forget_saved)
        self.searcher.follow()
        return self._expired

    def check(self) -> list[str]:
        """What is wrong with the gallery, a sentence each; [] when it is whole. Finishes an erasure cut short.

        Raises:
            GalleryUnavailable: locked, or traces of somebody removed cannot be erased yet.
        """
        if self.database.writable:
            self.database.erase_traces()
        return find_problems(self.database, self.form, self.searcher.problems)

    def close(self) -> None:
        """Keeps the index for next time and releases the file."""
        if not self._closed:
            self._closed = True
            self._beside.wait()
            self.searcher.save()
            self.database.close()

    def _today(self) -> date:
        return date.fromtimestamp(self._clock())

    def _finish_erasing(self) -> None:
        try:
            self._expired = expire(self.database, self._today(), self.searcher.forget_saved)
            self.database.erase_traces()
        except GalleryUnavailable as error:
            log.warning("%s", error)
        self.searcher.follow()
