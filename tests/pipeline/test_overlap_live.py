"""Detection beside embedding before live cameras: no verdict comes later for it."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.types import EventKind
from tests.pipeline.clockwork import IMAGE, AsyncEmbedder, Clock, Due, TimedDetector, TimedEmbedder, recognizer, rounds


def test_verdict_is_not_held_back_for_a_frame_that_has_not_come() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock, 0.005), AsyncEmbedder(clock, 0.008), clock)
    got = list(rounds([Due(clock, [IMAGE] * 3, fps=30, live=True)], part).results())
    assert clock.diary == [f"{call} {number}" for number in range(3) for call in ("detect", "launch", "collect")]
    ages = [result.timings["age"] for result in got if not result.repeated]
    assert ages == pytest.approx([13.0] * 3)


def test_live_verdict_does_not_wait_for_a_longer_detection_in_a_file() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock, 0.02), AsyncEmbedder(clock, 0.005), clock)
    stream = rounds([Due(clock, [IMAGE] * 9, name="file"), Due(clock, [IMAGE], live=True)], part).results()
    next(stream)
    assert clock.diary == ["detect 0", "detect 1", "launch 0", "collect 0"]


def first_names(kind: type[TimedEmbedder], detection_s: float, embedding_s: float, cameras: int) -> tuple[float, int]:
    """Seconds until a camera's face has its name, on average, and frames dropped; so many cameras at 30 fps."""
    clock = Clock()
    part = recognizer(TimedDetector(clock, detection_s), kind(clock, embedding_s), clock)
    buffers = [
        Due(clock, [IMAGE] * 15, fps=30, first=0.618 * i % 1 / 30, live=True, name=str(i)) for i in range(cameras)
    ]
    named: dict[str, float] = {}
    for result in rounds(buffers, part).results():
        for event in result.events:
            if event.kind is EventKind.IDENTIFIED:
                named.setdefault(event.source, clock.now)
    assert len(named) == cameras
    return float(np.mean(list(named.values()))), sum(buffer.dropped for buffer in buffers)


@pytest.mark.parametrize("cameras", [1, 2, 4])
def test_time_to_the_first_name_before_live_cameras_does_not_grow(cameras: int) -> None:
    for detection_ms in (2, 5, 12, 25, 50):
        for embedding_ms in (1, 3, 8, 20, 40):
            speeds = detection_ms / 1e3, embedding_ms / 1e3
            plain, _ = first_names(TimedEmbedder, *speeds, cameras)
            beside, _ = first_names(AsyncEmbedder, *speeds, cameras)
            assert beside <= plain + 1e-9, f"detection {detection_ms} ms, embedding {embedding_ms} ms"


@pytest.mark.parametrize("cameras", [1, 2, 4])
def test_busy_live_cameras_lose_fewer_frames_where_embedding_is_the_longer_part(cameras: int) -> None:
    plain_s, plain = first_names(TimedEmbedder, 0.025 / cameras, 0.04, cameras)
    beside_s, beside = first_names(AsyncEmbedder, 0.025 / cameras, 0.04, cameras)
    assert beside < plain
    assert beside_s < plain_s
