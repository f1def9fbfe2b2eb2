"""``rtface bench``: speed and latency on a source, with nothing drawn or written."""

from __future__ import annotations

from pathlib import Path

import click

from rtface.cli._shared import open_system_to_look, print_json, say, settings_options
from rtface.pipeline.summary import Summary


@click.command("bench")
@click.option("--source", default="demo", show_default=True, help="What to run on, as for rtface run.")
@click.option("--max-frames", type=click.IntRange(2), help="Stop after this many frames.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@settings_options
def command(source: str, max_frames: int | None, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Measure frames a second, milliseconds a stage and frame age (pixels here to verdict), flat out.

    With --json one line: fps, frames, dropped, stages_ms {stage: {p50, p95, p99}}, frame_age_ms {p50, p95, p99},
    peak_rss_mb.

    A file is read ahead of the loop, so its frames wait and their age includes that; a camera's do not.
    """
    from rtface.pipeline.loop import run
    from rtface.sources import mask

    summary = Summary()
    with open_system_to_look(config, settings) as system:
        say(f"{system.config.detector} and {system.config.embedder} on {system.config.backend}: {mask(source)}")
        run(system.stream(source, max_frames=max_frames), [summary])
    if as_json:
        print_json(summary.as_json())
    else:
        click.echo(summary.table())
