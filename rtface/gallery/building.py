"""A graph for a gallery, as wide and looked through as hard as a recall target needs."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rtface.errors import GalleryError
from rtface.gallery.cache import Saved
from rtface.gallery.database import Database
from rtface.gallery.graph import ALL, HnswIndex
from rtface.gallery.index import Labels, Rows
from rtface.gallery.recall import Tuning, tune
from rtface.gallery.subspace import Subspace, fitted

log = logging.getLogger(__name__)

Blocks = Callable[[], Iterator[tuple[Labels, Rows]]]
"""Gives all labels and rows of a gallery, some thousands at a time, again whenever it is called."""

PART = 500
"""Rows added at once: a second on one core."""
BEHIND = 15
"""Niceness of a thread that builds beside."""
PILOT = 20_000
"""Rows by which a graph is designed before the others are added."""
LINKS = (16, 32)
"""``M`` that are tried, from the smallest."""
PILOT_EFFORT = 96
"""``ef`` above which more links are the cheaper way: of 20,000 FaceNet rows M 16 finds 0.998 with ef 256, M 32 0.997
with 64, in half the time, for 30 % more building (``tests/benchmarks/search.py --libraries hnswlib --links 16 32``)."""


Pulse = Callable[[], None]
"""Called every second or so; what it raises ends the building."""


def build(
    blocks: Blocks, size: int, rows: int, target: float, *, threads: int = ALL, pulse: Pulse = lambda: None
) -> tuple[HnswIndex, Tuning]:
    """A graph of all rows, and what it reaches.

    Args:
        blocks: of the rows.
        size: D, numbers in a row.
        rows: how many there are.
        target: recall@1 wanted, 0..1.
        threads: that add rows.
        pulse: see there.
    """
    plan = _Plan(size, rows, target, threads, pulse)
    graph = _designed(blocks, plan, narrow=True) or _designed(blocks, plan, narrow=False)
    assert graph is not None, "every row fits a graph of whole rows"
    graph.threads = ALL
    tuning = tune(graph, target, pulse=pulse)
    log.info(
        "index of %d rows: M %d, ef %d beyond %.2f, recall@1 %.4f",
        *(rows, graph.links, tuning.effort, tuning.near, tuning.recall),
    )
    return graph, tuning


@dataclass(frozen=True, slots=True)
class _Plan:
    size: int
    rows: int
    target: float
    threads: int
    pulse: Pulse


def _designed(blocks: Blocks, plan: _Plan, *, narrow: bool) -> HnswIndex | None:
    """The graph, in a subspace if the first rows fit one; None where a later row does not."""
    rest = blocks()
    labels, first = _pilot(rest, plan.size)
    graph = _pilot_graph(labels, first, plan, fitted(first) if narrow else None)
    for more, block in rest:
        if not graph.fits(block):
            return None
        _add(graph, more, block, plan.pulse)
    return graph


def _add(graph: HnswIndex, labels: Labels, rows: Rows, pulse: Pulse) -> None:
    for start in range(0, len(labels), PART):
        pulse()
        graph.add(labels[start : start + PART], rows[start : start + PART])


def _pilot(blocks: Iterator[tuple[Labels, Rows]], size: int) -> tuple[Labels, Rows]:
    labels, rows = [np.empty(0, np.int64)], [np.empty((0, size), np.float32)]
    count = 0
    while count < PILOT and (block := next(blocks, None)) is not None:
        labels.append(block[0])
        rows.append(block[1])
        count += len(block[0])
    return np.concatenate(labels), np.concatenate(rows)


def _pilot_graph(labels: Labels, rows: Rows, plan: _Plan, space: Subspace | None) -> HnswIndex:
    """The narrowest that is searched cheaply, else the widest."""
    for links in LINKS:
        graph = HnswIndex(plan.size, links=links, room=plan.rows, space=space, threads=plan.threads)
        _add(graph, labels, rows, plan.pulse)
        tuning = tune(graph, plan.target, pulse=plan.pulse)
        if tuning.reached and tuning.effort <= PILOT_EFFORT:
            break
    return graph


class BuildBeside:
    """Work in a thread with a connection of its own, on one core, behind everything else where the system can."""

    def __init__(self, connect: Callable[[], Database], work: Callable[[Database, Pulse], Saved]) -> None:
        """Begins. ``connect`` and ``work`` are called in the thread."""
        self.result: Saved | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(connect, work), name="index", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended; ``result`` is None then if it failed, which the log explains."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ends it within a second or two."""
        self._stopped.set()
        self._thread.join()

    def _run(self, connect: Callable[[], Database], work: Callable[[Database, Pulse], Saved]) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        try:
            database = connect()
            try:
                self.result = work(database, self._pulse)
            finally:
                database.close()
        except _StoppedError:
            log.debug("the building of an index was ended")
        except (GalleryError, MemoryError) as error:
            log.warning("the index could not be built beside the searching: %s", error)

    def _pulse(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    pass
