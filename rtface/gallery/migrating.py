"""A gallery moves to another model without its pictures: every vector through a map, all of it in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtface.errors import GalleryBroken, GalleryMismatch
from rtface.gallery.database import Database, broken
from rtface.gallery.expiry import forget_index
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import MAPPED, stored_vectors
from rtface.gallery.vectors import Rows, VectorForm, are_units, form_of

Map = Callable[[Rows], Rows]
"""(N, D) unit rows of one model to (N, d) unit rows that may be compared with another's."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done: how many rows were mapped, and what a row's vector takes before and after."""

    rows: int
    bytes_before: int
    bytes_after: int


def migrate(
    database: Database, before: GalleryModel, after: GalleryModel, mapped: Map, forget_saved: Callable[[], None]
) -> Migrated:
    """Puts every vector through a map; the gallery is the other model's afterwards.

    Killed at any moment, the gallery is wholly as it was or wholly moved. Other programs that have it open stop using
    it, and say which model it has now. Each row keeps from which model it was mapped; a calibration, which was of other
    distances, is forgotten.

    Args:
        database: the gallery's.
        before: whose vectors it holds; its basis is needed where they lie along one.
        after: whose they are to be compared with.
        mapped: the map.
        forget_saved: deletes a saved index.

    Raises:
        GalleryMismatch: it holds vectors of neither, or is migrated already; nothing is changed.
        GalleryBroken: a vector cannot be read; nothing is changed.
        GalleryUnavailable: read-only, locked, no room; or it is done, and the message says what is still to do.
    """
    with database.writing():
        refuse(database, before, after)
        old = before.form(database)
        new = form_of(old.name, after.size, after.basis)
        rows = _rewrite(database, old, new, before, mapped)
        database.execute(
            "UPDATE pictures SET embedder = ? || CASE WHEN embedder = '' THEN '' ELSE ', ' || embedder END",
            f"{MAPPED}{before.name}",
        )
        database.execute(
            """UPDATE meta SET model = ?, fingerprint = ?, size = ?, calibration = NULL, revision = revision + 1,
            rewritten = revision + 1, logged_after = revision + 1, erasing = revision + 1""",
            *(after.name, after.fingerprint, after.size),
        )
        forget_index(forget_saved)
    database.erase_traces()
    return Migrated(rows, old.stored_bytes, new.stored_bytes)


def refuse(database: Database, before: GalleryModel, after: GalleryModel) -> int:
    """Whether a map from one model to the other is for this gallery; gives the number of its rows.

    Raises:
        GalleryMismatch: it is not.
    """
    ((rows,),) = database.rows("SELECT count(*) FROM embeddings", types=(int,))
    found = database.rows("SELECT model, fingerprint FROM meta", types=(str, str))
    if not found:
        raise broken(database.place, "its own record is missing")
    name, fingerprint = found[0]
    if rows == 0:
        raise GalleryMismatch(
            f"Nobody is enrolled in {database.place}: there is nothing to migrate. --set embedder={after.name} enrols "
            "with the new model."
        )
    if fingerprint == after.fingerprint:
        raise GalleryMismatch(f"The gallery {database.place} is migrated already: --set embedder={after.name} uses it.")
    if fingerprint != before.fingerprint:
        raise GalleryMismatch(
            f"The gallery {database.place} holds vectors of the model {name} ({fingerprint}), and this map is for "
            f"those of {before.name} ({before.fingerprint}). Learn one for it: rtface train harmonic --old {name}."
        )
    return int(rows)


def _rewrite(database: Database, old: VectorForm, new: VectorForm, before: GalleryModel, mapped: Map) -> int:
    """Every vector from one model's space to the other's; gives how many there were."""
    damaged = GalleryBroken(f"The gallery {database.place} is damaged: rtface gallery check says where.")
    done = 0
    for batch in stored_vectors(database, -(2**63), 2**62):
        stored = [value for _, value in batch if old.is_stored(value)]
        if len(stored) < len(batch):
            raise damaged
        rows = old.decode(stored)
        if not are_units(rows).all():
            raise damaged
        if old.size < before.size:
            assert before.basis is not None
            rows = rows @ before.basis.T
        values = zip((row for row, _ in batch), new.encode(mapped(rows)), strict=True)
        sealed = [(database.sealer.seal(value, "vector", row), row) for row, value in values]
        database.execute_many("UPDATE embeddings SET vector = ? WHERE picture_id = ?", sealed)
        done += len(batch)
    return done
