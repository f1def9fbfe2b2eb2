"""Between a source and the loop: one thread that captures, and the only place where frames are dropped."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType

from rtface.interfaces import FrameSource
from rtface.types import Frame

log = logging.getLogger(__name__)

FILE_DEPTH = 4
"""Frames read ahead of the loop: decoding goes on while the loop works, and a 4K frame is 25 MB."""

JOIN_S = 10.0
"""Every read and every opening ends within 2 s (house rule), looking up a host's name apart; longer is a bug."""

FASTEST_FPS = 240.0
"""No camera is faster, nor is the loop. A live source that gives more (an HTTP stream without a pace, a fault) is read
at this rate, or it would take the processor from the others; what it sends waits in the network and slows it down."""


class FrameBuffer:
    """Owns the capture thread of one source.

    A live source holds one frame and the newest wins; a file's reader waits until there is room. Several buffers may
    share a condition, so that the loop waits in one place::

        with condition:
            condition.wait_for(lambda: any(buffer.ready for buffer in buffers))

    The condition is notified when there is a frame where there was none, when the source ends or fails, when its status
    changes, and on ``close``.
    """

    def __init__(self, source: FrameSource, condition: threading.Condition | None = None) -> None:
        """Nothing is read before ``start``.

        Args:
            source: belongs to the buffer from here on.
            condition: shared with other buffers; built on a re-entrant lock, as ``threading.Condition()`` is.
        """
        self.source = source
        self.condition = condition or threading.Condition()
        self._frames: deque[Frame] = deque()
        self._room = 1 if source.live else FILE_DEPTH
        self._dropped = 0
        self._error: BaseException | None = None
        self._finished = False
        self._closed = threading.Event()
        self._told_status = self.status
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FrameBuffer:
        """Starts."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()

    @property
    def dropped(self) -> int:
        """Frames lost so far because the loop was busy; only live sources lose any."""
        return self._dropped

    @property
    def status(self) -> str:
        """The source's own word: "streaming" or, for a live one that went away, "reconnecting"."""
        return str(getattr(self.source, "status", "streaming"))

    @property
    def ended(self) -> bool:
        """Nothing is left to take and nothing more will come."""
        with self.condition:
            return self._closed.is_set() or (self._finished and not self._frames and self._error is None)

    @property
    def ready(self) -> bool:
        """There is a reason to look: a frame, an error, the end, or a status not yet seen by ``take``."""
        with self.condition:
            return bool(self._frames) or self._finished or self._closed.is_set() or self.status != self._told_status

    def start(self) -> None:
        """Begins to capture. A second call does nothing."""
        with self.condition:
            if self._thread is not None or self._closed.is_set():
                return
            if hasattr(self.source, "on_status"):
                self.source.on_status = self._wake
            self._thread = threading.Thread(target=self._capture, name=f"capture {self.source.name}", daemon=True)
        self._thread.start()

    def take(self) -> Frame | None:
        """The next frame, or None when there is none now; never waits.

        Raises:
            Exception: what went wrong in the source, once, after the frames that came before it.
        """
        with self.condition:
            self._told_status = self.status
            if self._frames:
                frame = self._frames.popleft()
                if not self.source.live:  # its reader may wait for room
                    self.condition.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def stop(self) -> None:
        """Stops capturing and releases the source without waiting for the thread; ``close`` has still to be called.

        Hung cameras that are all stopped before the first is closed end within one limit, not one after another.
        """
        with self.condition:
            self._closed.set()
            self._frames.clear()
            self.condition.notify_all()
        self.source.close()

    def close(self) -> None:
        """Stops capturing, releases the source and waits for the thread. Frames not taken are gone."""
        try:
            self.stop()
        finally:
            thread = self._thread
            if thread is not None and thread is not threading.current_thread():
                thread.join(JOIN_S)
                if thread.is_alive():
                    log.error("%s does not come back from a read; its thread is left behind", self.source.name)

    def _capture(self) -> None:
        try:
            for frame in self.source.frames():
                due = time.monotonic() + 1 / FASTEST_FPS
                if not self._put(frame) or (self.source.live and self._closed.wait(due - time.monotonic())):
                    break
        except BaseException as error:  # nothing may be lost in a thread: take() raises it where somebody listens
            self._error = error
        with self.condition:
            self._finished = True
            self.condition.notify_all()

    def _put(self, frame: Frame) -> bool:
        """Hands over a frame; False once nobody wants any."""
        with self.condition:
            self.condition.wait_for(lambda: self.source.live or self._closed.is_set() or len(self._frames) < self._room)
            if self._closed.is_set():
                return False
            told = bool(self._frames)  # the loop has been woken for them and has not come yet
            if self.source.live and len(self._frames) >= self._room:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            if not told:
                self.condition.notify_all()
            return True

    def _wake(self) -> None:
        with self.condition:
            self.condition.notify_all()
