"""``rtface bench``: speed and latency on a source or an invented crowd, with nothing drawn or written."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtface.cli._shared import PATH, open_system_to_look, print_json, say, settings_options

if TYPE_CHECKING:
    from rtface.interfaces import FrameSource, Sink
    from rtface.pipeline.plot import Trace
    from rtface.pipeline.summary import Summary
    from rtface.types import FrameResult

ENDLESS_S = 10.0
"""How long an invented crowd is measured when nothing else is said."""

GOLDEN = 0.618
"""Part of a period between one camera's beat and the next's: real cameras do not tick together, and this spreads any
number of them."""


def _size(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """``1280x720`` as (1280, 720), for click."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in (width, height)):
        raise click.BadParameter(f"{value!r} is no size: give width and height in px, like 1280x720.")
    size = int(width), int(height)
    if not (64 <= size[0] <= 7680 and 64 <= size[1] <= 4320):
        raise click.BadParameter(f"{value!r} is outside 64x64 to 7680x4320.")
    return size


def _finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuses nan and inf, which pass every range of click's."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to measure by.")
    return value


@dataclass(frozen=True, slots=True)
class Load:
    """What is put before the recogniser.

    Attributes:
        uris: addresses of sources; none for an invented crowd.
        faces, size: of the crowd.
        cameras: crowds, or how many times each source is played.
        still: the crowds' cameras do not move.
        paced: frames a second of each camera; None for flat out.
        repeated: whether what ends begins again.
    """

    uris: tuple[str, ...]
    faces: int
    size: tuple[int, int]
    cameras: int
    still: bool
    paced: float | None
    repeated: bool


