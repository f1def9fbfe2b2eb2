"""The loop: a capture thread a source, one place to wait, one pass over whatever frames have come.

::

    capture thread (one a source)   source.frames() --> FrameBuffer --> results()
                                    live: holds 1, drops the oldest     recognizer: detect, track, embed, vote
                                    file: holds a few, the reader waits

Where the embedder computes by itself, frames that have come meanwhile are detected before its rows are collected::

    detect n  track n  launch n  detect n+1  collect n  vote n  |  track n+1  launch n+1  detect n+2  collect n+1 ...

Detection knows nothing of verdicts, so the results are the same. A frame that has not come yet is not waited for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from rtface.interfaces import FrameSource, Sink
from rtface.pipeline.frame_buffer import FrameBuffer
from rtface.pipeline.recognizer import Recognizer
from rtface.pipeline.round import Sighting
from rtface.pipeline.timing import Stopwatch
from rtface.types import Event, EventKind, Frame, FrameResult

log = logging.getLogger(__name__)


def results(
    sources: Sequence[FrameSource], recognizer: Recognizer, *, max_frames: int | None = None
) -> Generator[FrameResult, None, None]:
    """Results of all sources as they come, until every source has ended or ``max_frames`` results are out.

    Closing the generator stops the capture threads and closes the sources.

    Raises:
        SourceLost: a source cannot go on. Raised when the others have ended, too; until then an event tells.
    """
    ready = threading.Condition()
    buffers = [FrameBuffer(source, ready) for source in sources]
    with ExitStack() as stack:
        for buffer in buffers:
            stack.callback(buffer.close)
            buffer.start()
        stack.callback(_stop, buffers)  # before the first is closed: reads that hang end together
        stream = stack.enter_context(closing(Rounds(buffers, recognizer, ready).results()))
        count = 0
        for result in stream:
            yield result
            count += not result.repeated
            if count == max_frames:
                return


class Rounds:
    """One round after another over whatever frames have come: detect, begin, look ahead, conclude, tell."""

    def __init__(self, buffers: Sequence[FrameBuffer], recognizer: Recognizer, ready: threading.Condition) -> None:
        """Args: ``buffers`` have been started and notify ``ready``; they are not closed here."""
        self._running = {buffer.source.name: buffer for buffer in buffers}
        self._recognizer = recognizer
        self._ready = ready
        self._status = dict.fromkeys(self._running, "streaming")
        self._last: dict[str, FrameResult] = {}
        self._ahead: dict[str, Sighting] = {}
        """Detected while the round before was being embedded; each source's next frame."""
        self._errors: dict[str, Exception] = {}
        self._failure: Exception | None = None

    def results(self) -> Generator[FrameResult, None, None]:
        """Results and, between rounds, news of the sources, until all have ended.

        Raises:
            SourceLost: a source could not go on, and now all have ended.
        """
        while self._running:
            watch = Stopwatch()
            with watch.stage("wait"), self._ready:
                self._ready.wait_for(lambda: self._ahead or any(buffer.ready for buffer in self._running.values()))
            sightings = self._sightings()
            for result in self._recognized(list(sightings.values())) if sightings else ():
                name = result.frame.source
                dropped, timings = self._running[name].dropped, {**watch.timings, **result.timings}
                self._last[name] = replace(result, dropped=dropped, timings=timings)
                yield self._last[name]
            if self._failure is not None:
                raise self._failure
            yield from self._news(sightings)
        if self._errors:
            raise next(iter(self._errors.values()))

    def _sightings(self) -> dict[str, Sighting]:
        """A detected frame of each source that has one."""
        ahead, self._ahead = self._ahead, {}
        frames = {name: self._take(buffer) for name, buffer in self._running.items() if name not in ahead}
        return ahead | {name: self._recognizer.detect(frame) for name, frame in frames.items() if frame is not None}

    def _recognized(self, sightings: Sequence[Sighting]) -> list[FrameResult]:
        begun = self._recognizer.begin(sightings)
        try:
            if begun.under_way:
                self._look_ahead(live=any(self._running[seen.frame.source].source.live for seen in sightings))
            return self._recognizer.conclude(begun)
        finally:
            begun.abandon()  # after Ctrl-C; what has been concluded is not touched

    def _look_ahead(self, *, live: bool) -> None:
        """Detects in frames that wait already, beside an embedding: of files all, before a live verdict what fits.

        A failure waits until the round that is under way has been told.
        """
        try:
            for name, buffer in self._running.items():
                if live and not self._recognizer.has_time():
                    return
                frame = self._take(buffer)
                if frame is not None:
                    self._ahead[name] = self._recognizer.detect(frame)
        except Exception as error:
            self._failure = error

    def _take(self, buffer: FrameBuffer) -> Frame | None:
        """A frame, if there is one. An error is noted and ends this source alone."""
        try:
            return buffer.take()
        except Exception as error:
            self._errors[buffer.source.name] = error
            log.error("%s fails and is left out: %s", buffer.source.name, error)
            return None

    def _news(self, told: Collection[str]) -> Iterator[FrameResult]:
        """What has become of the sources; ends those that had no frame in this round and will have none."""
        for name, buffer in list(self._running.items()):
            if buffer.status != self._status[name] and name in self._last:
                self._status[name] = buffer.status
                kind = EventKind.SOURCE_BACK if self._status[name] == "streaming" else EventKind.SOURCE_LOST
                yield self._again(name, self._recognizer.source_event(kind, self._last[name].frame))
            if name not in told and name not in self._ahead and buffer.ended:
                del self._running[name]
                if name in self._last:
                    frame = self._last[name].frame
                    if name in self._errors:
                        yield self._again(name, self._recognizer.source_event(EventKind.SOURCE_LOST, frame))
                    yield self._again(name, *self._recognizer.finish(name, frame.captured_at))

    def _again(self, name: str, *events: Event) -> FrameResult:
        """The source's last picture again, with nobody in it and the news."""
        return replace(self._last[name], tracks=(), events=events, timings={}, repeated=True)


def _stop(buffers: Sequence[FrameBuffer]) -> None:
    for buffer in buffers:
        buffer.stop()


def run(stream: Iterable[FrameResult], sinks: Sequence[Sink]) -> None:
    """Feeds every result to every sink until the stream ends or a sink asks to stop. Closes no sink."""
    for result in stream:
        wanted = [sink.write(result) for sink in sinks]
        if not all(wanted):
            return
