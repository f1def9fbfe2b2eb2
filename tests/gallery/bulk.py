"""Many rows at once, past the life of a person: for tests and benchmarks of search alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.store import PersonGallery

BATCH = 5000


def fill(gallery: PersonGallery, rows: NDArray[np.float32], *, each: int) -> None:
    """Puts (N, D) unit rows into an empty gallery, ``each`` in a row to a person; row ids count from 1."""
    database, count = gallery.database, len(rows)
    with database.writing():
        gallery.model.adopt(database)
        gallery.follow_form()
        database.execute_many(
            "INSERT INTO people (id, name, created_at) VALUES (?, ?, ?)",
            [(number + 1, f"person {number:08}", 0.0) for number in range(-(-count // each))],
        )
        for start, part in batches(rows):
            ids = range(start + 1, start + 1 + len(part))
            database.execute_many(
                "INSERT INTO pictures (id, person_id, sha256, file, added_at, quality, revision)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(one, (one - 1) // each + 1, str(one), "f", 0.0, 0.5, one) for one in ids],
            )
            database.execute_many(
                "INSERT INTO embeddings (picture_id, vector) VALUES (?, ?)",
                list(zip(ids, gallery.form.encode(part), strict=True)),
            )
        database.execute("UPDATE meta SET revision = ?", count)


def batches(rows: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(Number of the first row, rows)."""
    for start in range(0, len(rows), BATCH):
        yield start, rows[start : start + BATCH]
