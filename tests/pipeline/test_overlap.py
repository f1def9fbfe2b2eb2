"""Detection beside embedding: when it happens, that it changes no verdict, and that nothing is lost or left running."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import pytest

from rtface.errors import BackendError, SourceLost
from rtface.pipeline.loop import results, run
from rtface.pipeline.timing import Stopwatch
from rtface.types import Detection, EventKind, FrameResult, Image
from tests.fakes import ScriptedSource, detection, paint
from tests.pipeline.clockwork import (
    ADA,
    BOB,
    IMAGE,
    STRANGER,
    AsyncEmbedder,
    Clock,
    Due,
    TimedDetector,
    TimedEmbedder,
    recognizer,
    rounds,
    told,
)

DETECTION_S, EMBEDDING_S = 0.005, 0.008


def indexes(got: Sequence[FrameResult], source: str = "cam") -> list[int]:
    return [result.frame.index for result in got if not result.repeated and result.frame.source == source]


def kinds(got: Sequence[FrameResult], source: str = "cam") -> list[EventKind]:
    return [event.kind for result in got for event in result.events if event.source == source]


def test_next_frame_of_a_file_is_detected_while_this_one_is_embedded() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock), AsyncEmbedder(clock), clock)
    got = list(rounds([Due(clock, [IMAGE] * 4)], part).results())
    assert indexes(got) == [0, 1, 2, 3]
    assert clock.diary == [
        "detect 0",
        *["launch 0", "detect 1", "collect 0"],
        *["launch 1", "detect 2", "collect 1"],
        *["launch 2", "detect 3", "collect 2"],
        *["launch 3", "collect 3"],
    ]


def test_frames_of_every_file_that_waits_are_detected_beside_one_embedding() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock), AsyncEmbedder(clock), clock)
    files = [Due(clock, [IMAGE] * 2, name=name) for name in ("a", "b")]
    got = list(rounds(files, part).results())
    first = ["detect 0", "detect 1", "launch 0", "detect 2", "detect 3", "collect 0"]
    assert clock.diary == [*first, "launch 1", "collect 1"]
    assert indexes(got, "a") == indexes(got, "b") == [0, 1]


def test_nothing_is_detected_ahead_where_nobody_is_embedded() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock, script=[[]]), AsyncEmbedder(clock), clock)
    stream = rounds([Due(clock, [IMAGE] * 3)], part).results()
    next(stream)
    assert clock.diary == ["detect 0"]


def test_nothing_is_detected_ahead_of_an_embedder_that_computes_at_once() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock), TimedEmbedder(clock), clock)
    stream = rounds([Due(clock, [IMAGE] * 3)], part).results()
    for number in range(3):
        next(stream)
        assert clock.diary[2 * number :] == [f"detect {number}", f"embed {number}"]


class Blobs(TimedDetector):
    """Finds whatever is painted, in whatever part of a picture it is shown."""

    def detect(self, image: Image) -> list[Detection]:
        super().detect(image)
        count, _, boxes, _ = cv2.connectedComponentsWithStats((image[:, :, 1] > 0).astype(np.uint8))
        found = [(left, top, min(width, height)) for left, top, width, height, _ in boxes[1:count].tolist()]
        return [detection(left, top, side) for left, top, side in found if side >= 40]


def film(seed: int, length: int = 60) -> list[Image]:
    """Two people walk about, go, come back and are exchanged by others."""
    rng = np.random.default_rng(seed)
    people = [ADA, BOB]
    places = np.array([[20.0, 60.0], [200.0, 100.0]])
    images = []
    for _ in range(length):
        places += rng.normal(0, 2, places.shape)
        if rng.random() < 0.06:
            people[rng.integers(2)] = int(rng.choice([0, ADA, BOB, STRANGER]))
        if rng.random() < 0.03:
            people.reverse()
        x, y = np.clip(places, [[0, 0], [170, 0]], [[80, 150], [240, 150]]).astype(int).T
        images.append(paint({(int(x[i]), int(y[i])): people[i] for i in range(2) if people[i]}))
    return images


@pytest.mark.parametrize("seed", range(3))
def test_same_film_gives_the_same_results_in_both_orders(seed: int) -> None:
    got = []
    diaries = []
    for kind in (TimedEmbedder, AsyncEmbedder):
        clock = Clock()
        part = recognizer(Blobs(clock), kind(clock), clock, full_look_s=0.5, new_face_s=0.1)
        films = [Due(clock, film(seed + 10 * camera), name=f"camera {camera}") for camera in range(2)]
        got.append(told(list(rounds(films, part).results())))
        diaries.append([entry.split()[0] for entry in clock.diary])
    assert got[0] == got[1]
    seen = {event["kind"] for result in got[0] for event in result[3]}
    assert {EventKind.APPEARED, EventKind.IDENTIFIED, EventKind.LEFT} <= seen
    pairs = list(zip(diaries[1], diaries[1][1:], strict=False))
    assert pairs.count(("launch", "detect")) > 10, "the orders were the same"


def test_failing_detection_waits_until_the_frame_before_is_told() -> None:
    clock = Clock()
    embedder = AsyncEmbedder(clock)
    part = recognizer(TimedDetector(clock, failing=(2, BackendError("no memory"))), embedder, clock)
    stream = rounds([Due(clock, [IMAGE] * 9)], part).results()
    assert [next(stream).frame.index for _ in range(2)] == [0, 1]
    assert clock.diary[-3:] == ["launch 1", "detect 2", "collect 1"]
    with pytest.raises(BackendError, match="no memory"):
        next(stream)
    assert not embedder.under_way


def test_failing_embedding_ends_the_stream_with_nothing_under_way() -> None:
    clock = Clock()
    embedder = AsyncEmbedder(clock, failing=(1, BackendError("the card is gone")))
    stream = rounds([Due(clock, [IMAGE] * 9)], recognizer(TimedDetector(clock), embedder, clock)).results()
    assert next(stream).frame.index == 0
    with pytest.raises(BackendError, match="gone"):
        next(stream)
    assert not embedder.under_way


def test_source_that_fails_while_a_round_is_under_way_has_every_frame_told() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock), AsyncEmbedder(clock), clock)
    fails = Due(clock, [IMAGE] * 5, error=SourceLost("gone"))
    got: list[FrameResult] = []
    stream = rounds([fails, Due(clock, [IMAGE] * 8, name="other")], part).results()
    with pytest.raises(SourceLost, match="gone"):
        while True:
            got.append(next(stream))
    assert indexes(got) == [0, 1, 2, 3, 4]
    assert indexes(got, "other") == list(range(8))
    assert kinds(got)[-2:] == [EventKind.SOURCE_LOST, EventKind.LEFT]
    assert kinds(got, "other")[-1] is EventKind.LEFT


def test_source_whose_last_frame_was_detected_ahead_ends_after_that_frame() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock, DETECTION_S), AsyncEmbedder(clock, EMBEDDING_S), clock)
    late = Due(clock, [IMAGE], first=DETECTION_S / 2, name="late")  # comes during the first detection
    got = list(rounds([Due(clock, [IMAGE] * 3), late], part).results())
    assert [(result.frame.index, result.repeated) for result in got if result.frame.source == "late"] == [
        (0, False),
        (0, True),
    ]
    assert kinds(got, "late") == [EventKind.APPEARED, EventKind.LEFT]
    assert indexes(got) == [0, 1, 2]


def test_frame_detected_ahead_waits_for_no_other_frame() -> None:
    clock = Clock()
    part = recognizer(TimedDetector(clock, DETECTION_S), AsyncEmbedder(clock, EMBEDDING_S), clock)
    slow = [Due(clock, [IMAGE] * 2, fps=0.1, first=at, name=name) for name, at in (("a", 0.0), ("b", DETECTION_S / 2))]
    stream = rounds(slow, part).results()
    assert [next(stream).frame.source for _ in range(2)] == ["a", "b"]
    assert clock.now == pytest.approx(DETECTION_S + 2 * EMBEDDING_S)


def test_interrupted_detection_leaves_no_embedding_under_way() -> None:
    clock = Clock()
    embedder = AsyncEmbedder(clock)
    part = recognizer(TimedDetector(clock, failing=(1, KeyboardInterrupt())), embedder, clock)
    with pytest.raises(KeyboardInterrupt):
        next(rounds([Due(clock, [IMAGE] * 9)], part).results())
    assert clock.diary == ["detect 0", "launch 0", "detect 1", "collect 0"]
    assert not embedder.under_way


def test_interruption_is_told_and_not_what_became_of_the_abandoned_embedding() -> None:
    clock = Clock()
    embedder = AsyncEmbedder(clock, failing=(0, BackendError("the card is gone")))
    part = recognizer(TimedDetector(clock, failing=(1, KeyboardInterrupt())), embedder, clock)
    with pytest.raises(KeyboardInterrupt):
        next(rounds([Due(clock, [IMAGE] * 9)], part).results())


class Stopping:
    """A sink that asks to stop."""

    def write(self, result: FrameResult) -> bool:
        return result.frame.index < 3

    def close(self) -> None:
        pass


@pytest.mark.parametrize("most", [None, 4])
def test_stopped_stream_leaves_no_embedding_under_way(most: int | None) -> None:
    clock = Clock()
    embedder = AsyncEmbedder(clock)
    source = ScriptedSource([IMAGE] * 100)
    stream = results([source], recognizer(TimedDetector(clock), embedder, clock), max_frames=most)
    if most:
        assert len(list(stream)) == most
    else:
        run(stream, [Stopping()])
        stream.close()
    assert len(embedder.batches) == 4
    assert not embedder.under_way
    assert source.closed


def test_every_frame_of_a_file_read_by_a_thread_has_its_result_once() -> None:
    clock = Clock()
    got = list(results([ScriptedSource([IMAGE] * 60)], recognizer(TimedDetector(clock), AsyncEmbedder(clock), clock)))
    assert indexes(got, "script") == list(range(60))


def test_time_of_recognition_is_the_time_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    for place in ("loop", "recognizer"):
        monkeypatch.setattr(f"rtface.pipeline.{place}.Stopwatch", partial(Stopwatch, clock))
    part = recognizer(TimedDetector(clock, DETECTION_S), AsyncEmbedder(clock, EMBEDDING_S), clock)
    got = [result for result in rounds([Due(clock, [IMAGE] * 3)], part).results() if not result.repeated]
    assert [result.timings["detect"] for result in got] == pytest.approx([1e3 * DETECTION_S] * 3)
    beside = 1e3 * (EMBEDDING_S - DETECTION_S)
    assert [result.timings["recognize"] for result in got] == pytest.approx([beside, beside, 1e3 * EMBEDDING_S])
    spent = sum(ms for result in got for stage, ms in result.timings.items() if stage != "age")
    assert spent == pytest.approx(1e3 * clock.now), "the stages do not add up to the time that passed"


def test_processing_frames_by_themselves_waits_for_what_it_launches() -> None:
    got = []
    for kind in (TimedEmbedder, AsyncEmbedder):
        clock = Clock()
        part = recognizer(TimedDetector(clock), kind(clock), clock)
        frame = Due(clock, [IMAGE]).take()
        assert frame is not None
        got.append(told(part.process([frame])))
    assert got[0] == got[1]
