"""``rtface bench``: its figures, its paces and crowds, and wishes it cannot serve. Real models only where named."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtface.cli import bench
from rtface.interfaces import FrameSource
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.loop import results
from rtface.pipeline.recognizer import Recognizer, TrackRules
from rtface.tracking.tracker import FaceTracker
from rtface.types import FrameResult
from tests.cli.calls import Rtface
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery, detection

AGES = {"p50", "p95", "p99"}


class FakeSystem:
    """The loop with faked parts: measures everything but the networks."""

    config = SimpleNamespace(detector="fake", embedder="fake", backend="fake")
    embedder = SimpleNamespace(backend="fake")

    def stream_from(
        self, sources: Sequence[FrameSource], *, max_frames: int | None = None
    ) -> Generator[FrameResult, None, None]:
        judge = Judge(FakeGallery({"Ada": 60}), {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
        rules = TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0)
        seen = FakeDetector([[detection(50, 60)]])
        recognizer = Recognizer(seen, FakeEmbedder(), judge, rules, lambda stills: FaceTracker())
        return results(sources, recognizer, max_frames=max_frames)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No networks: what is measured is not the matter here."""

    @contextmanager
    def opened(*_: object) -> Iterator[FakeSystem]:
        yield FakeSystem()

    monkeypatch.setattr(bench, "open_system_to_look", opened)


def report(rtface: Rtface, *words: str | Path) -> dict[str, Any]:
    ended = rtface("bench", "--json", *words)
    assert ended.code == 0, ended.err
    (record,) = ended.records
    return record


def test_a_crowd_at_a_camera_s_pace_with_the_real_networks(rtface: Rtface, models: None) -> None:
    words = ("--faces", "2", "--cameras", "2", "--size", "320x240", "--paced", "10", "--seconds", "1", "--warmup", "1")
    told = report(rtface, *words)
    assert set(told["frame_age_ms"]) == AGES
    assert set(told["sources"]) == {"synthetic-1", "synthetic-2"}
    for seen in told["sources"].values():
        assert set(seen) == {"fps", "frames", "dropped", "frame_age_ms"}
        assert 0 < seen["fps"] <= 12
        assert set(seen["frame_age_ms"]) == AGES
    assert sum(seen["frames"] for seen in told["sources"].values()) == told["frames"] - told["warmup"]["frames"]
    assert told["seconds"] >= 1
    assert 1 <= told["faces_per_frame"] <= 2.2
    assert {"detect", "recognize"} <= set(told["stages_ms"])
    assert 0 < told["cpu"]["share"] <= 1
    assert told["peak_rss_mb"] > 50
    assert set(told["resources"]) == {"first", "last", "most"}
    assert not rtface.gallery.exists()


def test_paced_is_as_quick_as_asked_and_flat_out_is_quicker(rtface: Rtface, quick: None) -> None:
    crowd = ("--size", "320x240", "--warmup", "0.2", "--seconds", "1")
    paced, flat = report(rtface, *crowd, "--paced", "20"), report(rtface, *crowd)
    shown = paced["frames"] - paced["warmup"]["frames"]
    due = paced["seconds"] * 20
    assert shown + paced["dropped"] + paced["missed"] == pytest.approx(due, abs=2)
    assert flat["fps"] > 2 * paced["fps"]
    assert flat["dropped"] == flat["missed"] == 0


def test_a_short_film_is_played_until_the_time_is_over(rtface: Rtface, quick: None, film: Path) -> None:
    told = report(rtface, "--source", film, "--max-frames", "100")
    assert told["frames"] == 100  # the film has 40
    assert report(rtface, "--source", film)["frames"] == 40


def test_a_film_plays_several_cameras(rtface: Rtface, quick: None, film: Path) -> None:
    told = report(rtface, "--source", film, "--cameras", "3", "--warmup", "0")
    assert set(told["sources"]) == {str(film), f"{film}#2", f"{film}#3"}
    assert told["frames"] == 120


def test_several_sources_are_measured_at_once_and_none_twice(rtface: Rtface, quick: None, film: Path) -> None:
    told = report(rtface, "--source", film, "--source", "demo")
    assert set(told["sources"]) == {str(film), "demo"}
    assert told["frames"] == 340
    ended = rtface("bench", "--source", film, "--source", film)
    assert (ended.code, ended.out) == (1, "")
    assert "is named twice" in ended.err


