"""A gallery keeps a byte for each number instead of four, for good: all of it in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.errors import GalleryBroken
from rtface.gallery.database import Database
from rtface.gallery.expiry import forget_index
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.people import stored_vectors
from rtface.gallery.vectors import Bytes, VectorForm, form_of


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done.

    Attributes:
        rows: how many were rewritten; 0 in a gallery that was compact already.
        bytes_before, bytes_after: of a row's vector.
        database_before, database_after: bytes on disk.
    """

    rows: int
    bytes_before: int
    bytes_after: int
    database_before: int
    database_after: int


def compact(gallery: PersonGallery) -> Compacted:
    """Rewrites every vector in the form ``bytes``; vectors to come are kept in it too.

    Killed at any moment, the gallery is wholly as it was or wholly compact. Other programs that have it open follow.
    What a byte has lost does not come back.

    Raises:
        GalleryBroken: a vector cannot be read; nothing is changed.
        GalleryMismatch: it is on a server, and somebody is enrolled: the server's own type of vector has no such form.
        GalleryUnavailable: read-only, locked, no room; or it is done, and the message says what is still to do.
    """
    database, before = gallery.database, gallery.form
    form = form_of(Bytes.name, gallery.model.size, gallery.model.basis)
    size, rows = database.size(), 0
    with database.writing():
        gallery.model.adopt(database)
        gallery.follow_form()  # another process may have done it meanwhile
        if gallery.form.name != form.name:
            # First, as a server refuses it where there are rows.
            database.execute(
                """UPDATE meta SET form = ?, revision = revision + 1, rewritten = revision + 1,
                logged_after = revision + 1, erasing = revision + 1""",
                form.name,
            )
            rows = _rewrite(database, gallery.form, form)
            forget_index(gallery.searcher.forget_saved)
    gallery.follow_form()
    gallery.searcher.follow()
    database.erase_traces()
    return Compacted(rows, before.stored_bytes, form.stored_bytes, size, database.size())


def _rewrite(database: Database, before: VectorForm, after: VectorForm) -> int:
    """Every vector from one form to the other; gives how many there were."""
    done = 0
    for batch in stored_vectors(database, 0, LAST):
        stored = [value for _, value in batch if before.is_stored(value)]
        if len(stored) < len(batch):
            raise GalleryBroken(f"The gallery {database.place} is damaged: rtface gallery check says where.")
        values = zip((row for row, _ in batch), after.encode(before.decode(stored)), strict=True)
        sealed = [(database.sealer.seal(value, "vector", row), row) for row, value in values]
        database.execute_many("UPDATE embeddings SET vector = ? WHERE picture_id = ?", sealed)
        done += len(batch)
    return done


LAST = 2**62
"""Over every row id."""
