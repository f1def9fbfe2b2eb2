"""The loop: a capture thread a source, one place to wait, one pass over whatever frames have come.

::

    capture thread (one a source)   source.frames() --> FrameBuffer --> results()
                                    live: holds 1, drops the oldest     recognizer.process: detect, track, embed, vote
                                    file: holds a few, the reader waits
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rtface.interfaces import FrameSource, Sink
from rtface.pipeline.frame_buffer import FrameBuffer
from rtface.pipeline.recognizer import Recognizer
from rtface.pipeline.timing import Stopwatch
from rtface.types import EventKind, Frame, FrameResult

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
        stream = _rounds(buffers, recognizer, ready)
        count = 0
        for result in stream:
            yield result
            count += not result.repeated
            if count == max_frames:
                return


def _rounds(
    buffers: Sequence[FrameBuffer], recognizer: Recognizer, ready: threading.Condition
) -> Iterator[FrameResult]:
    running = {buffer.source.name: buffer for buffer in buffers}
    status = dict.fromkeys(running, "streaming")
    last: dict[str, FrameResult] = {}
    errors: dict[str, Exception] = {}
    while running:
        watch = Stopwatch()
        with watch.stage("wait"), ready:
            ready.wait_for(lambda: any(buffer.ready for buffer in running.values()))
        taken = {name: _take(buffer, errors) for name, buffer in running.items()}
        frames = [frame for frame in taken.values() if frame is not None]
        for result in recognizer.process(frames) if frames else ():
            name = result.frame.source
            last[name] = replace(result, dropped=running[name].dropped, timings={**watch.timings, **result.timings})
            yield last[name]
        for name, buffer in list(running.items()):
            if buffer.status != status[name] and name in last:
                status[name] = buffer.status
                kind = EventKind.SOURCE_BACK if status[name] == "streaming" else EventKind.SOURCE_LOST
                yield _news(recognizer, last[name], kind)
            if taken[name] is None and buffer.ended:
                del running[name]
                if name in last:
                    if name in errors:
                        yield _news(recognizer, last[name], EventKind.SOURCE_LOST)
                    yield _ending(recognizer, last[name])
    if errors:
        raise next(iter(errors.values()))


def _take(buffer: FrameBuffer, errors: dict[str, Exception]) -> Frame | None:
    """A frame, if there is one. An error is noted and ends this source alone."""
    try:
        return buffer.take()
    except Exception as error:
        errors[buffer.source.name] = error
        log.error("%s fails and is left out: %s", buffer.source.name, error)
        return None


def _stop(buffers: Sequence[FrameBuffer]) -> None:
    for buffer in buffers:
        buffer.stop()


def _news(recognizer: Recognizer, last: FrameResult, kind: EventKind) -> FrameResult:
    """The source's last picture again, with nobody in it and the news."""
    event = recognizer.source_event(kind, last.frame)
    return replace(last, tracks=(), events=(event,), timings={}, repeated=True)


def _ending(recognizer: Recognizer, last: FrameResult) -> FrameResult:
    events = recognizer.finish(last.frame.source, last.frame.captured_at)
    return replace(last, tracks=(), events=events, timings={}, repeated=True)


def run(stream: Iterable[FrameResult], sinks: Sequence[Sink]) -> None:
    """Feeds every result to every sink until the stream ends or a sink asks to stop. Closes no sink."""
    for result in stream:
        wanted = [sink.write(result) for sink in sinks]
        if not all(wanted):
            return
