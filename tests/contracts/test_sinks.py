"""What every sink in ``rtface/sinks`` keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtface import registry
from rtface.interfaces import Sink
from rtface.sinks import jsonl, queued, video, window
from rtface.types import EventKind
from tests.sinks.results import ADA, NOBODY, event, picture, result, track
from tests.sinks.test_window import Highgui

OPENERS: dict[str, Callable[[Path], Sink]] = {
    "jsonl": lambda folder: jsonl.open(folder / "r.jsonl"),
    "jsonl events": lambda folder: jsonl.open(folder / "e.jsonl", kind="events"),
    "queued": lambda folder: queued.open(jsonl.open(folder / "q.jsonl")),
    "video": lambda folder: video.open(folder / "v.mp4"),
    "window": lambda folder: window.open(folder=folder),
}


def test_every_sink_in_the_folder_is_tested_here() -> None:
    assert set(registry.names("sinks")) == {name.split()[0] for name in OPENERS}


@pytest.fixture(params=sorted(OPENERS))
def sink(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sink:
    if request.param == "window":
        monkeypatch.setattr(window, "cv2", Highgui())
    return OPENERS[request.param](tmp_path)


def test_results_of_every_kind_are_taken(sink: Sink) -> None:
    image = picture(90, (160, 120))
    before = np.array(image)
    for index in range(8):
        events = (event(EventKind.IDENTIFIED, ADA), event(EventKind.SOURCE_BACK)) if index % 2 else ()
        assert sink.write(result(index, track(1, ADA), track(2, NOBODY), track(3, None), image=image, events=events))
        assert sink.write(result(index, image=image, source="other"))
    assert sink.write(result(7, image=image, events=(event(EventKind.LEFT, ADA),), repeated=True))
    sink.close()
    assert np.array_equal(image, before)


def test_a_source_that_ends_before_its_first_frame_is_no_trouble(sink: Sink) -> None:
    assert sink.write(result(0, repeated=True))
    sink.close()


def test_closing_may_be_repeated(sink: Sink) -> None:
    sink.write(result(0))
    sink.close()
    sink.close()