@click.command("bench")
@click.option(
    "--source", "uris", metavar="URI", multiple=True, help="As for rtface run; repeatable. Without any: demo."
)
@click.option(
    "--paced",
    metavar="FPS",
    type=click.FloatRange(0, 240, min_open=True),
    callback=_finite,
    help="Play it as a live camera.",
)
@click.option("--max-frames", type=click.IntRange(2), help="Stop after this many frames.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), callback=_finite, help="Stop after measuring for so long."
)
@click.option(
    "--warmup",
    type=click.FloatRange(0),
    callback=_finite,
    default=1.0,
    show_default=True,
    help="Seconds left out at first.",
)
@click.option("--faces", type=click.IntRange(1, 16), help="Invent a crowd of so many moving faces.")
@click.option("--cameras", type=click.IntRange(1, 32), help="So many crowds, or copies of each source.")
@click.option("--size", metavar="WxH", callback=_size, help="Of the crowd's pictures in px; 640x480 if not said.")
@click.option("--still", is_flag=True, help="The crowd's camera stands still; otherwise it sways.")
@click.option(
    "--backend",
    metavar="NAME",
    help="As --set backend=NAME; measures the engine by itself too, and prints what to send.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option("--plot", type=PATH, help="Draw ages, stages and memory into this .png, .pdf or .svg.")
@settings_options
def command(
    uris: tuple[str, ...],
    paced: float | None,
    max_frames: int | None,
    seconds: float | None,
    warmup: float,
    faces: int | None,
    cameras: int | None,
    size: tuple[int, int] | None,
    still: bool,
    backend: str | None,
    as_json: bool,
    plot: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Measure frames a second, milliseconds a stage and frame age (pixels here to verdict).

    Flat out a file is read ahead of the loop, so its frames wait and their age includes that. With --paced 30 any file,
    the demo or a crowd plays as a live camera: a frame is due 30 times a second, its age counts from then whatever
    holds it up, the newest wins, and drops are counted. --seconds and --max-frames play a short file again and again.

    With --faces, --size or --cameras the picture is a crowd of real heads wandering about, the same in every run,
    before a camera that sways, or with --still does not. Several cameras see different people and tick apart.

    With --json one line: fps, frames (all), dropped, missed (due, but the source itself was too slow), stages_ms
    {stage: {p50, p95, p99}}, frame_age_ms {p50, p95, p99}, peak_rss_mb, seconds measured, warmup {seconds, frames,
    dropped}, faces_per_frame, sources {name: {fps, frames, dropped, frame_age_ms}}, cpu {share 0..1, cores_used,
    cores}, resources {first, last, most: {at, rss_mb, threads, handles}}. The warm-up counts in frames and nowhere
    else; a run that ends within it is told whole. resources.first is a minute later, or at once in a shorter run.

    With --backend two more: machine (processor, card, versions, precisions) and faces_a_second {batch: rate} of the
    embedder alone. Nothing in it names a person or a picture, so it can be sent to others for comparison.
    """
    if uris and (still or faces is not None or size is not None):
        raise click.UsageError("--faces, --size and --still invent pictures, --source has its own: give one or other.")
    invented = not uris and (still or any(wish is not None for wish in (faces, cameras, size)))
    if invented and seconds is None and max_frames is None:
        seconds = ENDLESS_S
    load = Load(
        uris or (() if invented else ("demo",)),
        faces or 1,
        size or (640, 480),
        cameras or 1,
        still,
        paced,
        repeated=seconds is not None or max_frames is not None,
    )
    if backend is not None:
        settings = (*settings, f"backend={backend}")
    _bench(
        load,
        max_frames,
        seconds,
        warmup,
        alone=backend is not None,
        as_json=as_json,
        plot=plot,
        config=config,
        settings=settings,
    )


def _bench(
    load: Load,
    max_frames: int | None,
    seconds: float | None,
    warmup: float,
    *,
    alone: bool,
    as_json: bool,
    plot: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Measures and tells."""
    from rtface.cli._bench_table import told
    from rtface.cli._machine import measure
    from rtface.pipeline.summary import Summary

    trace = _trace(plot) if plot is not None else None
    summary = Summary(warmup_s=warmup)
    sinks: list[Sink] = [*([trace] if trace else []), summary, *([_Until(summary, seconds)] if seconds else [])]
    with open_system_to_look(config, settings) as system:
        sources = _open(load)
        parts = f"{system.config.detector} and {system.config.embedder} on {system.embedder.backend}"
        say(f"{parts}: {told(load, sources)}")
        _feed(system.stream_from(sources, max_frames=max_frames), sinks, summary)
        more = measure(system) if alone else {}
    _tell(summary, sources, more, as_json=as_json)
    if plot is not None and trace is not None:
        from rtface.pipeline.plot import draw

        draw(plot, trace, summary, title=f"rtface bench, {parts}: {told(load, sources)}")
        say(f"The plot is in {plot}.")


def _trace(plot: Path) -> Trace:
    from rtface.pipeline.plot import Trace, check_place

    check_place(plot)
    return Trace()


class _Until:
    """A sink that asks to stop once enough has been measured."""

    def __init__(self, summary: Summary, seconds: float) -> None:
        self._summary = summary
        self._seconds = seconds

    def write(self, result: FrameResult) -> bool:
        """False when the time is over."""
        began = self._summary.measured_from
        return began is None or time.perf_counter() - began < self._seconds

    def close(self) -> None:
        """Nothing to finish."""


def _open(load: Load) -> list[FrameSource]:
    """The sources of a load, as the loop is to see them; all or none."""
    from rtface.sources import open_together

    wanted = [(uri, number) for uri in load.uris or (None,) for number in range(1, load.cameras + 1)]
    sources = open_together(
        [partial(_invent, load, number) if uri is None else partial(_play, load, uri, number) for uri, number in wanted]
    )
    return [_paced(source, load.paced, place) for place, source in enumerate(sources)]


def _invent(load: Load, number: int) -> FrameSource:
    from rtface.sources.load import synthetic

    return synthetic.open(load.faces, load.size, camera=number, still=load.still)


def _play(load: Load, uri: str, number: int) -> FrameSource:
    """A source, or its so-manieth copy."""
    from rtface.sources import open_source
    from rtface.sources.load.replay import RepeatedSource

    source = open_source(uri)
    if source.live:
        if load.paced is not None or load.cameras > 1:
            source.close()
            raise click.UsageError(f"{source.name} is live and sets its own pace: leave --paced and --cameras away.")
        return source
    name = source.name if number == 1 else f"{source.name}#{number}"
    rounds = float("inf") if load.repeated else 1
    return RepeatedSource(source, lambda: open_source(uri), rounds=rounds, name=name)


def _paced(source: FrameSource, fps: float | None, place: int) -> FrameSource:
    from rtface.sources.load.replay import PacedSource

    return source if fps is None else PacedSource(source, fps, phase=place * GOLDEN % 1)


def _feed(stream: Any, sinks: Sequence[Sink], summary: Summary) -> None:
    """Runs to the end; Ctrl-C ends the measurement and leaves its figures."""
    from rtface.pipeline.loop import run

    with closing(stream):
        try:
            run(stream, sinks)
        except KeyboardInterrupt:
            if not summary.frames:
                raise
            say("Stopped.")


def _tell(summary: Summary, sources: Sequence[FrameSource], more: Mapping[str, object], *, as_json: bool) -> None:
    missed = {source.name: getattr(source, "missed", 0) for source in sources}
    for name, count in missed.items():
        if count:
            say(f"{name} could not make its frames in time: {count} were due and left out, beside those dropped.")
    record = {**summary.as_json(), "missed": sum(missed.values()), **more}
    if not as_json:
        from rtface.cli._bench_table import show

        show(summary.as_json())
        if more:
            say("To compare with other machines, send this line:")
    if as_json or more:
        print_json(record)
