"""``rtface run``: the loop, with its window, recording and logs."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import PATH, no_gallery_yet, open_system, say, settings_options

if TYPE_CHECKING:
    from rtface.interfaces import FrameSource, Sink
    from rtface.pipeline.summary import Summary
    from rtface.system import System

DEMO = "demo"
STOPPING = (signal.SIGINT, signal.SIGTERM)


@click.command("run")
@click.option("--camera", "cameras", type=click.IntRange(0), multiple=True, help="Camera number; repeatable.")
@click.option(
    "--source",
    "uris",
    metavar="URI",
    multiple=True,
    help="Camera number, rtsp:// or http:// stream, video file, folder of pictures, or demo; repeatable.",
)
@click.option("--record", type=PATH, help="Record the overlay into this .mp4 file.")
@click.option("--events", metavar="FILE|-", help="Write an event a line as JSON (- is stdout).")
@click.option("--results", metavar="FILE|-", help="Write a frame a line as JSON (- is stdout).")
@click.option("--no-window", is_flag=True, help="Open no window.")
@click.option("--max-frames", type=click.IntRange(1), help="Stop after this many frames.")
@settings_options
def command(
    cameras: tuple[int, ...],
    uris: tuple[str, ...],
    record: Path | None,
    events: str | None,
    results: str | None,
    no_window: bool,
    max_frames: int | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Recognise faces in live video; camera 0 if no source is named.

    Keys in the window: q quits, s saves a snapshot, space pauses. Ctrl-C ends with every file whole.

    Lines of --events: kind (appeared, identified, revoked, left, source_lost, source_back), at (seconds), source,
    track, person, distance, share, backend, model. Lines of --results: source, index, at, tracks (id, state, box,
    person, distance, share), timings in ms, dropped. Exit code 1 also when a video file turns out to be cut off.
    """
    from rtface.pipeline.loop import run
    from rtface.pipeline.summary import Summary
    from rtface.sources.video import FileSource

    names = [str(camera) for camera in cameras] + list(uris) or ["0"]
    summary = Summary()
    with ExitStack() as stack:
        if DEMO in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtface-demo-"))
            settings = (*settings, f"gallery={Path(folder) / 'gallery.db'}")
        system = stack.enter_context(open_system(config, settings, at_once=True))
        sources = system.open_sources(*names)
        if DEMO not in names and no_gallery_yet(system.config):
            say(f"There is no gallery {system.config.gallery} yet, so nobody has a name: rtface enroll NAME DIR.")
        people = _prepare_demo(system) if DEMO in names else []
        window = not no_window and _window_opens()
        if DEMO in names and not window and record is None:
            record = Path("demo.mp4")
        sinks: list[Sink] = [summary, *_sinks(sources, window=window, record=record, events=events, results=results)]
        stream = system.stream_from(sources, max_frames=max_frames)
        with _interruptible():
            with _closing(sinks):
                try:
                    run(stream, sinks)
                except KeyboardInterrupt:
                    say("Stopped.")
                finally:
                    stream.close()
            say(summary.table())
        if people:
            # Where stdout holds JSON lines, words would spoil them.
            tell = say if "-" in (events, results) else click.echo
            _tell_demo(people, summary, record, tell)
    if any(isinstance(source, FileSource) and source.cut_off for source in sources):
        sys.exit(1)


def _prepare_demo(system: System) -> list[str]:
    from rtface.demonstration import enroll_demo

    people = enroll_demo(system)
    say(f"Demonstration: six people in the picture, three of them enrolled as {', '.join(people)}.")
    return people


def _tell_demo(people: Sequence[str], summary: Summary, record: Path | None, tell: Callable[[str], None]) -> None:
    seen = [name for name in people if name in summary.people]
    tell(f"Recognised {len(seen)} of {len(people)} enrolled people: {', '.join(seen)}.")
    if record is not None:
        tell(f"The video is in {record}.")


def _window_opens() -> bool:
    from rtface.sinks.window import unavailable

    reason = unavailable()
    if reason:
        say(f"No window: {reason}. Going on without one.")
    return reason is None


def _sinks(
    sources: Sequence[FrameSource], *, window: bool, record: Path | None, events: str | None, results: str | None
) -> Iterator[Sink]:
    """The sinks asked for, opened one by one; the window last, so that the files have a frame before a key stops it."""
    from rtface.overlay import Overlay

    names = [source.name for source in sources]
    overlay = Overlay()
    if events is not None:
        from rtface.sinks.jsonl import EventLog

        yield EventLog(events, live={source.name for source in sources if source.live})
    if results is not None:
        from rtface.sinks.jsonl import ResultLog

        yield ResultLog(results)
    if record is not None:
        from rtface.sinks import queued, video

        # A file waits for its recording; beside a camera the recording may skip frames, the camera may not.
        lossless = not any(source.live for source in sources)
        yield queued.open(video.open(record, draw=overlay, sources=names), lossless=lossless)
    if window:
        from rtface.sinks import window as windows

        yield windows.open(overlay)


@contextmanager
def _closing(sinks: Sequence[Sink]) -> Iterator[None]:
    """Closes every sink, whatever happens to the others."""
    with ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """A polite end (SIGTERM, as services send it) is the same as Ctrl-C: the loop stops and every file is finished.

    A second one does not disturb the finishing, which takes seconds at most.
    """
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            # Nothing is left to be stopped but the interpreter's own end.
            signal.signal(number, signal.SIG_IGN if stopped else handler)
