"""Any source for as long as a measurement takes: a file over and over, or at a camera's pace."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from rtface.interfaces import FrameSource
from rtface.types import Frame

BETWEEN_ROUNDS_S = 1 / 30
"""Media time between a file's last frame and its first again, while its own spacing is unknown."""


class RepeatedSource:
    """A source opened anew when it ends; indices and media time go on growing."""

    live = False
    status = "streaming"

    def __init__(
        self,
        source: FrameSource,
        reopen: Callable[[], FrameSource],
        *,
        rounds: float = math.inf,
        name: str | None = None,
    ) -> None:
        """Takes over a source that is not live.

        Args:
            source: the first round.
            reopen: opens it from its beginning.
            rounds: how often it is played.
            name: instead of the source's own, where one file plays several cameras.
        """
        self._source = source
        self._reopen = reopen
        self._left = rounds - 1
        self._lock = threading.Lock()
        self._closed = False
        self.name = name or source.name
        self.stills = source.stills

    def frames(self) -> Iterator[Frame]:
        """Frames until closed or played often enough; ends too when a round has none.

        Raises:
            SourceError: the source failed, or cannot be opened again.
        """
        index, start = 0, 0.0
        while True:
            first, last, step = index, start, BETWEEN_ROUNDS_S
            for frame in self._source.frames():
                at = start + frame.captured_at
                step = at - last if index > first else step
                last = at
                yield replace(frame, index=index, captured_at=at, source=self.name)
                index += 1
            start = last + step
            if index == first or not self._again():
                return

    def close(self) -> None:
        """Ends ``frames``."""
        with self._lock:
            self._closed = True
            self._source.close()

    def _again(self) -> bool:
        with self._lock:
            if self._closed or self._left < 1:
                return False
            self._left -= 1
            self._source.close()
            self._source = self._reopen()
            return True


class PacedSource:
    """Plays a source as if it were a camera: one frame a period, due by the clock, lost if nobody takes it in time.

    The next picture is made while the last is being worked on, and handed over when it is due, never before. Both its
    times are the moment it was due, so that whatever keeps it from being handed over counts in its age. A picture made
    so late that the next one is due as well is handed over in that one's place, and the place left out is counted:
    a camera would go on without it.

    Attributes:
        missed: places left out because the source itself could not keep pace; their indices are missing too.
    """

    live = True
    status = "streaming"

    def __init__(
        self,
        source: FrameSource,
        fps: float,
        *,
        phase: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """Takes over a source that is not live.

        Args:
            source: sets no pace of its own.
            fps: frames a second.
            phase: part of a period by which its frames come later than those of phase 0.
            clock: seconds, that of ``Frame.received_at``.
            wait: waits so many seconds, True once the source is closed; for tests.
        """
        self.name = source.name
        self.stills = source.stills
        self.missed = 0
        self._source = source
        self._period = 1.0 / fps
        self._phase = phase
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait

    def frames(self) -> Iterator[Frame]:
        """Frames at their times, until the source ends or is closed."""
        began, place = None, 0
        for frame in self._source.frames():
            if began is None:  # the first picture's own making delays nothing
                began = self._clock() + self._phase * self._period
            behind = int((self._clock() - began) / self._period) - place
            if behind > 0:
                self.missed += behind
                place += behind
            due = began + place * self._period
            if self._wait(max(due - self._clock(), 0.0)):
                return
            yield replace(frame, index=place, captured_at=due, received_at=due)
            place += 1

    def close(self) -> None:
        """Ends ``frames`` at once."""
        self._closed.set()
        self._source.close()
