"""A gallery moved through a map: the same people are found by the new model, or nothing has happened at all."""

import os
import signal
import sqlite3
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import GalleryBroken, GalleryMismatch
from rtface.gallery.cache import GraphCache
from rtface.gallery.compacting import compact
from rtface.gallery.migrating import Migrated, migrate
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import Provenance
from rtface.gallery.sqlite import open_database
from rtface.gallery.store import PersonGallery, open_gallery
from tests.gallery import program
from tests.gallery.samples import clusters, distances, enroll, traces, units

Rows = NDArray[np.float32]
PEOPLE = ("Ada", "Bob", "Cyd", "Zoë")
LATENT = 12


def turn(seed: int, size: int) -> Rows:
    """(LATENT, size) with orthonormal rows: how a network lays faces into its space."""
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(size, LATENT)))[0].T, np.float32)


OLD_TURN, NEW_TURN = turn(1, 32), turn(2, 20)
OLD = GalleryModel("old", "1f2e", 32, np.ascontiguousarray(OLD_TURN.T))
NEW = GalleryModel("new-harmonic", "3d4c", 20)
FACES = clusters(1, people=4, each=6, size=LATENT)


def mapped(rows: Rows) -> Rows:
    """Where the new network sees the faces that the old one saw here; exact."""
    return np.asarray(rows @ OLD_TURN.T @ NEW_TURN, np.float32)


def opened(path: Path, model: GalleryModel, key: bytes | None = None) -> PersonGallery:
    return open_gallery(
        path,
        model=model.name,
        fingerprint=model.fingerprint,
        size=model.size,
        basis=model.basis,
        create=True,
        patience=1,
        key=key,
    )


