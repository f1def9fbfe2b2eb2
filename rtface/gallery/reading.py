"""The vectors of a gallery out of its database, some thousands at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rtface.errors import GalleryBroken
from rtface.gallery.database import Database
from rtface.gallery.index import Labels, Rows
from rtface.gallery.people import stored_vectors
from rtface.gallery.vectors import VectorForm, are_units


def blocks_of(database: Database, form: VectorForm, labels: Labels) -> Iterator[tuple[Labels, Rows]]:
    """Of these labels, which ascend, those that are still there, with their (N, D) unit rows.

    Raises:
        GalleryBroken: one is not a unit vector of this form.
    """
    if not len(labels):
        return
    for batch in stored_vectors(database, int(labels[0]) - 1, int(labels[-1])):
        ids = np.array([label for label, _ in batch], np.int64)
        wanted = np.isin(ids, labels[slice(*np.searchsorted(labels, [ids[0], ids[-1] + 1]))], assume_unique=True)
        stored = [value for (_, value), here in zip(batch, wanted, strict=True) if here]
        good = [value for value in stored if form.is_stored(value)]
        if len(good) < len(stored):
            raise _broken(database, "an embedding is of another size")
        rows = form.decode(good)
        if not are_units(rows).all():
            raise _broken(database, "an embedding is not a unit vector")
        yield ids[wanted], rows


def rows_of(database: Database, form: VectorForm, labels: Labels) -> Rows:
    """(N, D) unit rows under these labels, which ascend.

    Raises:
        GalleryBroken: one is missing, or not a unit vector of this form.
    """
    rows = np.empty((len(labels), form.size), np.float32)
    done = 0
    for found, block in blocks_of(database, form, labels):
        part = slice(done, done + len(found))
        if not np.array_equal(found, labels[part]):
            break
        rows[part] = block
        done = part.stop
    if done != len(labels):
        raise _broken(database, "pictures and embeddings do not match")
    return rows


def _broken(database: Database, fault: str) -> GalleryBroken:
    return GalleryBroken(
        f"The gallery {database.place} is damaged: {fault}. rtface gallery check says where; remove "
        "the person it names and enrol again."
    )
