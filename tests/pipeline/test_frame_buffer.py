from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rtface.pipeline.frame_buffer import FILE_DEPTH, FrameBuffer
from rtface.types import Frame

LONG = 20.0
"""Seconds after which a wait has failed; none of them is ever waited out."""


def frame(index: int, source: str = "fake") -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), index, index / 10, 0.0, source)


class Source:
    """Gives frames as its script says; ``over`` is set once it will give no more."""

    def __init__(
        self, count: int | None, *, live: bool, error: BaseException | None = None, name: str = "fake"
    ) -> None:
        self.name, self.live, self.stills, self.status = name, live, False, "streaming"
        self.over, self.closed = threading.Event(), threading.Event()
        self.given = 0
        self._count, self._error = count, error

    def frames(self) -> Iterator[Frame]:
        while self.given != self._count and not self.closed.is_set():
            self.given += 1
            yield frame(self.given - 1, self.name)
        self.over.set()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed.set()


class Waiting(Source):
    """Waits for a picture that never comes, until it is closed."""

    def frames(self) -> Iterator[Frame]:
        self.closed.wait()
        yield from ()


def wait(buffer: FrameBuffer, what: Callable[[], bool]) -> None:
    with buffer.condition:
        assert buffer.condition.wait_for(what, LONG)


def drain(buffer: FrameBuffer) -> list[int]:
    """Takes until the end, waiting as the loop does."""
    taken = []
    while not buffer.ended:
        wait(buffer, lambda: buffer.ready or buffer.ended)
        got = buffer.take()
        if got is not None:
            taken.append(got.index)
    return taken


def capture_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("capture ")]


def test_live_source_keeps_the_newest_frame_and_counts_the_rest() -> None:
    source = Source(7, live=True)
    with FrameBuffer(source) as buffer:
        assert source.over.wait(LONG)
        got = buffer.take()
        assert got is not None
        assert got.index == 6
        assert buffer.dropped == 6


def test_gaps_in_the_index_are_the_drops() -> None:
    source = Source(300, live=True)
    with FrameBuffer(source) as buffer:
        taken = drain(buffer)
        assert taken == sorted(set(taken))
        assert taken[-1] == 299
        assert buffer.dropped == 300 - len(taken)


def test_file_loses_nothing_and_its_reader_waits() -> None:
    source = Source(500, live=False)
    with FrameBuffer(source) as buffer:
        taken = []
        while not buffer.ended:
            wait(buffer, lambda: buffer.ready or buffer.ended)
            got = buffer.take()
            if got is not None:
                taken.append(got.index)
            # The frames that wait, and the one in the reader's hand.
            assert source.given - len(taken) <= FILE_DEPTH + 1
        assert taken == list(range(500))
        assert buffer.dropped == 0


def test_take_never_waits() -> None:
    with FrameBuffer(Waiting(0, live=True)) as buffer:
        assert buffer.take() is None
        assert not buffer.ended


def test_error_in_the_source_is_raised_after_the_frames_before_it_and_once() -> None:
    error = OSError("the lens fell off")
    with FrameBuffer(Source(3, live=False, error=error)) as buffer:
        for index in range(3):
            wait(buffer, lambda: buffer.ready)
            got = buffer.take()
            assert got is not None
            assert got.index == index
        wait(buffer, lambda: buffer.ready)
        assert not buffer.ended
        with pytest.raises(OSError, match="lens fell off"):
            buffer.take()
        assert buffer.take() is None
        assert buffer.ended


def test_closing_frees_a_reader_that_waits_for_room() -> None:
    source = Source(None, live=False)
    buffer = FrameBuffer(source)
    buffer.start()
    wait(buffer, lambda: buffer.ready)
    buffer.close()
    assert source.closed.is_set()
    assert capture_threads() == []
    assert buffer.ended
    assert buffer.take() is None


def test_closing_frees_a_source_that_waits_for_a_picture() -> None:
    buffer = FrameBuffer(Waiting(0, live=True))
    buffer.start()
    buffer.close()
    assert capture_threads() == []


def test_closing_wakes_whoever_waits_for_a_frame() -> None:
    buffer = FrameBuffer(Waiting(0, live=True))
    buffer.start()
    inside = threading.Event()
    woken: list[bool] = []

    def consume() -> None:
        with buffer.condition:
            inside.set()
            woken.append(buffer.condition.wait_for(lambda: buffer.ended, LONG))

    consumer = threading.Thread(target=consume)
    consumer.start()
    assert inside.wait(LONG)
    buffer.close()
    consumer.join(LONG)
    assert woken == [True]


def test_opening_and_closing_can_be_repeated_and_come_in_any_order() -> None:
    never = FrameBuffer(Source(1, live=False))
    never.close()
    never.start()
    never.close()
    assert never.ended
    twice = FrameBuffer(Source(5, live=False))
    twice.start()
    twice.start()
    assert drain(twice) == list(range(5))
    twice.close()
    twice.close()
    assert capture_threads() == []


def test_several_sources_wake_one_waiter() -> None:
    condition = threading.Condition()
    sources = [Source(40, live=False, name=name) for name in ("a", "b", "c")]
    buffers = [FrameBuffer(source, condition) for source in sources]
    taken: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for buffer in buffers:
        buffer.start()
    while running := [buffer for buffer in buffers if not buffer.ended]:
        with condition:
            assert condition.wait_for(lambda now=running: any(b.ready or b.ended for b in now), LONG)  # type: ignore[misc]
        for buffer in running:
            got = buffer.take()
            if got is not None:
                taken[got.source].append(got.index)
    for buffer in buffers:
        buffer.close()
    assert taken == {name: list(range(40)) for name in "abc"}


class Fickle(Waiting):
    """Tells that it is lost, from the capture thread."""

    on_status: Callable[[], None] | None = None

    def frames(self) -> Iterator[Frame]:
        self.status = "reconnecting"
        assert self.on_status is not None
        self.on_status()
        yield from super().frames()


def test_change_of_status_wakes_the_loop_without_a_frame() -> None:
    with FrameBuffer(Fickle(0, live=True)) as buffer:
        wait(buffer, lambda: buffer.ready)
        assert buffer.status == "reconnecting"
        assert buffer.take() is None
        assert not buffer.ready  # told once
