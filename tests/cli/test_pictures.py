"""``identify``, ``verify`` and ``enroll`` on pictures of every kind, and on what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.cli.calls import Rtface

SIDE = 20_000


@pytest.fixture(scope="module")
def readable(ada: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ada's picture in other colours, depths and ways up."""
    folder = tmp_path_factory.mktemp("readable")
    plain = Image.open(ada)
    grey = np.asarray(plain.convert("L")).astype(np.uint16) * 257
    plain.convert("L").save(folder / "grey.jpg")
    Image.fromarray(grey).save(folder / "grey16.png")
    cv2.imwrite(str(folder / "colour16.png"), np.asarray(plain)[:, :, ::-1].astype(np.uint16) * 257)
    see_through = plain.convert("RGBA")
    see_through.putalpha(220)
    see_through.save(folder / "rgba.png")
    plain.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    plain.convert("P").save(folder / "palette.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=turned, quality=95)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def unreadable(ada: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """What cannot be read, with what is said of it."""
    folder = tmp_path_factory.mktemp("unreadable")
    data = ada.read_bytes()
    (folder / "empty.jpg").touch()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "head.jpg").write_bytes(data[:50])
    (folder / "text.jpg").write_text("not a picture\n" * 50)
    Image.new("1", (SIDE, SIDE)).save(folder / "huge.png", compress_level=1)
    told = {
        "missing.jpg": "does not exist",
        "empty.jpg": "is empty (0 bytes)",
        "cut.jpg": "cut off",
        "head.jpg": "cut off",
        "text.jpg": "is not a picture",
        "huge.png": "400 megapixels; at most 100",
        "x" * 300: "File name too long",
    }
    return {name: (folder / name, words) for name, words in told.items()} | {"folder": (folder, "is a folder")}


def test_identify_prints_the_keys_others_script_against(knowing: Rtface, ada: Path, group: Path) -> None:
    first, second = knowing("identify", "--distances", ada, group).records
    assert (first["picture"], second["picture"]) == (str(ada), str(group))
    (face,) = faces(first)
    assert set(face) == {"box", "score", "quality", "person", "distance", "share", "neighbors"}
    left, top, right, bottom = face["box"]
    assert 0 < left < right < 512
    assert 0 < top < bottom < 512
    assert 0 < face["score"] <= 1
    assert (face["person"], face["share"]) == ("Ada", 1.0)
    assert face["distance"] == pytest.approx(0, abs=1e-3)
    assert face["neighbors"] == [{"person": "Ada", "distance": face["distance"]}]
    strangers = faces(second)
    assert len(strangers) == 6
    for stranger in strangers:
        assert stranger["person"] is None
        assert stranger["neighbors"][0]["person"] == "Ada"  # the nearest is told, near or not
    assert "neighbors" not in faces(knowing("identify", ada).records[0])[0]


def faces(record: dict[str, object]) -> list[dict[str, Any]]:
    found = record["faces"]
    assert isinstance(found, list)
    return found


def test_neighbours_come_nearest_first(knowing: Rtface, readable: dict[str, Path], ada: Path) -> None:
    assert knowing("enroll", "Ada", readable["palette.png"], readable["grey.jpg"]).code == 0
    (face,) = faces(knowing("identify", "--distances", ada).records[0])
    distances = [neighbor["distance"] for neighbor in face["neighbors"]]
    assert len(distances) == 3
    assert distances == sorted(distances)


def test_every_kind_of_picture_shows_the_same_person(knowing: Rtface, readable: dict[str, Path]) -> None:
    ended = knowing("identify", *readable.values())
    assert ended.code == 0
    assert {str(record["picture"]): faces(record)[0]["person"] for record in ended.records} == {
        str(path): "Ada" for path in readable.values()
    }


def test_no_face_is_no_error(knowing: Rtface, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "one.jpg")
    Image.new("L", (SIDE, SIDE), 128).save(tmp_path / "huge.jpg", quality=20)  # a JPEG is read at a part of its size
    ended = knowing("identify", *sorted(tmp_path.glob("*.[jp]*")))
    assert ended.code == 0
    assert [record["faces"] for record in ended.records] == [[], [], []]


def test_bad_pictures_are_told_and_the_others_reported(
    knowing: Rtface, ada: Path, unreadable: dict[str, tuple[Path, str]]
) -> None:
    ended = knowing("identify", *(path for path, _ in unreadable.values()), ada)
    assert ended.code == 1
    assert [record["picture"] for record in ended.records] == [str(ada)]
    sentences = ended.err.splitlines()
    assert len(sentences) == len(unreadable)
    for (path, words), sentence in zip(unreadable.values(), sentences, strict=True):
        assert sentence.startswith(f"rtface: {path} ")
        assert words in sentence


def test_verify_names_the_bad_one_of_two(
    rtface: Rtface, models: None, ada: Path, unreadable: dict[str, tuple[Path, str]]
) -> None:
    for name, (path, words) in unreadable.items():
        ended = rtface("verify", ada, path)
        assert (ended.code, ended.out) == (1, "")
        if name == "folder":  # of pictures, and there is none in it
            assert f"No face was found in {path}" in ended.err
        else:
            assert ended.err.startswith(f"rtface: {path} ")
            assert words in ended.err


def test_verify_answers_in_one_line(
    rtface: Rtface, models: None, ada: Path, readable: dict[str, Path], group: Path
) -> None:
    (same,) = rtface("verify", ada, readable["turned.jpg"]).records
    (other,) = rtface("verify", ada, group).records
    for answer in (same, other):
        assert set(answer) == {"same", "distance", "threshold", "probability"}
        assert same["threshold"] == answer["threshold"]
    assert (same["same"], other["same"]) == (True, False)
    assert other["probability"] < 0.5 < 0.99 < same["probability"]  # type: ignore[operator]
    assert not rtface.gallery.exists()


def test_verify_takes_folders_and_videos(
    rtface: Rtface, models: None, ada: Path, group: Path, film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ada"
    folder.mkdir()
    with Image.open(ada) as picture:
        picture.save(folder / "1.jpg")
        picture.resize((300, 300)).save(folder / "2.png")
    (same,) = rtface("verify", folder, ada).records
    assert same["same"]
    assert 0 < same["distance"] < 0.5  # type: ignore[operator]
    (stranger,) = rtface("verify", folder, film).records
    assert not stranger["same"]
    assert stranger["probability"] < 0.1  # type: ignore[operator]
    (itself,) = rtface("verify", film, film).records
    assert itself["same"]


def test_verify_of_what_is_not_there(rtface: Rtface, models: None, ada: Path, tmp_path: Path) -> None:
    ended = rtface("verify", ada, tmp_path / "nothing.mp4")
    assert (ended.code, ended.out) == (1, "")
    assert "nothing.mp4 is not there" in ended.err


def test_verify_needs_a_face_in_both(rtface: Rtface, models: None, ada: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "black.png")
    ended = rtface("verify", tmp_path / "black.png", ada)
    assert ended.code == 1
    assert "No face was found" in ended.err
    assert "black.png" in ended.err


def test_enroll_gives_a_reason_for_every_refusal(
    rtface: Rtface, models: None, ada: Path, group: Path, unreadable: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    bad = [path for name, (path, _) in unreadable.items() if name != "folder"]
    ended = rtface("enroll", "Ada", "--json", *bad, tmp_path / "one.png", group, ada, ada)
    assert ended.code == 0
    reasons = {}
    for record in ended.records[:-1]:
        assert set(record) == {"picture", "accepted", "reason", "quality"}
        assert record["accepted"] is (record["picture"] == str(ada))
        reasons[record["picture"]] = str(record["reason"])
    for name, (path, words) in unreadable.items():
        assert name == "folder" or words in reasons[str(path)]
    assert reasons[str(tmp_path / "one.png")] == "no face"
    assert reasons[str(group)] == "6 faces, none of them clearly the largest"
    assert ended.records[-1]["reason"] == "this picture is already enrolled for Ada"
    assert f"Ada: 1 enrolled, {len(bad) + 3} refused." in ended.err


def test_not_one_good_picture_is_a_failure(rtface: Rtface, models: None, group: Path, tmp_path: Path) -> None:
    assert rtface("enroll", "Ada", group).code == 1
    assert "Ada: 0 enrolled, 1 refused." in rtface("enroll", "Ada", group).err
    (tmp_path / "nothing").mkdir()
    ended = rtface("enroll", "Ada", tmp_path / "nothing")
    assert ended.code == 1
    assert "There is no picture in" in ended.err


def test_a_file_name_that_is_no_text_is_still_json(knowing: Rtface, ada: Path, tmp_path: Path) -> None:
    odd = Path(f"{tmp_path}/ada\udcff[red].jpg")
    odd.write_bytes(ada.read_bytes())
    ended = knowing.apart("identify", odd, environment={"PYTHONIOENCODING": "latin-1"})
    assert json.loads(ended.out)["picture"] == str(odd)
    told = knowing.apart("enroll", "Ada", odd, environment={"COLUMNS": "500"})
    assert told.code == 0
    assert "[red]" in told.err  # a name is not taken for rich's markup
