"""Folders of photos on the command line: index, find, cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.calls import Rtface


@pytest.fixture(scope="module")
def photos(ada: Path, group: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada twice, in a folder of hers, and a group without her."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "ada").mkdir()
    shutil.copy(ada, folder / "ada" / "one.jpg")
    with Image.open(ada) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((400, 400)).save(folder / "ada" / "two.png")
    shutil.copy(group, folder / "group.jpg")
    return folder


@pytest.fixture
def index(tmp_path: Path) -> tuple[str, Path]:
    return "--index", tmp_path / "photos.db"


def test_index_reads_photos_once(rtface: Rtface, models: None, photos: Path, index: tuple[str, Path]) -> None:
    first = rtface("index", photos, *index, "--json")
    assert first.code == 0
    assert first.records == [{"read": 3, "known": 0, "gone": 0, "faults": 0, "faces": 8, "index": str(index[1])}]
    assert rtface("index", photos, *index, "--json").records[0]["read"] == 0
    assert not rtface.gallery.exists()


def test_photo_that_cannot_be_read_is_told(rtface: Rtface, models: None, ada: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    shutil.copy(ada, folder / "ada.jpg")
    (folder / "broken.jpg").write_bytes(ada.read_bytes()[:2000])
    ended = rtface("index", folder, "--index", tmp_path / "i.db")
    assert ended.code == 1
    assert "broken.jpg" in ended.err
    assert "1 faces in 1 photos" in ended.err


def test_find_by_name(knowing: Rtface, photos: Path, index: tuple[str, Path], tmp_path: Path) -> None:
    ended = knowing(
        "find", "Ada", photos, *index, "--json", "--links", tmp_path / "links", "--sheet", tmp_path / "s.png"
    )
    assert ended.code == 0
    assert {record["photo"] for record in ended.records} == {
        str(photos / "ada" / name) for name in ("one.jpg", "two.png")
    }
    assert [record["distance"] for record in ended.records] == sorted(record["distance"] for record in ended.records)  # type: ignore[type-var]
    assert sorted(link.name for link in (tmp_path / "links" / "Ada").iterdir()) == ["one.jpg", "two.png"]
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size[0] > 300
    again = knowing("find", "Ada", photos, *index, "--links", tmp_path / "links")
    assert "0 links made" in again.err


def test_find_by_picture(rtface: Rtface, models: None, photos: Path, ada: Path, index: tuple[str, Path]) -> None:
    ended = rtface("find", ada, photos, *index)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"0.000\t{photos / 'ada' / 'one.jpg'}"
    assert len(lines) == 2
    assert "2 photos of 3 that show faces." in ended.err


def test_nobody_of_that_name(knowing: Rtface, rtface: Rtface, photos: Path, index: tuple[str, Path]) -> None:
    ended = knowing("find", "Bob", photos, *index)
    assert ended.code == 1
    assert "Bob" in ended.err


def test_name_without_a_gallery(rtface: Rtface, photos: Path, index: tuple[str, Path]) -> None:
    ended = rtface("find", "Ada", photos, *index)
    assert ended.code == 1
    assert "'Ada' is no picture, and nobody is enrolled: rtface enroll 'Ada' DIR" in ended.err


def test_cluster_tells_the_people(
    rtface: Rtface, models: None, photos: Path, index: tuple[str, Path], tmp_path: Path
) -> None:
    ended = rtface("cluster", photos, *index, "--json", "--links", tmp_path / "people", "--sheet", tmp_path / "all.jpg")
    assert ended.code == 0
    (ada,) = ended.records
    assert ada["person"] == "person-0001"
    assert {face["photo"] for face in ada["faces"]} == {  # type: ignore[attr-defined]
        str(photos / "ada" / name) for name in ("one.jpg", "two.png")
    }
    assert "8 faces: 1 people, 6 faces in groups of fewer than 2." in ended.err
    assert len(list((tmp_path / "people" / "person-0001").iterdir())) == 2
    everybody = rtface("cluster", photos, *index, "--min-faces", "1")
    assert len(everybody.out.splitlines()) == 7


def test_cluster_agrees_with_folders(rtface: Rtface, models: None, photos: Path, index: tuple[str, Path]) -> None:
    ended = rtface("cluster", photos / "ada", *index, "--truth", "--json", "--method", "average")
    assert ended.records[-1]["faces"] == 2
    assert "bcubed: precision" in ended.err


@pytest.mark.parametrize("method", ["kmeans"])
def test_kmeans_wants_a_number(
    rtface: Rtface, models: None, photos: Path, index: tuple[str, Path], method: str
) -> None:
    ended = rtface("cluster", photos, *index, "--method", method)
    assert ended.code == 1
    assert "--people N" in ended.err
    assert len(rtface("cluster", photos, *index, "--method", method, "--people", "7").out.splitlines()) >= 1


def test_sheet_has_to_be_a_picture(rtface: Rtface, models: None, photos: Path, index: tuple[str, Path]) -> None:
    ended = rtface("cluster", photos, *index, "--sheet", "people.txt")
    assert ended.code == 2
    assert "people.txt is no .jpg or .png" in ended.err
