"""``rtface run`` on files: its lines, its recording, and sources and places that will not do."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.sources._capture import settle_opencv
from tests.cli.calls import Rtface

RESULT = {"source", "index", "at", "tracks", "timings", "dropped"}
TRACK = {"id", "state", "box", "person", "distance", "share"}
EVENT = {"kind", "at", "source", "track", "person", "distance", "share", "backend", "model"}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def frames(path: Path) -> int:
    settle_opencv()
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def test_every_frame_has_a_line_and_a_picture(rtface: Rtface, models: None, film: Path, tmp_path: Path) -> None:
    results, events, record = tmp_path / "r.jsonl", tmp_path / "e.jsonl", tmp_path / "o.mp4"
    words = ("--results", results, "--events", events, "--record", record)
    ended = rtface("run", "--source", film, "--no-window", *words)
    assert (ended.code, ended.out) == (0, "")
    assert "40 frames" in ended.err
    assert f"There is no gallery {rtface.gallery} yet" in ended.err
    told = lines(results)
    assert [line["index"] for line in told] == list(range(40))
    for line in told:
        assert set(line) == RESULT
        assert isinstance(line["tracks"], list)
        assert all(set(track) == TRACK for track in line["tracks"])
    assert len(lines(events)) >= 6
    for line in lines(events):
        assert set(line) >= EVENT
        assert line["person"] is None  # nobody is enrolled
    assert {line["kind"] for line in lines(events)} == {"appeared", "left"}
    assert frames(record) == 40


def test_the_same_file_twice_differs_in_timings_only(rtface: Rtface, models: None, film: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        results, events = tmp_path / f"{name}.results", tmp_path / f"{name}.events"
        assert rtface("run", "--source", film, "--no-window", "--results", results, "--events", events).code == 0
        told = lines(results)
        for line in told:
            line.pop("timings")
        happened = lines(events)
        assert len({event.pop("id") for event in happened}) == len(happened), "an id is of one event of one run"
        runs.append((json.dumps(told), json.dumps(happened)))
    assert runs[0] == runs[1]


def test_standard_output_is_json_only_even_with_the_demonstration(
    rtface: Rtface, models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = rtface("run", "--source", "demo", "--max-frames", "20", "--results", "-", "--events", "-")
    assert ended.code == 0
    assert sum(set(record) == RESULT for record in ended.records) == 20
    assert {record["person"] for record in ended.records if record.get("kind") == "identified"} <= {
        "Left",
        "Middle",
        "Right",
    }
    assert "No window: there is no display" in ended.err
    assert "The video is in demo.mp4." in ended.err
    assert frames(tmp_path / "demo.mp4") == 20
    assert not rtface.gallery.exists()  # the demonstration has one of its own


def test_without_a_display_it_says_so_once_and_goes_on(rtface: Rtface, models: None, film: Path) -> None:
    ended = rtface("run", "--source", film, "--max-frames", "3")
    assert ended.code == 0
    assert ended.err.count("No window: there is no display") == 1
    assert "3 frames" in ended.err


def test_several_sources_are_told_apart(rtface: Rtface, models: None, film: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(film.read_bytes())
    words = ("--source", film, "--source", other, "--results", "-", "--record", tmp_path / "o.mp4")
    ended = rtface("run", "--no-window", *words)
    assert ended.code == 0
    assert {record["source"] for record in ended.records} == {str(film), str(other)}
    assert len(ended.records) == 80
    recorded = sorted(tmp_path.glob("o-*.mp4"))
    assert [frames(path) for path in recorded] == [40, 40]


def test_a_film_that_breaks_off_is_told_and_what_it_held_is_kept(rtface: Rtface, models: None, tmp_path: Path) -> None:
    whole, results = tmp_path / "film.avi", tmp_path / "r.jsonl"
    settle_opencv()
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for level in range(60):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    data = whole.read_bytes()
    assert rtface("run", "--source", whole, "--no-window").code == 0
    whole.write_bytes(data[: len(data) // 2])
    ended = rtface.apart("run", "--source", whole, "--no-window", "--results", results)
    assert ended.code == 1
    assert "60 promised pictures: it seems cut off" in ended.err
    assert 10 < len(lines(results)) < 50
    assert rtface("run", "--source", whole, "--no-window", "--max-frames", "5").code == 0


def test_a_film_that_changes_size_goes_on(rtface: Rtface, models: None, tmp_path: Path) -> None:
    parts = []
    settle_opencv()
    for size in ((128, 96), (64, 48)):
        path = tmp_path / f"{size[0]}.ts"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mpg2"), 25, size)
        for _ in range(20):
            writer.write(np.full((size[1], size[0], 3), 90, np.uint8))
        writer.release()
        parts.append(path.read_bytes())
    (tmp_path / "film.ts").write_bytes(b"".join(parts))
    words = ("--results", "-", "--record", tmp_path / "o.mp4")
    ended = rtface("run", "--source", tmp_path / "film.ts", "--no-window", *words)
    assert ended.code == 0
    assert len(ended.records) > 20


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("text.mp4", "is not a video"),
        ("empty.mp4", "is empty (0 bytes)"),
        ("missing.mp4", "does not exist"),
        ("nothing", "holds no pictures"),
        ("x" * 300, "File name too long"),
        ("ftp://camera/1", "is a kind of stream rtface does not know"),
        ("rtsp://user:secret@127.0.0.1:1/x", "nothing listens on port 1"),
        ("97", "The camera 97 cannot be opened"),
        ("", "is no source"),
    ],
)
def test_a_source_that_cannot_be_opened_is_named_with_the_cure(
    rtface: Rtface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "nothing").mkdir()
    for command in (("run", "--no-window", "--results", "r.jsonl"), ("bench",), ("enroll", "Ada")):
        ended = rtface(*command, "--source", source)
        assert (ended.code, ended.out) == (1, ""), command
        assert told in ended.err
        assert "secret" not in ended.err
    assert not (tmp_path / "r.jsonl").exists()
    assert not rtface.gallery.exists()


def test_a_source_named_twice_is_told(rtface: Rtface, film: Path) -> None:
    ended = rtface("run", "--no-window", "--source", film, "--source", film)
    assert ended.code == 1
    assert "is named twice" in ended.err


@pytest.mark.parametrize(
    ("option", "place", "told"),
    [
        ("--record", "nowhere/o.mp4", "there is no folder"),
        ("--record", "o.avi", "has to end in .mp4"),
        ("--results", "nowhere/r.jsonl", "cannot be written"),
        ("--events", ".", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    rtface: Rtface, models: None, film: Path, tmp_path: Path, option: str, place: str, told: str
) -> None:
    ended = rtface("run", "--no-window", "--source", film, option, tmp_path / place)
    assert ended.code == 1
    assert str((tmp_path / place).absolute()) in ended.err
    assert told in ended.err


def test_enroll_takes_good_frames_of_a_film(rtface: Rtface, models: None, ada: Path, tmp_path: Path) -> None:
    face = cv2.imread(str(ada))
    assert face is not None
    settle_opencv()
    writer = cv2.VideoWriter(str(tmp_path / "ada.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (512, 512))
    for shift in range(30):
        writer.write(np.roll(face, shift, axis=1))
    writer.release()
    ended = rtface("enroll", "Ada", "--source", tmp_path / "ada.mp4", "--count", "3", "--json")
    assert ended.code == 0
    assert [record["accepted"] for record in ended.records] == [True] * 3
    assert "Look into the camera" not in ended.err
    assert rtface("gallery", "list").out == "Ada\t3\n"
