"""A gallery with a key: what is on disk, who can open it, and how it gets another key."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryBroken, GalleryUnavailable, KeyRefused, MissingLibrary
from rtface.gallery.cache import GraphCache
from rtface.gallery.index import IndexKind
from rtface.gallery.people import crops_of
from rtface.gallery.rekeying import rekey
from rtface.gallery.sqlite import open_database
from rtface.gallery.store import PersonGallery
from rtface.gallery.vectors import FORMS, form_of
from tests.gallery.samples import SIZE, bytes_on_disk, gallery_at, units

pytest.importorskip("cryptography")

KEY, OTHER = bytes(range(32)), bytes(32)
PEOPLE = {"Ada": units(1, 6), "Bob": units(2, 6)}


def crop(name: str, place: int) -> bytes:
    return f"JPEG of {name}, number {place}".encode()


def fill(gallery: PersonGallery) -> None:
    for name, rows in PEOPLE.items():
        for place, row in enumerate(rows):
            gallery.add(name, row, sha256=f"{name}-{place}", file="x", quality=0.5, crop=crop(name, place))


def assert_whole(gallery: PersonGallery) -> None:
    assert gallery.check() == []
    for name, rows in PEOPLE.items():
        assert {near[0].person for near in gallery.search(rows, 1)} == {name}
        assert crops_of(gallery.database, name) == {f"{name}-{place}": crop(name, place) for place in range(6)}


def open_values(path: Path, form: str = "float32") -> int:
    """How many pieces of vectors and faces are on disk as they are."""
    data, kept = bytes_on_disk(path), form_of(form, SIZE)
    vectors = [vector for rows in PEOPLE.values() for vector in (*kept.encode(rows), *Float.encode(rows))]
    pieces = [vector[start : start + 16] for vector in vectors for start in range(0, len(vector) - 15, 16)]
    return sum(piece in data for piece in [*pieces, *(crop(name, place) for name in PEOPLE for place in range(6))])


Float = form_of("float32", SIZE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An encrypted gallery."""
    with gallery_at(tmp_path / "g.db", key=KEY) as gallery:
        fill(gallery)
    return tmp_path / "g.db"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def rekeyed(path: Path, before: bytes | None, after: bytes | None) -> int:
    database = open_database(path, create=False, key=before)
    try:
        return rekey(database, after, GraphCache(path, "", 0).forget)
    finally:
        database.close()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_no_vector_and_no_face_is_on_disk_and_answers_are_the_same(tmp_path: Path, form: str, kind: IndexKind) -> None:
    answers = []
    for key in (None, KEY):
        path = tmp_path / str(key is None) / "g.db"
        gallery_at(path, key=key).close()
        change(path, f"UPDATE meta SET form = '{form}'")
        for _ in range(2):  # the second time the index comes from its file
            with gallery_at(path, index=kind, key=key) as gallery:
                fill(gallery)
                answers.append(gallery.search(np.concatenate([units(3, 20), PEOPLE["Ada"]]), 4))
                assert open_values(path, form) == 0 or key is None, "while it is open"
                assert_whole(gallery)
        assert (open_values(path, form) == 0) is (key is not None)
        assert (path.parent / "g.db.hnsw").exists() is (kind == "hnsw")
    assert all(answer == answers[0] for answer in answers)


def test_saved_index_is_read_and_not_built_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with gallery_at(path, index="hnsw", key=KEY) as gallery:
        gallery.search(units(1, 1), 1)
    caplog.set_level("INFO", "rtface.gallery")
    with gallery_at(path, index="hnsw", key=KEY) as gallery:
        assert gallery.search(units(1, 1), 1)[0][0].person == "Ada"
    assert caplog.messages == []


def test_index_is_not_kept_where_files_cannot_be_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("os.memfd_create")
    with gallery_at(path, index="hnsw", key=KEY) as gallery:
        assert gallery.search(units(1, 1), 1)[0][0].person == "Ada"
    assert open_values(path) == 0 and not list(path.parent.glob("*.hnsw*"))
    assert "on Linux only" in caplog.text


@pytest.mark.parametrize(
    ("key", "told"), [(OTHER, "not the key of the gallery"), (None, "encrypted and no key is set")]
)
def test_gallery_opens_with_its_key_only(path: Path, key: bytes | None, told: str) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyRefused, match=told):
        gallery_at(path, key=key)
    assert path.read_bytes() == before


def test_key_for_a_gallery_in_the_clear_is_refused_until_it_is_encrypted(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "g.db") as gallery:
        fill(gallery)
    with pytest.raises(KeyRefused, match="rtface gallery encrypt"):
        gallery_at(tmp_path / "g.db", key=KEY)
    with gallery_at(tmp_path / "g.db") as gallery:
        assert_whole(gallery)


def test_empty_gallery_becomes_the_key_s(tmp_path: Path) -> None:
    gallery_at(tmp_path / "g.db").close()
    with gallery_at(tmp_path / "g.db", key=KEY) as gallery:
        fill(gallery)
    with pytest.raises(KeyRefused):
        gallery_at(tmp_path / "g.db")


