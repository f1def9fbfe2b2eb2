"""A loop on an artificial clock, without threads: frames that are due, parts that take their time, a diary of calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtface.interfaces import PendingRows
from rtface.pipeline.frame_buffer import FrameBuffer
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.loop import Rounds
from rtface.pipeline.recognizer import Recognizer, TrackRules
from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, Frame, FrameResult, Image
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery, Given, ScriptedSource, detection, paint

T = TypeVar("T")
ADA, BOB, STRANGER = 60, 120, 180
FACE = [detection(50, 60)]
IMAGE = paint({(50, 60): ADA})


class Clock:
    """Stands still unless somebody works or waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.diary: list[str] = []

    def __call__(self) -> float:
        return self.now

    def until(self, at: float) -> None:
        self.now = max(self.now, at)


class Due(FrameBuffer):
    """Frames that come at set times, as a file's (each waits) or a camera's (the newest wins)."""

    def __init__(
        self,
        clock: Clock,
        images: Sequence[Image],
        *,
        fps: float = 0.0,
        first: float = 0.0,
        live: bool = False,
        name: str = "cam",
        error: Exception | None = None,
    ) -> None:
        """All frames wait from the beginning where ``fps`` is 0."""
        super().__init__(ScriptedSource([], name=name, live=live))
        self.clock = clock
        self.fault = error
        self.lost = 0
        times = [first + i / fps if fps else first for i in range(len(images))]
        self.coming = deque(
            Frame(image, i, i / (fps or 30), at, name) for i, (image, at) in enumerate(zip(images, times, strict=True))
        )

    @property
    def ready(self) -> bool:
        return not self.coming or self.coming[0].received_at <= self.clock.now

    @property
    def ended(self) -> bool:
        return not self.coming and self.fault is None

    @property
    def dropped(self) -> int:
        return self.lost

    def take(self) -> Frame | None:
        if not self.coming and self.fault is not None:
            error, self.fault = self.fault, None
            raise error
        due = [frame for frame in self.coming if frame.received_at <= self.clock.now]
        taken = due if self.source.live else due[:1]
        for _ in taken:
            self.coming.popleft()
        self.lost += max(len(taken) - 1, 0)
        return taken[-1] if taken else None


class Waiting(threading.Condition):
    """Waits by moving the clock to the next frame."""

    def __init__(self, clock: Clock, buffers: Sequence[Due]) -> None:
        super().__init__()
        self.clock, self.buffers = clock, buffers

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        if not predicate():
            self.clock.until(min(buffer.coming[0].received_at for buffer in self.buffers if buffer.coming))
        fulfilled = predicate()
        assert fulfilled
        return fulfilled


class TimedDetector(FakeDetector):
    """Takes ``seconds`` a picture; fails at one of them."""

    def __init__(
        self,
        clock: Clock,
        seconds: float = 0.0,
        script: Sequence[Sequence[Detection]] = (FACE,),
        *,
        failing: tuple[int, BaseException] | None = None,
    ) -> None:
        super().__init__(script)
        self.clock, self.seconds, self.failing = clock, seconds, failing

    def detect(self, image: Image) -> list[Detection]:
        number = self.calls
        self.clock.diary.append(f"detect {number}")
        self.clock.now += self.seconds
        found = super().detect(image)
        if self.failing and self.failing[0] == number:
            raise self.failing[1]
        return found


class TimedEmbedder(FakeEmbedder):
    """Takes ``seconds`` a batch, and its caller with it."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def launch(self, crops: NDArray[np.uint8]) -> PendingRows:
        self.clock.diary.append(f"embed {len(self.batches)}")
        self.clock.now += self.seconds
        return Given(self.embed(crops))


class AsyncEmbedder(TimedEmbedder):
    """Takes ``seconds`` a batch elsewhere; fails at one of them. It cannot do two at a time."""

    asynchronous = True

    def __init__(self, clock: Clock, seconds: float = 0.0, *, failing: tuple[int, Exception] | None = None) -> None:
        super().__init__(clock, seconds)
        self.failing = failing
        self.under_way = 0

    def launch(self, crops: NDArray[np.uint8]) -> PendingRows:
        assert not self.under_way, "a launch before the one before it was collected"
        self.under_way += 1
        self.clock.diary.append(f"launch {len(self.batches)}")
        return _Elsewhere(self, len(self.batches), self.embed(crops), self.clock.now + self.seconds)


class _Elsewhere(Given):
    """Rows that are there at a time."""

    def __init__(self, embedder: AsyncEmbedder, number: int, rows: NDArray[np.float32], at: float) -> None:
        super().__init__(rows)
        self.embedder, self.number, self.at = embedder, number, at

    def collect(self) -> NDArray[np.float32]:
        assert self.embedder.under_way, "collected twice"
        self.embedder.under_way -= 1
        self.embedder.clock.diary.append(f"collect {self.number}")
        self.embedder.clock.until(self.at)
        if self.embedder.failing and self.embedder.failing[0] == self.number:
            raise self.embedder.failing[1]
        return super().collect()


def recognizer(
    detector: FakeDetector, embedder: FakeEmbedder, clock: Clock, *, full_look_s: float = 0.0, new_face_s: float = 0.0
) -> Recognizer:
    """Ada and Bob are known; a track is confirmed at once and named on its third vote."""
    judge = Judge(FakeGallery({"Ada": ADA, "Bob": BOB}), {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    return Recognizer(
        detector,
        embedder,
        judge,
        TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0),
        lambda stills: FaceTracker(confirm_hits=1),
        full_look_s=full_look_s,
        new_face_s=new_face_s,
        clock=clock,
    )


def rounds(buffers: Sequence[Due], part: Recognizer) -> Rounds:
    return Rounds(buffers, part, Waiting(buffers[0].clock, buffers))


def told(results: Sequence[FrameResult]) -> list[tuple[Any, ...]]:
    """All that is in results but how long it took and events' ids, which differ from run to run."""
    return [
        (
            result.frame.source,
            result.frame.index,
            [(t.id, t.box.tolist(), t.state, t.first_seen, t.last_seen, t.identity) for t in result.tracks],
            [
                {part.name: getattr(event, part.name) for part in fields(event) if part.name != "id"}
                for event in result.events
            ],
            list(result.timings),
            result.dropped,
            result.repeated,
        )
        for result in results
    ]
