"""``rtface run``: the loop, with its window, recording and logs."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import open_system, say, settings_options

if TYPE_CHECKING:
    from rtface.interfaces import FrameSource, Sink
    from rtface.pipeline.summary import Summary
    from rtface.system import System

DEMO = "demo"


@click.command("run")
@click.option("--camera", "cameras", type=click.IntRange(0), multiple=True, help="Camera number; repeatable.")
@click.option(
    "--source",
    "uris",
    metavar="URI",
    multiple=True,
    help="Camera number, rtsp:// or http:// stream, video file, folder of pictures, or demo; repeatable.",
)
@click.option("--record", type=click.Path(path_type=Path), help="Record the overlay into this .mp4 file.")
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
    """
    from rtface.pipeline.loop import run
    from rtface.pipeline.summary import Summary

    names = [str(camera) for camera in cameras] + list(uris) or ["0"]
    summary = Summary()
    with ExitStack() as stack:
        if DEMO in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtface-demo-"))
            settings = (*settings, f"gallery={Path(folder) / 'gallery.db'}")
        system = stack.enter_context(open_system(config, settings))
        sources = system.open_sources(*names)
        people = _prepare_demo(system) if DEMO in names else []
        window = not no_window and _window_opens()
        if DEMO in names and not window and record is None:
            record = Path("demo.mp4")
        sinks: list[Sink] = [summary, *_sinks(sources, window=window, record=record, events=events, results=results)]
        stream = system.stream_from(sources, max_frames=max_frames)
        with _interruptible(), _closing(sinks):
            try:
                run(stream, sinks)
            except KeyboardInterrupt:
                say("Stopped.")
            finally:
                stream.close()
        say(summary.table())
        if people:
            _tell_demo(people, summary, record)


def _prepare_demo(system: System) -> list[str]:
    from rtface.demonstration import enroll_demo

    people = enroll_demo(system)
    say(f"Demonstration: six people in the picture, three of them enrolled as {', '.join(people)}.")
    return people


def _tell_demo(people: Sequence[str], summary: Summary, record: Path | None) -> None:
    seen = [name for name in people if name in summary.people]
    click.echo(f"Recognised {len(seen)} of {len(people)} enrolled people: {', '.join(seen)}.")
    if record is not None:
        click.echo(f"The video is in {record}.")


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
    """A polite end (SIGTERM, as services send it) is the same as Ctrl-C: the loop stops and every file is finished."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
