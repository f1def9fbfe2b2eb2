"""Whether a gallery's database is whole and its index tells the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rtface.errors import GalleryBroken
from rtface.gallery.database import Database
from rtface.gallery.index import Index, Labels, Rows
from rtface.gallery.people import BATCH
from rtface.gallery.vectors import VectorForm, are_units

SAMPLE = 200
"""Rows that are searched for."""
SAME = 1e-4
"""Distance of a row to itself, with room for float32."""
OTHER = 1e-3
"""Squared distance from which two vectors are not the same; an index in a subspace may be this far off."""
MISSED = 0.05
"""Of the sample: HNSW may miss a row now and then, more means that its graph is broken."""
SHOWN = 5


def find_problems(database: Database, form: VectorForm, index: Callable[[], list[str]]) -> list[str]:
    """Sentences, one a problem.

    Args:
        database: the gallery's.
        form: of its vectors.
        index: gives what is wrong with the index; only asked when the database is whole.
    """
    try:
        with database.reading():  # of one moment; it also tells that the key is no longer the same
            problems = database.faults() + _of_the_rows(database)
        return problems or _of_the_vectors(database, form) or index()
    except GalleryBroken as error:
        return [str(error)]


def _of_the_rows(database: Database) -> list[str]:
    empty = database.rows(
        "SELECT name FROM people WHERE id NOT IN (SELECT person_id FROM pictures WHERE against = 0) ORDER BY name"
    )
    bare = database.rows(
        """SELECT name, file FROM people JOIN pictures ON pictures.person_id = people.id
        WHERE pictures.id NOT IN (SELECT picture_id FROM embeddings) ORDER BY pictures.id"""
    )
    metas = database.rows("SELECT count(*) FROM meta")
    return (
        [f"{name} has no pictures: rtface gallery remove {name!r}" for (name,) in empty[:SHOWN]]
        + [f"{name}: the picture {file} has no embedding; remove {name} and enrol again" for name, file in bare[:SHOWN]]
        + ([] if metas == [(1,)] else ["the gallery's own record is missing"])
    )


def _of_the_vectors(database: Database, form: VectorForm) -> list[str]:
    after = 0
    problems: list[str] = []
    while len(problems) < SHOWN:
        batch = database.rows(
            """SELECT picture_id, vector, name FROM embeddings JOIN pictures ON pictures.id = picture_id
            JOIN people ON people.id = person_id WHERE picture_id > ? ORDER BY picture_id LIMIT ?""",
            *(after, BATCH),
        )
        if not batch:
            break
        after = batch[-1][0]
        opened = [(row, database.sealer.opened(value, "vector", row), name) for row, value, name in batch]
        good = [(row, value, name) for row, value, name in opened if form.is_stored(value)]
        problems += [
            f"{name}: the embedding of row {row} was not sealed for this row; remove and enrol again"
            if value is None
            else f"{name}: the embedding of row {row} has not {form.size} numbers"
            for row, value, name in opened
            if not form.is_stored(value)
        ]
        units = are_units(form.decode([value for _, value, _ in good]))
        problems += [
            f"{name}: the embedding of row {row} is not a unit vector; remove and enrol again"
            for (row, _, name), is_unit in zip(good, units, strict=True)
            if not is_unit
        ]
    return problems[:SHOWN]


def index_problems(index: Index, labels: Labels, vectors: Callable[[Labels], Rows]) -> list[str]:
    """Where an index differs from the rows it should hold, a sentence each.

    Args:
        index: the one to look at.
        labels: of all rows, ascending.
        vectors: gives the (N, D) rows under labels.
    """
    if len(index) != len(labels):
        return [f"index: {len(index)} rows, the database has {len(labels)}; delete the .hnsw file beside the gallery"]
    for start in range(0, len(labels), BATCH):
        part = labels[start : start + BATCH]
        if float(((index.vectors(part) - vectors(part)) ** 2).sum(axis=1).max()) > OTHER:
            return ["index: its vectors are not the database's; delete the .hnsw file beside the gallery"]
    if not len(labels):
        return []
    sample = labels[np.unique(np.linspace(0, len(labels) - 1, SAMPLE).astype(np.intp))]
    _, distances = index.search(vectors(sample), 1)
    missed = int(np.count_nonzero(distances[:, 0] > SAME))
    if missed > (MISSED if index.kind == "hnsw" else 0) * len(sample):
        return [
            f"index: {missed} of {len(sample)} rows do not find themselves; delete the .hnsw file beside the gallery"
        ]
    return []