def test_rows_that_changed_places_are_told_and_give_nobody_another_name(path: Path) -> None:
    swap = "UPDATE embeddings SET vector = (SELECT vector FROM other WHERE picture_id = {}) WHERE picture_id = {}"
    change(path, "CREATE TABLE other AS SELECT * FROM embeddings", swap.format(7, 1), swap.format(1, 7))
    change(path, "DROP TABLE other")
    with gallery_at(path, key=KEY) as gallery:
        assert gallery.check() == [
            f"{name}: the embedding of row {row} was not sealed for this row; remove and enrol again"
            for name, row in (("Ada", 1), ("Bob", 7))
        ]
        with pytest.raises(GalleryBroken, match="rtface gallery check says where"):
            gallery.search(units(1, 1), 1)


def test_faces_that_changed_places_are_told(path: Path) -> None:
    change(path, "UPDATE crops SET jpeg = (SELECT jpeg FROM crops WHERE picture_id = 7) WHERE picture_id = 1")
    with gallery_at(path, key=KEY) as gallery, pytest.raises(GalleryBroken, match="not sealed for its picture"):
        crops_of(gallery.database, "Ada")


def test_row_of_another_gallery_with_the_same_key_is_told(path: Path, tmp_path: Path) -> None:
    with gallery_at(tmp_path / "other" / "g.db", key=KEY) as gallery:
        fill(gallery)
    change(
        path,
        f"ATTACH '{tmp_path / 'other' / 'g.db'}' AS other",
        "UPDATE embeddings SET vector = (SELECT vector FROM other.embeddings WHERE picture_id = 2) "
        "WHERE picture_id = 2",
    )
    with gallery_at(path, key=KEY) as gallery:
        assert "row 2 was not sealed for this row" in gallery.check()[0]


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Path]:
    """A gallery in the clear, with a saved index."""
    with gallery_at(tmp_path / "g.db", index="hnsw") as gallery:
        fill(gallery)
        gallery.search(units(1, 1), 1)
    yield tmp_path / "g.db"


def test_gallery_is_encrypted_gets_another_key_and_is_decrypted(keys: Path) -> None:
    assert open_values(keys) > 0
    for before, after in ((None, KEY), (KEY, OTHER), (OTHER, None)):
        sealed = [row for (row,) in closing_rows(keys, "SELECT vector FROM embeddings")]
        assert rekeyed(keys, before, after) == 12
        data = bytes_on_disk(keys)
        assert not [value for value in sealed if value in data], "what was sealed with the key of before is still there"
        assert (open_values(keys) == 0) is (after is not None)
        with pytest.raises(KeyRefused):
            gallery_at(keys, key=before)
        with gallery_at(keys, index="hnsw", key=after) as gallery:
            assert_whole(gallery)
    assert open_values(keys) > 0


def closing_rows(path: Path, query: str) -> list[tuple[bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_damaged_row_leaves_the_gallery_under_the_key_it_had(path: Path) -> None:
    change(path, "UPDATE embeddings SET vector = zeroblob(156) WHERE picture_id = 9")
    with pytest.raises(GalleryBroken, match="rtface gallery check says where"):
        rekeyed(path, KEY, OTHER)
    with gallery_at(path, key=KEY) as gallery:
        gallery.remove("Bob")
        assert gallery.check() == []
        assert crops_of(gallery.database, "Ada")["Ada-0"] == crop("Ada", 0)


def test_program_that_has_the_gallery_open_stops_when_its_key_changes(path: Path) -> None:
    with gallery_at(path, index="hnsw", key=KEY) as running:
        running.search(units(1, 1), 1)
        rekeyed(path, KEY, OTHER)
        for act in (running.refresh, running.check, lambda: running.remove("Ada"), lambda: fill(running)):
            with pytest.raises(KeyRefused, match=r"key was changed.*start again"):
                act()
    with gallery_at(path, index="hnsw", key=OTHER) as gallery:
        assert_whole(gallery)


def test_program_that_opened_it_in_the_clear_writes_nothing_open_once_it_is_encrypted(keys: Path) -> None:
    with gallery_at(keys, index="hnsw") as running:
        running.search(units(1, 1), 1)
        rekeyed(keys, None, KEY)
        with pytest.raises(KeyRefused, match="was encrypted"):
            running.add("Cyd", units(3, 1)[0], sha256="c", file="x", quality=0.5)
    assert open_values(keys) == 0


def test_erasure_of_the_open_rows_that_a_reader_holds_up_is_finished_later(keys: Path) -> None:
    with closing(sqlite3.connect(keys, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        with pytest.raises(GalleryUnavailable, match="traces of what was removed"):
            rekeyed(keys, None, KEY)
    with gallery_at(keys, key=KEY) as gallery:
        assert_whole(gallery)
    assert open_values(keys) == 0


def test_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'rtface\[encryption\]'"):
        gallery_at(tmp_path / "g.db", key=KEY)
