"""The runner's own parts: truth, clips, crops, environments and rounds. No peer is installed or run here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.embedding.align import crop_box
from rtface.errors import MissingLibrary, UnknownPart
from rtface.models import catalogue
from tests.benchmarks.peers import clips, contest, environments, table
from tests.benchmarks.peers.adapters.facenet_pytorch import kept
from tests.benchmarks.peers.faces import MARGIN, SIZE, box_crop
from tests.benchmarks.peers.protocol import (
    Clip,
    Image,
    Job,
    Report,
    StillPeer,
    Watched,
    perform,
    read_job,
    read_report,
)
from tests.benchmarks.peers.truth import Names, Region, judge
from tests.shared import shared

LEFT, RIGHT = (0.0, 0.0, 100.0, 100.0), (100.0, 0.0, 200.0, 100.0)
AT_LEFT, AT_RIGHT, ELSEWHERE = (10.0, 10.0, 40.0, 50.0), (110.0, 10.0, 140.0, 50.0), (10.0, 150.0, 40.0, 190.0)


def test_each_appearance_of_a_known_person_is_right_unknown_unseen_or_confused() -> None:
    faces = [(0, AT_LEFT, "ann"), (1, AT_LEFT, None), (3, AT_LEFT, "bob")]
    found = judge([Region(LEFT, "ann")], 4, faces)
    assert found == Names(known=4, right=1, unknown=1, unseen=1, confused=1, wrong=1, mistakes=1)


def test_a_stranger_with_a_name_is_wrong_in_every_frame_and_one_mistake() -> None:
    faces = [(frame, AT_RIGHT, "ann") for frame in range(5)]
    assert judge([Region(LEFT, "ann"), Region(RIGHT, None)], 5, faces) == Names(5, unseen=5, wrong=5, mistakes=1)


def test_a_name_where_nobody_is_counts_as_wrong_and_a_nameless_box_there_does_not() -> None:
    faces = [(0, ELSEWHERE, "ann"), (0, ELSEWHERE, None), (0, AT_LEFT, "ann")]
    assert judge([Region(LEFT, "ann")], 1, faces) == Names(1, right=1, wrong=1, mistakes=1)


def test_a_second_box_with_another_name_on_a_person_is_wrong_beside_the_right_one() -> None:
    assert judge([Region(LEFT, "ann")], 1, [(0, AT_LEFT, "ann"), (0, AT_LEFT, "bob")]) == Names(
        1, 1, wrong=1, mistakes=1
    )


def test_faces_that_nobody_can_judge_count_neither_way() -> None:
    regions = [Region(RIGHT, None, judged=False), Region((0, 0, 200, 100), "ann")]
    assert judge(regions, 1, [(0, AT_RIGHT, "bob"), (0, AT_LEFT, "ann")]) == Names(1, right=1)


def test_after_a_cut_the_same_place_is_somebody_else() -> None:
    regions = [Region(LEFT, "ann", end=2), Region(LEFT, None, first=2)]
    faces = [(frame, AT_LEFT, "ann") for frame in range(3)]
    assert judge(regions, 3, faces) == Names(2, right=2, wrong=1, mistakes=1)


@pytest.mark.parametrize("box", [(20, 30, 70, 95), (-15, -8, 40, 60), (150, 90, 215, 170), (0, 0, 199, 149)])
def test_the_peers_crop_is_the_one_that_facenet_is_measured_best_with(box: tuple[int, int, int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (15, 20, 3), np.uint8)
    image = np.asarray(cv2.resize(noise, (200, 150)), np.uint8)
    spec = catalogue.find(catalogue.load(Path("nowhere")), "facenet").crop
    assert spec is not None
    expected = crop_box(image, np.array(box, np.float32), spec.size, spec.margin)
    crop = box_crop(image, (box[0], box[1], box[2], box[3]))
    assert (spec.size, spec.margin) == (SIZE, MARGIN)
    assert crop.shape == expected.shape
    assert np.abs(crop.astype(int) - expected).mean() < 2  # of 255; another way of resampling is no matter


def greedy(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], groups: NDArray[np.int64], most: float
) -> list[int]:
    """Non-maximum suppression as its definition has it."""
    chosen: list[int] = []
    for place in np.argsort(-scores).tolist():
        if all(groups[place] != groups[other] or overlap(boxes[place], boxes[other]) <= most for other in chosen):
            chosen.append(place)
    return chosen


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(np.prod(sides))
    return both / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - both)


@pytest.mark.parametrize("seed", range(5))
def test_the_stand_in_for_torchvision_keeps_the_boxes_that_greedy_suppression_keeps(seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(5, 40, (80, 2))], axis=1).astype(np.float32)
    scores, groups = draw.permutation(80).astype(np.float32), draw.integers(0, 3, 80)
    assert kept(boxes, scores, groups, 0.5) == greedy(boxes, scores, groups, 0.5)


class Brightness(StillPeer):
    """Every picture is one face, and its brightness is the embedding."""

    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        return [((0.0, 0.0, 8.0, 8.0), np.array([image.mean()], np.float32))]


def grey(value: int) -> Image:
    return np.full((64, 64, 3), value, np.uint8)


def test_a_peer_without_video_names_the_nearest_picture_within_its_limit(tmp_path: Path) -> None:
    for name, value in (("dark", 40), ("light", 200)):
        (tmp_path / f"{name}.png").write_bytes(png(grey(value)))
    film = clips.write(tmp_path / "film.mp4", [grey(44), grey(120), grey(196)])
    people = {name: [str(tmp_path / f"{name}.png")] for name in ("dark", "light")}
    job = Job(people, [Clip("film", str(film))], None, {}, {}, str(tmp_path))
    report = perform(job, lambda _: Brightness(limit=15.0**2), [])
    assert [(frame, name) for frame, _, name in report.clips[0].faces] == [(0, "dark"), (1, None), (2, "light")]
    assert report.enrolled == {"dark": 1, "light": 1}
    assert (report.clips[0].frames, len(report.clips[0].gaps_ms)) == (3, 3)
    assert sum(report.clips[0].gaps_ms) == pytest.approx(1000 * report.clips[0].seconds, abs=0.01)


def png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def test_a_frame_limit_holds_for_every_clip(tmp_path: Path) -> None:
    film = clips.write(tmp_path / "film.mp4", [grey(40)] * 9)
    (tmp_path / "a.png").write_bytes(png(grey(40)))
    job = Job({"a": [str(tmp_path / "a.png")]}, [Clip("1", str(film)), Clip("2", str(film))], 4, {}, {}, "")
    assert [clip.frames for clip in perform(job, lambda _: Brightness(1.0), []).clips] == [4, 4]


def test_job_and_report_come_out_of_json_as_they_went_in() -> None:
    job = Job({"ann": ["a.png"]}, [Clip("x", "x.mkv")], 3, {"yunet": "y.onnx"}, {"k": "7"}, "/tmp/x")
    report = Report(0.5, 1.5, {"ann": 1}, 99.0, ["note"], {"numpy": "2"}, [watched("x", [(0, AT_LEFT, "ann")])])
    assert read_job(json.dumps(asdict(job))) == job
    assert read_report(json.dumps(asdict(report))) == report


def watched(name: str, faces: list[tuple[int, tuple[float, float, float, float], str | None]]) -> Watched:
    return Watched(name, 2, 0.5, 0.25, [300.0, 200.0], faces)


def test_every_peer_is_described_without_its_libraries() -> None:
    found = [environments.adapter(name) for name in environments.names()]
    assert len(found) >= 6
    assert found[0].name == "rtface_facenet"
    assert all(peer.title and peer.rule for peer in found)
    assert {peer.name for peer in found if not peer.requirements} == {"rtface_facenet", "rtface_sface"}
    with pytest.raises(UnknownPart, match="facenet_pytorch"):
        environments.adapter("facenet_torch")


def test_a_peer_without_requirements_runs_in_the_runners_interpreter(tmp_path: Path) -> None:
    assert environments.python_of(environments.adapter("rtface_facenet"), tmp_path) == Path(sys.executable)
    assert not list(tmp_path.iterdir())


def test_an_environment_is_made_once_and_anew_after_pip_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer, commands, broken = environments.adapter("face_recognition"), list[Sequence[str]](), [True]

    def run(command: Sequence[str], **_: object) -> None:
        commands.append(command)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
        elif broken[0]:
            raise subprocess.CalledProcessError(1, command, stderr="no wheel for this machine\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(MissingLibrary, match=r"face_recognition cannot be made: no wheel.*--peers"):
        environments.python_of(peer, tmp_path)
    broken[0] = False
    python = environments.python_of(peer, tmp_path)
    assert [("--no-deps" in command) for command in commands[2:]] == [False, False, True]
    assert environments.python_of(peer, tmp_path) == python
    assert len(commands) == 5


def test_peers_alternate_and_one_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def turn(name: str, *_: object, settings: dict[str, str], **__: object) -> Report:
        calls.append(name)
        if name == "yunet_facenet":
            raise RuntimeError("out of memory")
        assert settings == ({"k": "7"} if name.startswith("rtface") else {})
        return Report(1, 1, {"ann": 1}, 50.0, [], {}, [watched("x", [(0, AT_LEFT, "ann"), (1, AT_LEFT, "bob")])])

    monkeypatch.setattr(contest, "turn", turn)
    names = ["rtface_facenet", "yunet_facenet", "scrfd_facenet"]
    peers = {name: (environments.adapter(name), Path(sys.executable)) for name in names}
    programme = clips.Programme({}, [clips.Scene("vga", "x", Path("x"), [Region(LEFT, "ann")])])
    found = contest.contest(peers, programme, {}, rounds=3, frames=None, settings={"k": "7"}, say=lambda _: None)
    assert calls == [*names, "scrfd_facenet", "rtface_facenet", "scrfd_facenet", "rtface_facenet"]
    assert [standing.failure for standing in found] == [None, "out of memory", None]
    (figures, *_) = found[0].turns["vga"]
    assert (figures.fps, figures.cpu_ms, figures.p50_ms) == (4.0, 125.0, 250.0)
    assert figures.names == Names(2, right=1, confused=1, wrong=1, mistakes=1)
    text = table.markdown(found, {"vga": "640x480"})
    assert "| rtface, FaceNet | 4.0 | 1.00 x | 250.0 |" in text
    assert "FAILED: out of memory" in text
    json.dumps(table.document(found))


def test_the_ratio_is_taken_within_rounds_so_that_a_slow_round_is_slow_for_both() -> None:
    def turns(*rates: float) -> list[contest.Turn]:
        return [contest.Turn(rate, 1, 1, 1, Names()) for rate in rates]

    assert table.ratio(turns(100, 50, 90), turns(10, 5, 10)) == 10.0


def test_six_people_are_shown_side_by_side_each_in_a_place_of_their_own(tmp_path: Path) -> None:
    (scene,) = clips.six(shared("data", "videos"), tmp_path)
    images = clips.frames(scene.path)
    assert len(images) == clips.SIX_FRAMES
    assert {image.shape for image in images} == {(720, 1280, 3)}
    held = [[other.contains(region.box) for other in scene.regions] for region in scene.regions]
    np.testing.assert_array_equal(held, np.eye(6, dtype=bool))
    assert [region.name for region in scene.regions] == ["P1", "P2", "P3", None, None, None]
