from __future__ import annotations

import threading

import pytest

from rtface.errors import SinkError
from rtface.sinks.queued import open as queue
from rtface.types import EventKind, FrameResult
from tests.sinks.results import event, result

LONG = 20.0
"""Seconds after which a wait has failed; none of them is ever waited out."""

NEVER = 10**9


class Slow:
    """Writes one result each time it is let; an open gate lets everything through."""

    def __init__(self, *, fails_from: int = NEVER, stops_from: int = NEVER) -> None:
        self.written: list[int] = []
        self.closed = False
        self.threads: set[str] = set()
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self._fails_from, self._stops_from = fails_from, stops_from

    def write(self, shown: FrameResult) -> bool:
        self.begun.release()
        assert self.gate.acquire(timeout=LONG)
        self.threads.add(threading.current_thread().name)
        if shown.frame.index >= self._fails_from:
            raise SinkError("the disk is full")
        self.written.append(shown.frame.index)
        return shown.frame.index < self._stops_from

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed = True

    def let(self, count: int) -> None:
        self.gate.release(count)


def test_everything_is_written_in_order_and_then_closed_in_one_other_thread() -> None:
    slow = Slow()
    quick = queue(slow, depth=50)
    slow.let(50)
    assert all(quick.write(result(index)) for index in range(50))
    quick.close()
    assert slow.written == list(range(50))
    assert slow.closed
    assert len(slow.threads) == 1
    assert threading.current_thread().name not in slow.threads
    assert quick.dropped == 0


def test_a_sink_that_hangs_costs_results_not_time() -> None:
    slow = Slow()
    quick = queue(slow, depth=3)
    quick.write(result(0))
    assert slow.begun.acquire(timeout=LONG)  # it holds the first, and three can wait
    assert all(quick.write(result(index)) for index in range(1, 11))
    assert quick.dropped == 7
    slow.let(100)
    quick.close()
    assert slow.written == [0, 8, 9, 10]


def test_results_with_events_are_the_last_to_be_dropped() -> None:
    slow = Slow()
    quick = queue(slow, depth=3)
    quick.write(result(0))
    assert slow.begun.acquire(timeout=LONG)
    for index in range(1, 11):
        quick.write(result(index, events=(event(EventKind.APPEARED),) if index in (2, 5) else ()))
    slow.let(100)
    quick.close()
    assert slow.written == [0, 2, 5, 10]


def test_lossless_waits_for_room() -> None:
    slow = Slow()
    quick = queue(slow, depth=2, lossless=True)
    done = threading.Event()

    def feed() -> None:
        for index in range(20):
            quick.write(result(index))
        done.set()

    threading.Thread(target=feed, daemon=True).start()
    for _ in range(17):  # with 17 written, one in work and two waiting, the last has gone in
        assert not done.is_set()
        assert slow.begun.acquire(timeout=LONG)
        slow.let(1)
    assert done.wait(LONG)
    slow.let(3)
    quick.close()
    assert slow.written == list(range(20))
    assert quick.dropped == 0


def test_an_error_is_raised_by_the_next_write_and_the_sink_still_closed() -> None:
    slow = Slow(fails_from=1)
    quick = queue(slow)
    slow.let(100)
    quick.write(result(0))
    quick.write(result(1))
    with pytest.raises(SinkError, match="disk is full"):
        for index in range(2, 100_000):
            quick.write(result(index))
    quick.close()  # told already
    assert slow.closed
    assert set(slow.written) <= {0}  # a full queue may have dropped it


def test_an_error_in_the_last_result_is_raised_by_close() -> None:
    slow = Slow(fails_from=1)
    quick = queue(slow)
    quick.write(result(0))
    quick.write(result(1))
    slow.let(100)
    with pytest.raises(SinkError, match="disk is full"):
        quick.close()
    assert slow.closed


def test_an_error_frees_a_writer_that_waits_for_room() -> None:
    slow = Slow(fails_from=0)
    quick = queue(slow, depth=1, lossless=True)
    quick.write(result(0))
    assert slow.begun.acquire(timeout=LONG)
    quick.write(result(1))
    told: list[str] = []

    def feed() -> None:
        try:
            for index in range(2, 5):
                quick.write(result(index))
        except SinkError as error:
            told.append(str(error))

    feeder = threading.Thread(target=feed)
    feeder.start()
    slow.let(1)
    feeder.join(LONG)
    assert told == ["the disk is full"]
    quick.close()


def test_the_wish_to_stop_comes_through() -> None:
    slow = Slow(stops_from=2)
    quick = queue(slow)
    slow.let(100)
    index = 0
    while quick.write(result(index)):
        index += 1
        assert index < 100_000
    quick.close()
    assert slow.written[-1] >= 2


def test_a_sink_that_never_comes_back_is_left_behind_when_closed() -> None:
    slow = Slow()
    quick = queue(slow, patience=0.05)
    quick.write(result(0))
    quick.close()
    assert not slow.closed
    assert not quick.write(result(1))
    slow.let(10)


def test_closing_twice_is_closing_once() -> None:
    quick = queue(Slow())
    quick.close()
    quick.close()
