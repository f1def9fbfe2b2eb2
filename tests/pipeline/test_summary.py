"""What a run came to, on a clock the test turns itself."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.pipeline.summary import Summary
from rtface.types import Event, EventKind, Frame, FrameResult, Identity

IMAGE = np.zeros((2, 2, 3), np.uint8)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def result(
    source: str = "a", age: float = 10.0, dropped: int = 0, events: tuple[Event, ...] = (), repeated: bool = False
) -> FrameResult:
    timings = {} if repeated else {"detect": 5.0, "age": age}
    return FrameResult(Frame(IMAGE, 0, 0.0, 0.0, source), (), events, timings, dropped, repeated)


def event(kind: EventKind, person: str | None) -> Event:
    identity = Identity(person, 0.1, 1.0) if person else None
    return Event(kind, 1, identity, 0.0, "a", "fake", "fake:0", 1)


def test_speed_is_frames_over_the_time_between_the_first_and_the_last() -> None:
    clock = Clock()
    summary = Summary(clock=clock)
    for _ in range(11):
        summary.write(result())
        clock.now += 0.1
    assert summary.fps == pytest.approx(10)
    assert summary.seconds == pytest.approx(1.0)
    assert summary.frames == 11
    report = summary.as_json()
    assert report["frame_age_ms"] == {"p50": 10.0, "p95": 10.0, "p99": 10.0}
    assert report["stages_ms"] == {"detect": {"p50": 5.0, "p95": 5.0, "p99": 5.0}}
    assert report["warmup"] == {"seconds": 0, "frames": 0, "dropped": 0}


def test_the_warm_up_counts_in_frames_and_nowhere_else() -> None:
    clock = Clock()
    summary = Summary(warmup_s=1.0, clock=clock)
    for step in range(40):  # the first second at 10 a second, slow and dropping; then 20 a second
        warming = step < 10
        summary.write(result(age=500.0 if warming else 20.0, dropped=min(step, 10) * 2 + (3 if step > 30 else 0)))
        clock.now += 0.1 if step < 9 else 0.05
    report = summary.as_json()
    assert report["frames"] == 40
    assert report["warmup"] == {"seconds": pytest.approx(0.95), "frames": 11, "dropped": 20}
    assert report["fps"] == pytest.approx(20.0)
    assert report["dropped"] == 3
    assert report["frame_age_ms"] == {"p50": 20.0, "p95": 20.0, "p99": 20.0}
    assert summary.dropped == 3


def test_a_run_that_ends_while_warming_up_is_told_whole() -> None:
    clock = Clock()
    summary = Summary(warmup_s=1.0, clock=clock)
    for _ in range(5):
        summary.write(result(age=30.0, dropped=1))
        clock.now += 0.1
    report = summary.as_json()
    assert (report["frames"], report["dropped"], report["fps"]) == (5, 1, 10.0)
    assert report["warmup"] == {"seconds": 0, "frames": 0, "dropped": 0}
    assert summary.measured_from is None


def test_each_source_has_its_own_speed_age_and_drops_and_they_add_up() -> None:
    clock = Clock()
    summary = Summary(warmup_s=0.5, clock=clock)
    lost = 0
    for step in range(300):
        lost += step % 30 == 29
        summary.write(result("quick", age=8.0))
        if step % 3 == 0:
            summary.write(result("slow", age=80.0, dropped=lost))
        clock.now += 0.01
    report = summary.as_json()
    sources = report["sources"]
    assert isinstance(sources, dict)
    quick, slow = sources["quick"], sources["slow"]
    assert quick["fps"] == pytest.approx(100, rel=0.02)
    assert slow["fps"] == pytest.approx(100 / 3, rel=0.03)
    assert quick["fps"] + slow["fps"] == pytest.approx(report["fps"], abs=0.02)
    assert (quick["frame_age_ms"]["p99"], slow["frame_age_ms"]["p50"]) == (8.0, 80.0)
    assert (quick["dropped"], slow["dropped"]) == (0, 8)  # 9 by the last frame, the first while warming up
    warmup = report["warmup"]
    assert isinstance(warmup, dict)
    assert quick["frames"] + slow["frames"] == summary.frames - warmup["frames"]


def test_a_frame_told_again_for_its_events_is_not_counted_again() -> None:
    summary = Summary(clock=Clock())
    summary.write(result())
    summary.write(result(events=(event(EventKind.LEFT, None),), repeated=True))
    assert summary.frames == 1
    assert summary.unknown_tracks == 1


def test_people_are_counted_by_tracks() -> None:
    summary = Summary(clock=Clock())
    for kind, person in ((EventKind.IDENTIFIED, "Ada"), (EventKind.IDENTIFIED, "Ada"), (EventKind.LEFT, "Ada")):
        summary.write(result(events=(event(kind, person),)))
    assert summary.people == {"Ada": 2}
    assert "Ada (2)" in summary.table()


def test_nothing_seen_is_told_without_figures() -> None:
    report = Summary(warmup_s=1.0).as_json()
    assert (report["fps"], report["frames"], report["dropped"]) == (0.0, 0, 0)
    assert report["frame_age_ms"] == report["stages_ms"] == report["sources"] == {}
    assert Summary().table().startswith("0 frames")
