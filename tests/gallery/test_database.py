import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryBroken, GalleryError, GalleryMismatch, GalleryUnavailable, RtfaceError
from rtface.gallery import schema, sqlite
from rtface.gallery.sqlite_errors import explained
from tests.gallery.samples import enroll, gallery_at, units


@contextmanager
def another_program(path: Path, *statements: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A gallery with two people."""
    file = tmp_path / "my gallery #1 100% 김.db"
    with gallery_at(file) as gallery:
        enroll(gallery, "Ada", units(1, 6))
        enroll(gallery, "Bob", units(2, 6))
    return file


def test_missing_gallery_says_where_and_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(GalleryUnavailable, match=r"no gallery .*none\.db: rtface enroll NAME DIR"):
        gallery_at(tmp_path / "none.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_gallery_is_made_with_its_folders(tmp_path: Path) -> None:
    gallery_at(tmp_path / "a" / "b" / "g.db").close()
    assert (tmp_path / "a" / "b" / "g.db").is_file()


def test_only_the_owner_can_read_a_gallery(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "g.db") as gallery:
        enroll(gallery, "Ada", units(1, 1))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_gallery_nobody_was_enrolled_in_is_no_gallery_yet(tmp_path: Path) -> None:
    (tmp_path / "g.db").touch()
    with pytest.raises(GalleryUnavailable, match="empty: rtface enroll"):
        gallery_at(tmp_path / "g.db", create=False)
    gallery_at(tmp_path / "g.db").close()
    assert gallery_at(tmp_path / "g.db", create=False).people() == []


def test_gallery_of_another_model_names_both_and_the_commands_that_help(path: Path) -> None:
    with pytest.raises(GalleryMismatch, match=r"facenet, not sface.*--set embedder=facenet.*--set gallery=FILE"):
        gallery_at(path, model="sface", fingerprint="99", size=16)
    with pytest.raises(GalleryMismatch, match=r"other weights of the model facenet \(1f2e, now 99\)"):
        gallery_at(path, fingerprint="99")


def test_empty_gallery_becomes_the_model_s(tmp_path: Path) -> None:
    file = tmp_path / "g.db"
    gallery_at(file).close()
    with gallery_at(file, model="sface", fingerprint="99", size=16) as gallery:
        enroll(gallery, "Ada", units(1, 1, 16))
        gallery.remove("Ada")
    with gallery_at(file) as gallery:
        enroll(gallery, "Ada", units(1, 1))
        assert gallery.check() == []


def test_two_models_that_meet_in_an_empty_gallery_do_not_mix(tmp_path: Path) -> None:
    with (
        gallery_at(tmp_path / "g.db") as facenet,
        gallery_at(tmp_path / "g.db", model="sface", fingerprint="9") as sface,
    ):
        enroll(facenet, "Ada", units(1, 1))
        with pytest.raises(GalleryMismatch):
            enroll(sface, "Bob", units(2, 1))
        with pytest.raises(GalleryMismatch):
            sface.refresh()
        assert facenet.counts() == {"Ada": 1}


def test_folder_is_not_a_gallery(tmp_path: Path) -> None:
    with pytest.raises(GalleryUnavailable, match="not a file"):
        gallery_at(tmp_path)


def test_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GalleryUnavailable, match="cannot be opened"):
        gallery_at(tmp_path / "file" / "g.db")


@pytest.mark.parametrize(
    "content", [b"hello, this is text\n" * 400, b"\x00" * 9000, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_file_that_is_no_database_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.db").write_bytes(content)
    with pytest.raises(GalleryBroken, match=r"g\.db is not a gallery, or it is damaged"):
        gallery_at(tmp_path / "g.db")
    assert (tmp_path / "g.db").read_bytes() == content


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with another_program(tmp_path / "g.db", "CREATE TABLE songs (title)", "INSERT INTO songs VALUES ('x')"):
        pass
    with pytest.raises(GalleryBroken, match="not a gallery"):
        gallery_at(tmp_path / "g.db")
    with another_program(tmp_path / "g.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_gallery_of_a_newer_version_says_to_upgrade(path: Path) -> None:
    with another_program(path, f"PRAGMA user_version = {schema.VERSION + 1}"):
        pass
    with pytest.raises(GalleryBroken, match=r"newer rtface .*pip install --upgrade"):
        gallery_at(path)


def test_truncated_gallery_never_answers_wrongly(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for length in range(100, len(data), 4096):
        assert_told_or_right(tmp_path / f"cut{length}.db", data[:length])


def test_damaged_gallery_never_answers_wrongly(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 150):
        damaged = bytearray(data)
        damaged[place : place + 8] = rng.bytes(8)
        assert_told_or_right(tmp_path / f"{place}.db", bytes(damaged))


def assert_told_or_right(file: Path, data: bytes) -> None:
    """Whatever is wrong with the file ends in one of our errors, a problem found by the check, or the right answer.

    A damaged name or date is still a name or date, so only the rows are compared.
    """
    file.write_bytes(data)
    rows = np.concatenate([units(1, 6), units(2, 6)])
    try:
        with gallery_at(file, create=False) as gallery:
            problems = gallery.check()
            found = gallery.search(rows, 1)
            gallery.people()
            gallery.refresh()
    except GalleryError:
        return
    right = len(found) == 12 and all(near and near[0].distance < 1e-2 for near in found)
    assert right or problems, "a damaged gallery answered as if nothing were wrong"


def test_row_that_is_no_unit_vector_is_told(path: Path) -> None:
    with another_program(path, "UPDATE embeddings SET vector = zeroblob(128) WHERE picture_id = 3"):
        pass
    with gallery_at(path) as gallery:
        assert gallery.check() == ["Ada: the embedding of row 3 is not a unit vector; remove and enrol again"]
        with pytest.raises(GalleryBroken, match="not a unit vector"):
            gallery.search(units(1, 1), 1)
        gallery.remove("Ada")
        assert gallery.check() == []
        assert gallery.search(units(2, 1), 1)[0][0].person == "Bob"


def test_locked_gallery_is_told(path: Path) -> None:
    with (
        another_program(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "UPDATE meta SET revision = 99"),
        pytest.raises(GalleryUnavailable, match="locked by another program"),
    ):
        gallery_at(path)


def test_gallery_being_written_can_be_read_and_written_afterwards(path: Path) -> None:
    with gallery_at(path) as gallery:
        with another_program(path, "BEGIN IMMEDIATE") as writer:
            assert gallery.search(units(2, 1), 1)[0][0].person == "Bob"
            with pytest.raises(GalleryUnavailable, match="locked"):
                enroll(gallery, "Cyd", units(3, 1))
            writer.execute("ROLLBACK")
        assert gallery.counts() == {"Ada": 6, "Bob": 6}
        enroll(gallery, "Cyd", units(3, 1))
        assert gallery.counts()["Cyd"] == 1


def deny_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user without the right; the tests may run as root, whom no right stops."""
    really = os.access
    monkeypatch.setattr(os, "access", lambda file, mode: mode != os.W_OK and really(file, mode))


def test_read_only_gallery_can_be_searched_but_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_writing(monkeypatch)
    before = sorted(path.parent.iterdir())
    with gallery_at(path, index="hnsw") as gallery:
        assert gallery.search(units(2, 1), 1)[0][0].person == "Bob"
        assert gallery.check() == []
        assert not gallery.refresh()
        with pytest.raises(GalleryUnavailable, match="only be read here"):
            enroll(gallery, "Cyd", units(3, 1))
        with pytest.raises(GalleryUnavailable, match="only be read here"):
            gallery.remove("Bob")
        with pytest.raises(GalleryUnavailable, match="only be read here"):
            gallery.rename("Bob", "B")
    assert sorted(path.parent.iterdir()) == before


def test_read_only_gallery_sees_what_another_program_has_just_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gallery_at(path) as writer:
        enroll(writer, "Cyd", units(3, 1))
        with monkeypatch.context() as patched:
            deny_writing(patched)
            with gallery_at(path) as reader:
                assert reader.search(units(3, 1), 1)[0][0].person == "Cyd"


def test_full_disk_is_told_and_nothing_is_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = path.stat().st_size // sqlite.PAGE_BYTES
    connect = sqlite3.connect

    def small(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", small)
        with gallery_at(path) as gallery:
            with pytest.raises(GalleryUnavailable, match="No room"):
                enroll(gallery, "Cyd", units(3, 500))
            kept = gallery.counts()["Cyd"]
            assert 0 < kept < 500
            assert gallery.search(units(3, kept)[-1:], 1)[0][0].person == "Cyd"
            gallery.refresh()
    with gallery_at(path) as gallery:
        assert gallery.counts() == {"Ada": 6, "Bob": 6, "Cyd": kept}
        assert gallery.check() == []
        enroll(gallery, "Cyd", units(3, 500))
        assert gallery.counts()["Cyd"] == 500


def test_path_that_is_no_text_is_kept_as_well_as_it_goes(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "g.db") as gallery:
        gallery.add("Ada", units(1, 1)[0], sha256="x", file=os.fsdecode(b"/p/\xff.jpg"), quality=1.0)
        assert gallery.pictures("Ada")[0].file == "/p/\ufffd.jpg"


def test_every_error_is_one_of_ours() -> None:
    for code in range(27):
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        with pytest.raises(RtfaceError), explained(Path("g.db")):
            raise error
