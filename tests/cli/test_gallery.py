"""``enroll`` and ``gallery``: names, two processes at once, galleries that are missing, foreign, locked or broken."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from rtface.gallery.store import open_gallery
from tests.cli.calls import Rtface


def test_list_and_show_print_people_with_their_pictures(knowing: Rtface, ada: Path) -> None:
    (listed,) = knowing("gallery", "list", "--json").records
    (shown,) = knowing("gallery", "show", "Ada", "--json").records
    assert listed == shown
    assert listed["name"] == "Ada"
    pictures = listed["pictures"]
    assert isinstance(pictures, list)
    assert set(pictures[0]) == {
        *("file", "added_at", "quality", "sha256", "against", "origin", "detector", "embedder", "mapped_from"),
        *("box", "revision"),
    }
    assert pictures[0]["file"] == str(ada)
    assert (pictures[0]["origin"], pictures[0]["detector"]) == ("picture", "yunet")
    left, top, right, bottom = pictures[0]["box"]
    assert 150 < left < right < 320, "the astronaut's face, 512 px wide picture"
    assert 40 < top < bottom < 250
    assert knowing("gallery", "list").out == "Ada\t1\n"
    assert str(ada) in knowing("gallery", "show", "Ada").out


def test_rename_and_remove_do_what_they_say(knowing: Rtface) -> None:
    assert knowing("gallery", "rename", "Ada", "김민수").code == 0
    assert knowing("gallery", "list").out == "김민수\t1\n"
    assert knowing("gallery", "check").code == 0
    assert knowing("gallery", "remove", "김민수").code == 0
    ended = knowing("gallery", "list", "--json")
    assert (ended.code, ended.out) == (0, "")
    assert "Nobody is enrolled. Add somebody: rtface enroll" in ended.err


@pytest.mark.parametrize("verb", ["show", "remove"])
def test_unknown_person_gets_a_suggestion(knowing: Rtface, verb: str) -> None:
    ended = knowing("gallery", verb, "ada")
    assert ended.code == 1
    assert "Nobody called 'ada' is enrolled. Did you mean 'Ada'?" in ended.err
    assert knowing("gallery", "list").out == "Ada\t1\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "visible character"),
        ("   ", "visible character"),
        ("a/b", "slashes"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("x" * 300, "300 characters"),
        ("..", "folder"),
        ("-x", "option"),
        ("\udcff", "visible character"),
    ],
)
def test_impossible_name_is_told_before_anything_is_done(
    knowing: Rtface, ada: Path, tmp_path: Path, name: str, told: str
) -> None:
    for words in (("enroll", "--", name, ada), ("gallery", "rename", "--", "Ada", name)):
        ended = knowing(*words)
        assert (ended.code, ended.out) == (1, "")
        assert "Nobody can be called" in ended.err
        assert told in ended.err
    assert knowing("gallery", "list").out == "Ada\t1\n"
    assert knowing("enroll", "--", name, ada, gallery=tmp_path / "new.db").code == 1
    assert not (tmp_path / "new.db").exists()


def test_the_same_picture_again_is_no_failure_under_its_own_name_only(knowing: Rtface, ada: Path) -> None:
    again, other = knowing("enroll", "Ada", ada, "--json"), knowing("enroll", "Grace", ada, "--json")
    assert (again.code, other.code) == (0, 1)
    assert again.records == other.records
    assert again.records[0]["reason"] == "this picture is already enrolled for Ada"


def test_counter_example_takes_a_name_away_from_who_looks_like_it(knowing: Rtface, ada: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.open(ada).rotate(3, resample=Image.Resampling.BILINEAR).save(tmp_path / "twin.png")
    assert '"person": "Ada"' in knowing("identify", tmp_path / "twin.png").out
    told = knowing("enroll", "Ada", tmp_path / "twin.png", "--not", "--json")
    assert told.code == 0
    assert told.records[0]["reason"] == "counter-example"
    assert "Ada: 1 kept as counter-examples, 0 refused." in told.err
    assert '"person": null' in knowing("identify", tmp_path / "twin.png").out
    nobody = knowing("enroll", "ada", tmp_path / "twin.png", "--not")
    assert (nobody.code, "Did you mean 'Ada'?" in nobody.err) == (1, True)


def test_twin_is_enrolled_when_that_is_meant(knowing: Rtface, ada: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.open(ada).rotate(3, resample=Image.Resampling.BILINEAR).save(tmp_path / "twin.png")
    refused = knowing("enroll", "Eve", tmp_path / "twin.png", "--json")
    assert refused.code == 1
    assert "looks like Ada, who is already enrolled" in str(refused.records[0]["reason"])
    assert knowing("enroll", "Eve", tmp_path / "twin.png", "--look-alike").code == 0
    assert knowing("gallery", "list").out == "Ada\t1\nEve\t1\n"


def test_the_same_name_from_two_processes_at_once_is_one_person(
    rtface: Rtface, models: None, ada: Path, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for turn in range(4):
        Image.open(ada).rotate(turn, resample=Image.Resampling.BILINEAR).save(folder / f"{turn}.png")
    both = [rtface.spawn("enroll", "Ada", folder, "--json") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
    assert rtface("gallery", "list").out == "Ada\t4\n"
    assert rtface("gallery", "check").code == 0


@pytest.mark.parametrize("verb", [("list",), ("list", "--json"), ("show", "Ada"), ("remove", "Ada"), ("check",)])
def test_missing_gallery_is_told_and_not_made(rtface: Rtface, verb: tuple[str, ...]) -> None:
    ended = rtface("gallery", *verb)
    assert (ended.code, ended.out) == (1, "")
    assert f"There is no gallery {rtface.gallery}: rtface enroll NAME DIR makes it." in ended.err
    assert not rtface.gallery.exists()


def test_identify_without_a_gallery_finds_faces_says_why_they_have_no_names_and_fails(
    rtface: Rtface, models: None, ada: Path
) -> None:
    ended = rtface("identify", ada)
    assert ended.code == 1
    assert f"There is no gallery {rtface.gallery}, so nobody has a name" in ended.err
    faces = ended.records[0]["faces"]
    assert isinstance(faces, list)
    assert [face["person"] for face in faces] == [None]
    assert not rtface.gallery.exists()


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _torn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:10_000])


def _text(path: Path) -> None:
    path.write_text("not a gallery\n" * 100)


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_newer, "newer rtface"),
        (_torn, "damaged"),
        (_text, "not a gallery"),
        (_foreign, "is a database, but not a gallery"),
    ],
)
def test_spoilt_gallery_is_told_and_left_as_it_is(knowing: Rtface, ada: Path, spoil: object, told: str) -> None:
    assert callable(spoil)
    spoil(knowing.gallery)
    before = knowing.gallery.read_bytes()
    for words in (("gallery", "list"), ("gallery", "check"), ("identify", ada), ("enroll", "Grace", ada)):
        ended = knowing(*words)
        assert (ended.code, ended.out) == (1, ""), words
        assert str(knowing.gallery) in ended.err
        assert told in ended.err
    assert knowing.gallery.read_bytes() == before
    (report,) = knowing("doctor", "--json").records
    assert report["ok"] is False


def test_gallery_of_another_model_is_refused_with_both_ways_out(knowing: Rtface) -> None:
    ended = knowing("gallery", "list", "--set", "embedder=sface")
    assert ended.code == 1
    assert "made with the model facenet, not sface" in ended.err
    assert "--set embedder=facenet" in ended.err
    assert "--set gallery=FILE" in ended.err


def test_locked_gallery_is_told_and_nothing_lost(knowing: Rtface, ada: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = open_gallery.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", 0.1)
    other = sqlite3.connect(knowing.gallery, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        ended = knowing("gallery", "remove", "Ada")
    finally:
        other.close()
    assert ended.code == 1
    assert f"The gallery {knowing.gallery} is locked by another program" in ended.err
    assert knowing("gallery", "list").out == "Ada\t1\n"


def test_spoilt_index_is_built_again_without_a_word(knowing: Rtface, ada: Path) -> None:
    hnsw = ("--set", "index=hnsw")
    assert knowing("identify", ada, *hnsw).code == 0
    cache = knowing.gallery.with_name(knowing.gallery.name + ".hnsw")
    assert cache.exists()
    cache.write_bytes(b"spoilt")
    ended = knowing("identify", ada, *hnsw)
    assert ended.code == 0
    assert '"person": "Ada"' in ended.out
    assert knowing("gallery", "check", *hnsw).code == 0


@pytest.mark.parametrize("place", ["folder", "under a file"])
def test_gallery_that_cannot_be_one_is_told(
    rtface: Rtface, models: None, ada: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    gallery = tmp_path if place == "folder" else tmp_path / "file" / "g.db"
    ended = rtface("enroll", "Ada", ada, gallery=gallery)
    assert ended.code == 1
    assert f"The gallery {gallery}" in ended.err


def test_read_only_gallery_can_be_asked_but_not_changed(
    knowing: Rtface, ada: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the right is taken away where it is asked for.
    monkeypatch.setattr("rtface.gallery.sqlite.os.access", lambda *_: False)
    assert '"person": "Ada"' in knowing("identify", ada).out
    for words in (
        ("gallery", "remove", "Ada"),
        ("enroll", "Grace", shutil.copy(ada, knowing.gallery.with_name("b.jpg"))),
    ):
        ended = knowing(*words)
        assert ended.code == 1
    assert knowing("gallery", "list").out == "Ada\t1\n"
