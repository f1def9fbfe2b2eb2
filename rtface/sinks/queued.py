"""Any sink behind a bounded queue and a thread of its own, so that a slow disk or network never holds the loop back."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from rtface.interfaces import Sink
from rtface.types import FrameResult

log = logging.getLogger(__name__)

DEPTH = 8
"""Results waiting; each holds its picture, 6 MB at 1920x1080."""

PATIENCE_S = 10.0
"""What a sink may still take to finish when it is closed. Longer means it hangs."""


def open(sink: Sink, *, depth: int = DEPTH, lossless: bool = False, patience: float = PATIENCE_S) -> QueuedSink:
    """The sink, made quick.

    Args:
        sink: belongs to the queue from here on; written to and closed on the queue's thread only.
        depth: results that may wait.
        lossless: a full queue makes ``write`` wait; else the oldest result without events is dropped and counted.
        patience: seconds without any progress after which ``close`` gives up.
    """
    return QueuedSink(sink, depth=depth, lossless=lossless, patience=patience)


class QueuedSink:
    """A sink that takes a result at once and works it off later.

    What goes wrong in the sink is raised by the next ``write`` or by ``close``; its wish to stop is told by the next
    ``write``.
    """

    def __init__(self, sink: Sink, *, depth: int, lossless: bool, patience: float) -> None:
        """See ``open``."""
        self.dropped = 0
        self._sink = sink
        self._depth = depth
        self._lossless = lossless
        self._patience = patience
        self._waiting: deque[FrameResult] = deque()
        self._change = threading.Condition()
        self._error: BaseException | None = None
        self._told = False
        self._wanted = True
        self._closing = False
        self._finished = False
        self._steps = 0
        self._thread = threading.Thread(target=self._work, name=f"sink {type(sink).__name__}", daemon=True)
        self._thread.start()

    def write(self, result: FrameResult) -> bool:
        """Queues a result; False once the sink has asked to stop.

        Raises:
            Exception: what the sink raised at an earlier result.
        """
        with self._change:
            if self._lossless:
                self._change.wait_for(lambda: len(self._waiting) < self._depth or self._stopped())
            if self._error is not None:
                self._told = True
                raise self._error
            if self._stopped():
                return False
            if len(self._waiting) >= self._depth:
                self._drop()
            self._waiting.append(result)
            self._change.notify_all()
            return True

    def close(self) -> None:
        """Lets the sink finish what waits, closes it and waits for both.

        Raises:
            Exception: what the sink raised and no ``write`` has told yet.
        """
        with self._change:
            self._closing = True
            self._change.notify_all()
            while not self._finished:  # as long as it gets on, it may take its time
                if not self._change.wait_for(self._progress(), self._patience):
                    log.error("%s hangs; %d results are lost", self._thread.name, len(self._waiting))
                    return
        self._thread.join()
        if self.dropped:
            log.warning("%s was too slow for %d results", self._thread.name, self.dropped)
        if self._error is not None and not self._told:
            self._told = True
            raise self._error

    def _progress(self) -> Callable[[], bool]:
        """Tells whether anything has happened since now."""
        seen = self._steps
        return lambda: self._finished or self._steps != seen

    def _stopped(self) -> bool:
        return self._error is not None or not self._wanted or self._closing

    def _drop(self) -> None:
        """The oldest result nobody will miss: one without events, if there is any."""
        spare = next((result for result in self._waiting if not result.events), self._waiting[0])
        self._waiting.remove(spare)
        self.dropped += 1

    def _work(self) -> None:
        while (result := self._next()) is not None:
            try:
                wanted = self._sink.write(result)
            except BaseException as error:  # nothing may be lost in a thread: write() or close() raises it
                self._step(error=error)
                continue
            self._step(wanted=wanted)
        try:
            self._sink.close()
        except BaseException as error:
            self._step(error=error)
        with self._change:
            self._finished = True
            self._change.notify_all()

    def _next(self) -> FrameResult | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if self._error is not None or not self._wanted:
                self._waiting.clear()
                self._change.wait_for(lambda: self._closing)
            if not self._waiting:
                return None
            self._change.notify_all()  # there is room again
            return self._waiting.popleft()

    def _step(self, *, wanted: bool = True, error: BaseException | None = None) -> None:
        with self._change:
            self._steps += 1
            self._wanted = self._wanted and wanted
            self._error = self._error or error
            self._change.notify_all()
