"""Many cameras in one loop: fair, each with its own age, and none at the mercy of another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import SourceLost
from rtface.interfaces import FrameSource
from rtface.pipeline.frame_buffer import FASTEST_FPS, FrameBuffer
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.loop import results
from rtface.pipeline.recognizer import Recognizer, TrackRules
from rtface.sources.video import open as open_video
from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, EventKind, Frame, FrameResult, Image
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery
from tests.sources.rtsp import LONG, Server, films, number, serve

__all__ = ["films"]

IMAGE = np.zeros((48, 64, 3), np.uint8)


class Slow(FakeDetector):
    """Sees nobody, and takes its time for it."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__([[]])
        self.seconds = seconds

    def detect(self, image: Image) -> list[Detection]:
        time.sleep(self.seconds)
        return super().detect(image)


def recognizer(detector: FakeDetector | None = None) -> Recognizer:
    judge = Judge(FakeGallery({"Ada": 60}), {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    rules = TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0)
    return Recognizer(detector or Slow(), FakeEmbedder(), judge, rules, lambda stills: FaceTracker())


class Camera:
    """Gives a frame every ``period`` seconds until closed, or ``count`` of them."""

    live, stills, status = True, False, "streaming"

    def __init__(self, name: str, period: float, count: int | None = None) -> None:
        self.name, self.period, self.count = name, period, count
        self.closed = threading.Event()
        self.given = 0

    def frames(self) -> Iterator[Frame]:
        while self.given != self.count and not self.closed.wait(self.period):
            now = time.monotonic()
            yield Frame(IMAGE, self.given, now, now, self.name)
            self.given += 1

    def close(self) -> None:
        self.closed.set()


class Flooding(Camera):
    """As fast as it can, without ever letting go of the interpreter by itself."""

    def frames(self) -> Iterator[Frame]:
        while not self.closed.is_set():
            now = time.monotonic()
            yield Frame(IMAGE, self.given, now, now, self.name)
            self.given += 1


class Hanging(Camera):
    """One frame, then a read that takes 2 s, the limit, whoever closes."""

    def frames(self) -> Iterator[Frame]:
        yield Frame(IMAGE, 0, time.monotonic(), time.monotonic(), self.name)
        self.given = 1
        while not self.closed.is_set():
            time.sleep(2.0)


def watch(
    sources: Sequence[FrameSource], until: Callable[[Counter[str]], bool], detector: FakeDetector | None = None
) -> tuple[Counter[str], dict[str, list[float]], list[FrameResult]]:
    """Runs the loop; gives results and ages in seconds by source, and the results that carry events."""
    counts: Counter[str] = Counter()
    ages: dict[str, list[float]] = {source.name: [] for source in sources}
    news = []
    stop = time.monotonic() + LONG
    for result in results(sources, recognizer(detector)):
        assert time.monotonic() < stop
        news += [result] if result.events else []
        if not result.repeated:
            counts[result.frame.source] += 1
            ages[result.frame.source].append(time.monotonic() - result.frame.received_at)
        if until(counts):
            break
    return counts, ages, news


def test_cameras_faster_than_the_loop_are_served_in_turn() -> None:
    cameras = [Camera(name, 0.005) for name in ("a", "b", "c", "d")]
    counts, ages, _ = watch(cameras, lambda counts: counts.total() >= 120, Slow(0.01))
    assert all(20 <= count <= 40 for count in counts.values())
    # A round takes 40 ms; a queue of a single second would show, whatever else the machine does.
    assert all(np.median(of) < 0.5 for of in ages.values())


def test_flooding_camera_takes_no_more_than_its_turn() -> None:
    began = time.monotonic()
    flood, calm = Flooding("flood", 0.0), Camera("calm", 0.02)
    counts, ages, _ = watch([flood, calm], lambda counts: counts["calm"] >= 50)
    passed = time.monotonic() - began
    assert counts["calm"] > 0.8 * calm.given
    assert np.median(ages["calm"]) < 0.2
    assert flood.given < 1.1 * FASTEST_FPS * passed + 10


def test_flooding_camera_leaves_the_processor_to_the_others() -> None:
    with FrameBuffer(Flooding("flood", 0.0)) as buffer:
        with buffer.condition:
            assert buffer.condition.wait_for(lambda: buffer.ready, LONG)
        busy, began = time.process_time(), time.monotonic()
        threading.Event().wait(0.5)
        busy, passed = time.process_time() - busy, time.monotonic() - began
    assert busy < 0.3 * passed


def test_slow_camera_is_not_held_up_by_fast_ones() -> None:
    cameras = [Camera("fast", 0.005), Camera("slow", 0.1)]
    counts, _, _ = watch(cameras, lambda counts: counts["slow"] >= 10, Slow(0.01))
    assert counts["slow"] >= 0.8 * cameras[1].given


def test_hanging_and_dying_cameras_cost_the_others_nothing() -> None:
    cameras = [Hanging("hangs", 0.0), Camera("dies", 0.01, count=3), Camera("a", 0.02), Camera("b", 0.02)]
    counts, ages, _ = watch(cameras, lambda counts: counts["a"] >= 50)
    assert counts["hangs"] == 1
    assert counts["dies"] <= 3
    assert abs(counts["a"] - counts["b"]) < 20
    assert all(np.median(ages[name]) < 0.2 for name in "ab")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture ")]


def test_hung_cameras_told_together_end_together() -> None:
    buffers = [FrameBuffer(Hanging(str(place), 0.0)) for place in range(4)]
    for buffer in buffers:
        buffer.start()
    for buffer in buffers:
        with buffer.condition:
            assert buffer.condition.wait_for(lambda b=buffer: b.ready, LONG)  # type: ignore[misc]
    began = time.monotonic()
    for buffer in buffers:
        buffer.stop()
    for buffer in buffers:
        buffer.close()
    assert time.monotonic() - began < 6.0  # one after the other: 8 s


def test_every_camera_has_its_own_count_of_drops() -> None:
    cameras = [Camera("fast", 0.005), Camera("slow", 0.2)]
    dropped = {}
    for result in results(cameras, recognizer(Slow(0.02))):
        dropped[result.frame.source] = result.dropped
        if result.frame.source == "slow" and result.frame.index >= 5:
            break
    assert dropped["fast"] > 20
    assert dropped["slow"] <= 2


@pytest.fixture
def server(films: dict[str, Path]) -> Iterator[Server]:
    with serve(films, ("a", "small", 15), ("b", "small", 15), ("c", "wide", 15)) as running:
        yield running


def test_three_real_streams_go_on_while_one_of_them_is_away(server: Server) -> None:
    cameras = [open_video(server.uri(mount), timeout=2.0, backoff=(0.05, 0.2), first_picture=0.0) for mount in "abc"]
    a, b, c = (camera.name for camera in cameras)
    told: list[EventKind] = []
    seen: dict[str, list[int]] = {a: [], b: [], c: []}
    away: dict[str, int] = {}
    stop = time.monotonic() + LONG
    for result in results(cameras, recognizer()):
        assert time.monotonic() < stop
        told += [event.kind for event in result.events if event.source == c]
        if not result.repeated:
            seen[result.frame.source].append(number(result.frame.image))
        if not away and all(len(numbers) >= 15 for numbers in seen.values()):
            server.tell("freeze", "c")
            away = {name: len(numbers) for name, numbers in seen.items()}
        if told == [EventKind.SOURCE_LOST] and all(len(seen[name]) >= away[name] + 30 for name in (a, b)):
            server.tell("thaw", "c")
        if EventKind.SOURCE_BACK in told:
            break
    assert told[:2] == [EventKind.SOURCE_LOST, EventKind.SOURCE_BACK]
    for name in (a, b):
        assert seen[name] == sorted(set(seen[name]))
        # What the others showed while one was away reached the loop: hardly a gap.
        assert len(seen[name]) > 0.8 * (seen[name][-1] - seen[name][0])


class Failing(Camera):
    """Gives its frames, then raises."""

    def frames(self) -> Iterator[Frame]:
        yield from super().frames()
        raise SourceLost("the lens fell off")


def test_camera_that_raises_is_told_and_the_others_go_on_to_their_end() -> None:
    cameras = [Failing("fails", 0.01, count=3), Camera("a", 0.02, count=40)]
    seen: Counter[str] = Counter()
    told: list[tuple[str, EventKind]] = []
    with pytest.raises(SourceLost, match="lens"):
        for result in results(cameras, recognizer()):
            seen[result.frame.source] += not result.repeated
            told += [(event.source, event.kind) for event in result.events]
    assert seen["a"] > 30
    assert told == [("fails", EventKind.SOURCE_LOST)]


def test_hung_cameras_end_together_with_the_loop() -> None:
    cameras = [Hanging(str(place), 0.0) for place in range(4)]
    stream = results(cameras, recognizer())
    next(stream)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 6.0  # one after the other: 8 s