@pytest.fixture(params=[None, bytes(range(32))], ids=["open", "encrypted"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    found: bytes | None = request.param
    return found


@pytest.fixture
def path(tmp_path: Path, key: bytes | None) -> Path:
    with opened(tmp_path / "g.db", OLD, key) as gallery:
        for name, rows in zip(PEOPLE, (FACES @ OLD_TURN).reshape(4, 6, OLD.size), strict=True):
            enroll(gallery, name, rows)
        gallery.search(FACES[:1] @ OLD_TURN, 1)
    return tmp_path / "g.db"


def moved(path: Path, key: bytes | None, through: Callable[[Rows], Rows] = mapped) -> Migrated:
    database = open_database(path, create=False, key=key)
    try:
        return migrate(database, OLD, NEW, through, GraphCache(path, "", 0).forget)
    finally:
        database.close()


def found(gallery: PersonGallery, queries: Rows) -> list[tuple[str, float]]:
    return [(row[0].person, row[0].distance) for row in gallery.search(queries, 1)]


def content(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    tables = ("SELECT * FROM meta", "SELECT * FROM pictures", "SELECT * FROM embeddings")
    rows: list[object] = [connection.execute(query).fetchall() for query in tables]
    connection.close()
    return rows


@pytest.mark.parametrize("compacted", [False, True])
def test_the_new_model_finds_everybody_where_the_old_one_did(path: Path, key: bytes | None, compacted: bool) -> None:
    if compacted:
        with opened(path, OLD, key) as gallery:
            compact(gallery)
    done = moved(path, key)
    assert done.rows == 24
    assert (done.bytes_before, done.bytes_after) == ((LATENT, 20) if compacted else (4 * 32, 4 * 20))
    queries = clusters(1, people=4, each=6, size=LATENT, spread=0.7)
    truth = distances(queries, FACES)
    with opened(path, NEW, key) as gallery:
        names = [name for name, _ in found(gallery, queries @ NEW_TURN)]
        assert names == [PEOPLE[row.argmin() // 6] for row in truth]
        told = [distance for _, distance in found(gallery, queries @ NEW_TURN)]
        assert told == pytest.approx(truth.min(axis=1), abs=0.03 if compacted else 1e-4)
        assert gallery.check() == []


def test_every_row_keeps_its_model_and_new_ones_have_their_own(path: Path, key: bytes | None) -> None:
    with opened(path, OLD, key) as gallery:
        row = np.asarray(FACES[0] @ OLD_TURN, np.float32)
        made = Provenance("picture", "yunet", "onnxruntime int8")
        gallery.add("Ada", row, sha256="a", file="a.jpg", quality=0.5, provenance=made)
    moved(path, key)
    with opened(path, NEW, key) as gallery:
        enroll(gallery, "Eve", units(3, 1, NEW.size))
        assert {picture.provenance.mapped_from for name in PEOPLE for picture in gallery.pictures(name)} == {"old"}
        assert gallery.pictures("Ada")[-1].provenance.embedder == "mapped from old, onnxruntime int8"
        assert [picture.provenance.mapped_from for picture in gallery.pictures("Eve")] == [None]


def test_no_vector_of_before_is_left_on_the_disk(path: Path, key: bytes | None) -> None:
    rows = FACES @ OLD_TURN
    assert (traces(path, rows[0]) > 0) == (key is None)
    moved(path, key)
    assert traces(path, rows[0]) == 0
    assert (traces(path, mapped(rows)[0]) > 0) == (key is None)


def test_a_program_that_has_it_open_stops_and_says_which_model_it_has(path: Path, key: bytes | None) -> None:
    with opened(path, OLD, key) as running:
        moved(path, key)
        with pytest.raises(GalleryMismatch, match="--set embedder=new-harmonic"):
            running.refresh()
        with pytest.raises(GalleryMismatch):
            enroll(running, "Eve", units(1, 1, OLD.size))


def test_a_calibration_of_other_distances_is_forgotten(path: Path, key: bytes | None) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET calibration = '{}'")
    connection.close()
    moved(path, key)
    assert "{}" not in str(content(path)[0])


def test_a_gallery_that_is_migrated_is_refused_and_stays_as_it_is(path: Path, key: bytes | None) -> None:
    moved(path, key)
    before = content(path)
    with pytest.raises(GalleryMismatch, match="already: --set embedder=new-harmonic"):
        moved(path, key)
    assert content(path) == before


def test_another_models_gallery_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    with opened(path, GalleryModel("sface", "9999", OLD.size)) as gallery:
        enroll(gallery, "Ada", units(1, 2, OLD.size))
    before = content(path)
    with pytest.raises(GalleryMismatch, match=r"vectors of the model sface \(9999\).*--old sface"):
        moved(path, None)
    assert content(path) == before


def test_where_nobody_is_enrolled_there_is_nothing_to_do(tmp_path: Path) -> None:
    opened(tmp_path / "e.db", OLD).close()
    with pytest.raises(GalleryMismatch, match="Nobody is enrolled"):
        moved(tmp_path / "e.db", None)


def test_a_damaged_row_stops_it_and_nothing_is_changed(path: Path, key: bytes | None) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE embeddings SET vector = x'00' WHERE picture_id = 7")
    connection.close()
    before = content(path)
    with pytest.raises(GalleryBroken, match="gallery check"):
        moved(path, key)
    assert content(path) == before


def move_and_be_killed(pipe: Connection, path: Path, key: bytes | None) -> None:
    """Is killed when all is written and nothing is durable."""

    def last() -> None:
        pipe.send("written")
        os.kill(os.getpid(), signal.SIGKILL)

    database = open_database(path, create=False, key=key)
    migrate(database, OLD, NEW, mapped, last)


def test_killed_before_it_is_durable_it_has_not_happened(path: Path, key: bytes | None) -> None:
    before = content(path)
    with program.running(move_and_be_killed, path, key) as (process, pipe):
        assert pipe.recv() == "written"
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
    with opened(path, OLD, key) as gallery:
        assert gallery.check() == []
        assert found(gallery, FACES[:1] @ OLD_TURN)[0][0] == "Ada"
    assert content(path) == before
