"""The picture of a run."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtface.errors import MissingLibrary, SinkError
from rtface.pipeline.plot import Trace, check_place, draw
from rtface.pipeline.summary import Summary
from tests.pipeline.test_summary import Clock, result


def measured(frames: int, warmup_s: float = 0.5) -> tuple[Trace, Summary]:
    clock = Clock()
    trace, summary = Trace(clock), Summary(warmup_s=warmup_s, clock=clock)
    for step in range(frames):
        for sink in (trace, summary):
            sink.write(result("ab"[step % 2], age=10.0 + step % 7))
        clock.now += 0.02
    return trace, summary


@pytest.mark.parametrize("frames", [0, 1, 10, 200])
def test_a_run_of_any_length_is_drawn(tmp_path: Path, frames: int) -> None:
    pytest.importorskip("matplotlib")
    place = tmp_path / "run.png"
    draw(place, *measured(frames), title="a run")
    with Image.open(place) as picture:
        assert picture.width >= 1000
        levels = np.asarray(picture.convert("L"))
    assert 0.5 < (levels > 250).mean() < 0.995  # something on white
    assert [path.name for path in tmp_path.iterdir()] == ["run.png"]


def test_it_draws_whatever_the_ending_says(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(tmp_path / "run.svg", *measured(30), title="a run")
    assert "<svg" in (tmp_path / "run.svg").read_text("utf-8")


def test_dots_of_the_warm_up_are_grey_and_the_others_are_coloured() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from rtface.pipeline.plot import _ages

    trace, summary = measured(200)
    over_time, histogram = Figure().subplots(1, 2)
    _ages(over_time, histogram, trace, summary)
    dots: Counter[object] = Counter()
    for line in over_time.lines:
        if line.get_marker() == ".":
            dots[line.get_color()] += len(np.asarray(line.get_xdata()))
    assert summary.left_out == pytest.approx(25, abs=1)  # half a second at 50 a second
    assert dots["0.7"] == summary.left_out
    assert dots["C0"] + dots["C1"] == 200 - summary.left_out


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibrary, match=r"pip install 'rtface\[plot\]'"):
        check_place(tmp_path / "run.png")


@pytest.mark.parametrize(
    ("place", "told"),
    [("nowhere/run.png", "there is no folder"), ("run.txt", "has to end in .png"), ("folder.png", "is a folder")],
)
def test_a_place_that_will_not_do_is_told_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, told: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SinkError, match=told):
        check_place(tmp_path / place)


def test_a_trace_takes_sixteen_bytes_a_frame_and_skips_what_is_told_again() -> None:
    trace = Trace(Clock())
    for _ in range(1000):
        trace.write(result())
    trace.write(result(repeated=True))
    at, age = trace.points["a"]
    assert len(at) == len(age) == 1000
    assert at.itemsize + age.itemsize == 16
