"""The loop: every frame of a file, errors raised, threads gone, events at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from rtface.errors import SourceLost
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.loop import results, run
from rtface.pipeline.recognizer import Recognizer, TrackRules
from rtface.tracking.tracker import FaceTracker
from rtface.types import EventKind, Frame, FrameResult
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery, ScriptedSource, detection, paint

ADA = 60
IMAGE = paint({(50, 60): ADA})


def recognizer() -> Recognizer:
    judge = Judge(FakeGallery({"Ada": ADA}), {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    rules = TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0)
    return Recognizer(FakeDetector([[detection(50, 60)]]), FakeEmbedder(), judge, rules, lambda stills: FaceTracker())


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture")]


class Collector:
    """A sink that keeps what it gets and stops after so many."""

    def __init__(self, most: int = 10**9) -> None:
        self.got: list[FrameResult] = []
        self.most = most

    def write(self, result: FrameResult) -> bool:
        self.got.append(result)
        return len(self.got) < self.most

    def close(self) -> None:
        pass


def test_every_frame_of_a_file_has_a_result_in_order() -> None:
    source = ScriptedSource([IMAGE] * 40)
    got = [result for result in results([source], recognizer()) if not result.repeated]
    assert [result.frame.index for result in got] == list(range(40))
    assert all(result.dropped == 0 for result in got)
    assert source.closed
    assert not capture_threads()


def test_everybody_leaves_when_a_file_ends_and_the_frame_is_not_counted_twice() -> None:
    got = list(results([ScriptedSource([IMAGE] * 20)], recognizer()))
    assert [result.repeated for result in got] == [False] * 20 + [True]
    assert [event.kind for event in got[-1].events] == [EventKind.LEFT]
    assert got[-1].tracks == ()


def test_two_files_end_each_by_itself() -> None:
    sources = [ScriptedSource([IMAGE] * 10, name="a"), ScriptedSource([IMAGE] * 25, name="b")]
    got = [result for result in results(sources, recognizer()) if not result.repeated]
    for name, count in (("a", 10), ("b", 25)):
        assert [result.frame.index for result in got if result.frame.source == name] == list(range(count))


def test_an_error_in_a_source_is_raised_after_the_frames_before_it() -> None:
    source = ScriptedSource([IMAGE] * 5, error=SourceLost("gone"))
    got: list[FrameResult] = []
    with pytest.raises(SourceLost, match="gone"):
        got.extend(results([source], recognizer()))
    assert source.closed
    assert not capture_threads()


def test_closing_the_stream_early_stops_the_threads() -> None:
    source = ScriptedSource([IMAGE] * 1000)
    stream = results([source], recognizer())
    next(stream)
    stream.close()
    assert source.closed
    assert not capture_threads()


def test_max_frames_counts_frames() -> None:
    assert len(list(results([ScriptedSource([IMAGE] * 100)], recognizer(), max_frames=7))) == 7


def test_a_source_that_breaks_off_and_comes_back_is_told() -> None:
    class Flaky(ScriptedSource):
        """Goes away in the middle until it is let back."""

        on_status: Callable[[], None] = staticmethod(lambda: None)
        back = threading.Event()

        def frames(self) -> Iterator[Frame]:
            for frame in super().frames():
                if frame.index == 5:
                    self.status = "reconnecting"
                    self.on_status()
                    assert self.back.wait(10)
                    self.status = "streaming"
                yield frame

    source = Flaky([IMAGE] * 12, live=False)
    told: list[EventKind] = []
    frames = 0
    for result in results([source], recognizer()):
        frames += not result.repeated
        told += [event.kind for event in result.events if event.track_id == 0]
        if told == [EventKind.SOURCE_LOST]:
            source.back.set()
    assert told == [EventKind.SOURCE_LOST, EventKind.SOURCE_BACK]
    assert frames == 12


def test_every_sink_gets_the_frame_on_which_one_asks_to_stop() -> None:
    stops, goes_on = Collector(most=3), Collector()
    run(results([ScriptedSource([IMAGE] * 100)], recognizer()), [stops, goes_on])
    assert len(stops.got) == len(goes_on.got) == 3


def indexes(got: Sequence[FrameResult]) -> list[int]:
    return [result.frame.index for result in got]


def test_the_same_file_twice_gives_the_same_tracks() -> None:
    first, second = (list(results([ScriptedSource([IMAGE] * 30)], recognizer())) for _ in range(2))
    assert indexes(first) == indexes(second)
    assert [[(t.id, t.box.tolist(), t.identity) for t in r.tracks] for r in first] == [
        [(t.id, t.box.tolist(), t.identity) for t in r.tracks] for r in second
    ]
