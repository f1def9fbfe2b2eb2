"""Memory, processor, threads, files: against what the test itself takes."""

from __future__ import annotations

import mmap
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from rtface.pipeline import resources
from rtface.pipeline.resources import ResourceLog, Sample

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


class Clock:
    now = 7.0

    def __call__(self) -> float:
        return self.now


@linux
def test_memory_is_what_is_taken() -> None:
    size = 64 * 1024 * 1024
    # Straight from the system: an allocator would give what others have freed before.
    block = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    before = resources.rss_mb()
    block[:] = 1
    taken = resources.rss_mb()
    assert before is not None
    assert taken is not None
    assert taken - before == pytest.approx(64, abs=8)
    peak = resources.peak_rss_mb()
    assert peak is not None
    assert peak >= taken - 1
    assert block.sum() == block.size


@linux
def test_threads_and_open_files_are_counted(tmp_path: Path) -> None:
    before = resources.sample(0.0)
    done = threading.Event()
    waiters = [threading.Thread(target=done.wait) for _ in range(3)]
    with ExitStack() as stack:
        for place in range(4):
            stack.enter_context((tmp_path / str(place)).open("w"))
        for waiter in waiters:
            waiter.start()
        during = resources.sample(1.0)
        done.set()
    for waiter in waiters:
        waiter.join()
    assert before.handles is not None
    assert during.handles == before.handles + 4
    assert during.threads >= before.threads + 3  # libraries may start some of their own meanwhile


def test_processor_time_is_a_share_of_all_cores() -> None:
    log = ResourceLog()
    began, busy = time.perf_counter(), time.process_time()
    while time.process_time() - busy < 0.05:
        pass
    log.tick()
    passed = time.perf_counter() - began
    told = log.cpu()
    assert told["cores_used"] == pytest.approx(0.05 / passed, rel=0.25)
    assert told["share"] == pytest.approx(told["cores_used"] / told["cores"], abs=1e-3)


def test_one_look_a_second_and_the_first_is_a_minute_in() -> None:
    clock, looks = Clock(), list[float]()

    def look(at: float) -> Sample:
        looks.append(at)
        return Sample(at, 900 - at if at < 60 else 300 + at, 5 if at >= 60 else 8, 9)

    log = ResourceLog(clock, look)
    for _ in range(1000):
        log.tick()
        clock.now += 0.1
    assert 90 <= len(looks) <= 100
    report = log.as_json()
    assert report["first"] == {"at": pytest.approx(60, abs=1.2), "rss_mb": pytest.approx(360, abs=2)} | counts()
    assert report["last"] == {"at": pytest.approx(99, abs=1.2), "rss_mb": pytest.approx(399, abs=2)} | counts()
    assert report["most"] == report["last"]  # what was before the first minute is over
    at, rss = log.memory
    assert len(at) == len(rss) == len(looks)


def counts() -> dict[str, int]:
    return {"threads": 5, "handles": 9}


def test_a_short_run_starts_from_its_first_look() -> None:
    clock = Clock()
    log = ResourceLog(clock, lambda at: Sample(at, 10.0, 1, None))
    for _ in range(5):
        log.tick()
        clock.now += 1
    report = log.as_json()
    assert report["first"] == {"at": 0.0, "rss_mb": 10.0, "threads": 1, "handles": None}
    assert ResourceLog(clock).as_json() == {}


def test_what_the_system_does_not_tell_is_left_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resources, "_PROC", tmp_path / "nothing")
    seen = resources.sample(3.0)
    assert (seen.rss_mb, seen.handles) == (None, None)
    assert seen.threads >= 1
    log = ResourceLog()
    log.tick()
    assert log.memory[0].tolist() == []