def test_a_crowd_without_a_limit_ends_by_itself(rtface: Rtface, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ENDLESS_S", 0.3)
    assert 0.3 <= report(rtface, "--cameras", "2", "--warmup", "0.1")["seconds"] < 5


def test_the_table_tells_what_was_left_out(rtface: Rtface, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ended = rtface("bench", "--cameras", "2", "--seconds", "0.4", "--warmup", "0.3", "--still")
    assert ended.code == 0
    for part in ("frames a second", "frame age", "detect", "synthetic-2", "cores busy", "are left out", "MB at most"):
        assert part in ended.out, part
    assert "2 fixed cameras of 640x480 with 1 face, flat out" in ended.err


def test_a_run_shorter_than_its_warm_up_is_told_whole(rtface: Rtface, quick: None) -> None:
    told = report(rtface, "--max-frames", "7", "--warmup", "60")
    assert told["frames"] == 7
    assert told["warmup"]["frames"] == 0
    assert told["fps"] > 0


def test_a_source_too_slow_for_its_pace_is_told(rtface: Rtface, quick: None) -> None:
    ended = rtface("bench", "--json", "--size", "3840x2160", "--paced", "240", "--max-frames", "20", "--warmup", "0")
    (told,) = ended.records
    assert told["missed"]
    assert "could not make its frames in time" in ended.err


def test_the_plot_is_drawn(rtface: Rtface, quick: None, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    place = tmp_path / "run.png"
    ended = rtface("bench", "--max-frames", "50", "--plot", place)
    assert ended.code == 0
    assert place.read_bytes().startswith(b"\x89PNG")
    assert f"The plot is in {place}" in ended.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--size", "large"), "like 1280x720"),
        (("--size", "640x"), "like 1280x720"),
        (("--size", "-640x480"), "like 1280x720"),
        (("--size", "10x10"), "outside 64x64"),
        (("--size", "99999x99999"), "outside 64x64"),
        (("--faces", "0"), "1<=x<=16"),
        (("--faces", "100"), "1<=x<=16"),
        (("--cameras", "0"), "1<=x<=32"),
        (("--paced", "0"), "0<x<=240"),
        (("--paced", "nan"), "nan is no number"),
        (("--seconds", "0"), "x>0"),
        (("--seconds", "inf"), "inf is no number"),
        (("--warmup", "-1"), "x>=0"),
        (("--max-frames", "1"), "x>=2"),
        (("--source", "demo", "--faces", "2"), "--source has its own"),
        (("--source", "demo", "--still"), "--source has its own"),
    ],
)
def test_a_wish_that_makes_no_sense_is_wrong_usage(rtface: Rtface, words: tuple[str, ...], hint: str) -> None:
    ended = rtface("bench", *words)
    assert (ended.code, ended.out) == (2, "")
    assert hint in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--faces", "16", "--size", "160x120"), "ask for fewer faces or larger pictures"),
        (("--plot", "nowhere/run.png"), "there is no folder"),
        (("--plot", "run.doc"), "has to end in .png"),
        (("--source", "missing.mp4", "--paced", "30"), "does not exist"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_measured(
    rtface: Rtface, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    ended = rtface("bench", *words)
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_measurement_and_leaves_its_figures(
    rtface: Rtface, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakeSystem.stream_from

    def interrupted(self: FakeSystem, *words: Any, **options: Any) -> Generator[FrameResult, None, None]:
        yield from islice(whole(self, *words, **options), 12)
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeSystem, "stream_from", interrupted)
    ended = rtface("bench", "--json", "--faces", "1", "--seconds", "3600")
    assert ended.code == 0
    assert ended.records[0]["frames"] == 12
    assert "Stopped." in ended.err


def test_one_line_of_json_and_nothing_else_goes_to_standard_output(rtface: Rtface, quick: None) -> None:
    ended = rtface("bench", "--json", "--max-frames", "5")
    assert len(ended.out.splitlines()) == 1
    assert json.loads(ended.out)["frames"] == 5
