"""A gallery in one byte a number finds the same people, is followed by those who have it open, and comes out whole."""

import sqlite3
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import GalleryBroken
from rtface.gallery.compacting import compact
from rtface.gallery.index import IndexKind
from rtface.gallery.portable import export_gallery, read_export
from rtface.gallery.receiving import receive
from rtface.gallery.store import PersonGallery, open_gallery
from tests.gallery.samples import clusters, distances, enroll, traces, units

SIZE, KEPT = 64, 16
PEOPLE = ("Ada", "Bob", "Cyd", "Zoë")


def basis() -> NDArray[np.float32]:
    columns, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(SIZE, KEPT)))
    return np.asarray(columns, np.float32)


def embeddings() -> NDArray[np.float32]:
    """(24, SIZE) rows that lie along the basis, six of each person."""
    return np.asarray(clusters(1, people=4, each=6, size=KEPT) @ basis().T, np.float32)


def opened(path: Path, *, index: IndexKind = "exact") -> PersonGallery:
    model = {"model": "facenet", "fingerprint": "1f2e", "size": SIZE, "basis": basis()}
    return open_gallery(path, create=True, index=index, patience=1.0, **model)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with opened(tmp_path / "g.db") as gallery:
        for name, rows in zip(PEOPLE, embeddings().reshape(4, 6, SIZE), strict=True):
            enroll(gallery, name, rows)
    return tmp_path / "g.db"


def nearest(gallery: PersonGallery, queries: NDArray[np.float32]) -> list[tuple[str, float]]:
    return [(row[0].person, row[0].distance) for row in gallery.search(queries, 1)]


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_the_same_people_are_found_at_the_same_distances(path: Path, index: IndexKind) -> None:
    queries = np.asarray(clusters(1, people=4, each=6, size=KEPT, spread=0.6)[::3] @ basis().T, np.float32)
    truth = distances(queries, embeddings())
    with opened(path, index=index) as gallery:
        done = compact(gallery)
        assert (done.rows, done.bytes_before, done.bytes_after) == (24, 4 * SIZE, KEPT)
        found = nearest(gallery, queries)
        assert [person for person, _ in found] == [PEOPLE[row.argmin() // 6] for row in truth]
        assert [distance for _, distance in found] == pytest.approx(truth.min(axis=1), abs=0.02)
        assert gallery.check() == []
    with opened(path, index=index) as gallery:
        assert gallery.form.name == "bytes"
        assert [person for person, _ in nearest(gallery, queries)] == [PEOPLE[row.argmin() // 6] for row in truth]
        assert gallery.check() == []
        assert compact(gallery).rows == 0


def test_no_float_is_left_on_the_disk(path: Path) -> None:
    row = embeddings()[0]
    assert traces(path, row)
    with opened(path, index="hnsw") as gallery:
        gallery.search(embeddings(), 1)
        compact(gallery)
        assert traces(path, row) == 0
    assert traces(path, row) == 0


def test_others_follow_and_add_in_the_new_form(path: Path) -> None:
    rows = embeddings()
    with opened(path) as running, opened(path) as another:
        assert nearest(running, rows[:1])[0][0] == "Ada"
        compact(another)
        enroll(another, "Eve", -rows[:1])
        assert running.refresh()
        assert nearest(running, -rows[:1])[0][0] == "Eve"
        enroll(running, "Fay", -rows[6:7])
        assert another.refresh()
        assert nearest(another, -rows[6:7])[0][0] == "Fay"
        assert running.check() == another.check() == []


def test_a_gallery_nobody_is_in_becomes_one_for_those_to_come(tmp_path: Path) -> None:
    with opened(tmp_path / "g.db") as gallery:
        assert compact(gallery).rows == 0
        enroll(gallery, "Ada", embeddings()[:1])
        assert nearest(gallery, embeddings()[:1])[0][0] == "Ada"
    with opened(tmp_path / "g.db") as gallery:
        assert gallery.database.rows("SELECT length(vector) FROM embeddings") == [(KEPT,)]


def test_an_export_keeps_every_byte(path: Path, tmp_path: Path) -> None:
    with opened(path) as gallery, opened(tmp_path / "copy.db") as copy:
        compact(gallery)
        compact(copy)
        export_gallery(gallery, tmp_path / "e.gz", crops=False)
        with read_export(tmp_path / "e.gz", copy.model) as export:
            receive(copy, export, today=date(2026, 1, 1))
        query = "SELECT vector FROM embeddings ORDER BY picture_id"
        assert copy.database.rows(query) == gallery.database.rows(query)


def test_a_damaged_row_stops_it_and_nothing_is_changed(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE embeddings SET vector = x'00' WHERE picture_id = 7")
    connection.close()
    with opened(path) as gallery:
        with pytest.raises(GalleryBroken, match="gallery check"):
            compact(gallery)
        assert gallery.database.rows("SELECT form FROM meta") == [("float32",)]
        assert gallery.database.rows("SELECT length(vector) FROM embeddings WHERE picture_id = 1") == [(4 * SIZE,)]


def test_embeddings_of_all_their_numbers_are_kept_whole(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "g.db", model="sface", fingerprint="1", size=32, create=True) as gallery:
        enroll(gallery, "Ada", units(1, 3, 32))
        assert compact(gallery).bytes_after == 32
        assert max(distance for _, distance in nearest(gallery, units(1, 3, 32))) < 1e-3
