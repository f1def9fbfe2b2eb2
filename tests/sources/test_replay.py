"""Files over and over, and at a camera's pace: truth from a clock the test turns itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from rtface.errors import SourceUnavailable
from rtface.pipeline.frame_buffer import FrameBuffer
from rtface.sources.load.replay import PacedSource, RepeatedSource
from rtface.types import Frame
from tests.fakes import ScriptedSource

IMAGES = [np.full((2, 2, 3), level, np.uint8) for level in range(4)]


class Clock:
    """Seconds that pass only when somebody waits or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


class Working:
    """A source whose n-th picture takes its time to be made."""

    name, live, stills, status = "working", False, False, "streaming"

    def __init__(self, clock: Clock, costs: list[float]) -> None:
        self._clock, self._costs = clock, costs

    def frames(self) -> Iterator[Frame]:
        for index, cost in enumerate(self._costs):
            self._clock.now += cost
            yield Frame(IMAGES[0], index, 0.0, self._clock.now, self.name)

    def close(self) -> None:
        pass


def played(costs: list[float], fps: float, phase: float = 0.0) -> tuple[list[tuple[int, float, float]], int]:
    """(index, due, handed over) of each frame, in seconds since the first was made; and how many were missed."""
    clock = Clock()
    source = PacedSource(Working(clock, costs), fps, phase=phase, clock=clock, wait=clock.wait)
    got = [(frame.index, frame.received_at - 100 - costs[0], clock.now - 100 - costs[0]) for frame in source.frames()]
    return got, source.missed


def test_a_source_quick_enough_hands_over_each_frame_when_it_is_due() -> None:
    got, missed = played([0.3, 0.01, 0.09, 0.02], fps=10)
    assert [index for index, *_ in got] == [0, 1, 2, 3]
    assert [due for _, due, _ in got] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [handed for *_, handed in got] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert missed == 0


def test_a_frame_made_late_is_as_old_as_it_is_late() -> None:
    got, missed = played([0, 0.15, 0.01], fps=10)
    assert [due for _, due, _ in got] == pytest.approx([0, 0.1, 0.2])
    assert [handed for *_, handed in got] == pytest.approx([0, 0.15, 0.2])
    assert missed == 0


def test_a_source_too_slow_for_its_pace_leaves_places_out_and_counts_them() -> None:
    got, missed = played([0, 0.25, 0.25, 0.25], fps=10)
    assert [index for index, *_ in got] == [0, 2, 5, 7]
    assert missed == 4
    assert all(handed - due < 0.1 for _, due, handed in got)  # age does not pile up


def test_phase_shifts_a_camera_by_part_of_a_period() -> None:
    got, _ = played([0, 0, 0], fps=10, phase=0.5)
    assert [due for _, due, _ in got] == pytest.approx([0.05, 0.15, 0.25])


def test_media_time_and_time_of_receipt_are_the_moment_a_frame_is_due() -> None:
    clock = Clock()
    source = PacedSource(ScriptedSource(IMAGES), 20, clock=clock, wait=clock.wait)
    frames = list(source.frames())
    assert [frame.captured_at for frame in frames] == [frame.received_at for frame in frames]
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2, 3]


def test_no_frame_comes_before_its_time_by_the_real_clock() -> None:
    source = PacedSource(ScriptedSource(IMAGES * 5), 200)
    dues = []
    for frame in source.frames():
        assert time.monotonic() >= frame.received_at
        dues.append(frame.received_at)
    periods = np.diff(dues) * 200
    assert np.allclose(periods, np.rint(periods), atol=1e-6)  # a busy machine may leave places out
    assert periods.min() > 0.5


def test_a_loop_that_does_not_take_them_loses_frames_and_sees_the_newest() -> None:
    source = PacedSource(ScriptedSource(IMAGES * 5), 500)
    with FrameBuffer(source) as buffer:
        with buffer.condition:
            assert buffer.condition.wait_for(lambda: buffer._finished, 20)
        frame = buffer.take()
        assert frame is not None
        assert buffer.dropped + source.missed == 19 + (frame.index - 19)
        assert buffer.dropped == 19
        assert frame.image[0, 0, 0] == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "capture script"]


def test_closing_ends_a_wait_for_the_next_frame_at_once() -> None:
    inner = ScriptedSource(IMAGES)
    source = PacedSource(inner, 0.001)
    frames = source.frames()
    next(frames)
    closer = threading.Timer(0.05, source.close)
    closer.start()
    assert list(frames) == []  # the next would be due in a quarter of an hour
    closer.join()
    assert inner.closed


def test_rounds_go_on_counting() -> None:
    opened: list[ScriptedSource] = [ScriptedSource(IMAGES)]

    def reopen() -> ScriptedSource:
        opened.append(ScriptedSource(IMAGES))
        return opened[-1]

    source = RepeatedSource(opened[0], reopen, name="again")
    frames = list(islice(source.frames(), 10))
    assert [frame.index for frame in frames] == list(range(10))
    assert np.diff([frame.captured_at for frame in frames]) == pytest.approx(1 / 30)
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert {frame.source for frame in frames} == {source.name} == {"again"}
    source.close()
    assert [one.closed for one in opened] == [True] * 3


def test_a_given_number_of_rounds_is_played() -> None:
    source = RepeatedSource(ScriptedSource(IMAGES), lambda: ScriptedSource(IMAGES), rounds=1)
    assert len(list(source.frames())) == 4
    source = RepeatedSource(ScriptedSource(IMAGES), lambda: ScriptedSource(IMAGES), rounds=3)
    assert len(list(source.frames())) == 12


def test_an_empty_round_ends_it_instead_of_turning_for_ever() -> None:
    source = RepeatedSource(ScriptedSource([]), lambda: ScriptedSource([]))
    assert list(source.frames()) == []


def test_a_file_that_is_gone_when_its_next_round_begins_is_told() -> None:
    def gone() -> ScriptedSource:
        raise SourceUnavailable("film.mp4 does not exist.")

    source = RepeatedSource(ScriptedSource(IMAGES), gone)
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(source.frames())


def test_closing_between_rounds_opens_nothing_more() -> None:
    source = RepeatedSource(ScriptedSource(IMAGES), lambda: pytest.fail("opened again"))
    frames = source.frames()
    for _ in IMAGES:
        next(frames)
    source.close()
    assert list(frames) == []
