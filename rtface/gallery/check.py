"""Whether a gallery's file is whole and its index tells the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rtface.errors import GalleryBroken
from rtface.gallery.database import Database
from rtface.gallery.index import Index, Labels, Rows
from rtface.gallery.memory import are_units, is_vector

SAMPLE = 200
"""Rows that are searched for."""
SAME = 1e-4
"""Distance of a row to itself, with room for float32."""
MISSED = 0.05
"""Of the sample: HNSW may miss a row now and then, more means that its graph is broken."""
SHOWN = 5


def find_problems(database: Database, size: int, index: Callable[[], Index]) -> list[str]:
    """Sentences, one a problem.

    Args:
        database: the gallery's file.
        size: numbers in an embedding.
        index: gives the index; only asked when the file is whole.
    """
    try:
        problems = _of_the_file(database) + _of_the_rows(database)
        if problems:
            return problems
        labels, rows, problems = _vectors(database, size)
        return problems or _of_the_index(index(), labels, rows)
    except GalleryBroken as error:
        return [str(error)]


def _of_the_file(database: Database) -> list[str]:
    found = [str(row[0]) for row in database.rows("PRAGMA integrity_check(5)")]
    dangling = database.rows("PRAGMA foreign_key_check")
    return [f"database: {line}" for line in found if line != "ok"] + [
        f"database: row {row} of {table} belongs to nothing in {parent}" for table, row, parent, _ in dangling[:SHOWN]
    ]


def _of_the_rows(database: Database) -> list[str]:
    empty = database.rows("SELECT name FROM people WHERE id NOT IN (SELECT person_id FROM pictures) ORDER BY name")
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


def _vectors(database: Database, size: int) -> tuple[Labels, Rows, list[str]]:
    found = database.rows(
        """SELECT picture_id, vector, name FROM embeddings JOIN pictures ON pictures.id = picture_id
        JOIN people ON people.id = person_id ORDER BY picture_id"""
    )
    short = [row for row in found if not is_vector(row[1], size)]
    if short:
        problems = [f"{name}: the embedding of row {row} has not {size} numbers" for row, _, name in short[:SHOWN]]
        return np.empty(0, np.int64), np.empty((0, size), np.float32), problems
    labels = np.array([row[0] for row in found], np.int64)
    blob = b"".join(row[1] for row in found)
    rows = np.frombuffer(blob, "<f4").astype(np.float32).reshape(-1, size)
    bad = np.flatnonzero(~are_units(rows))[:SHOWN]
    problems = [
        f"{found[i][2]}: the embedding of row {found[i][0]} is not a unit vector; remove and enrol again" for i in bad
    ]
    return labels, rows, problems


def _of_the_index(index: Index, labels: Labels, rows: Rows) -> list[str]:
    if len(index) != len(labels):
        return [
            f"index: {len(index)} rows, the database has {len(labels)}; another program may be writing, check again"
        ]
    if not len(labels):
        return []
    if not np.array_equal(index.vectors(labels), rows):
        return ["index: its vectors are not the database's; delete the .hnsw file beside the gallery"]
    sample = np.unique(np.linspace(0, len(labels) - 1, SAMPLE).astype(np.intp))
    _, distances = index.search(rows[sample], 1)
    missed = int(np.count_nonzero(distances[:, 0] > SAME))
    if missed > (MISSED if index.kind == "hnsw" else 0) * len(sample):
        return [
            f"index: {missed} of {len(sample)} rows do not find themselves; delete the .hnsw file beside the gallery"
        ]
    return []
