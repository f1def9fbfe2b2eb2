"""The figures of ``rtface bench`` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtface.cli.bench import Load
    from rtface.interfaces import FrameSource

WIDEST = 32
"""Letters of a source's name that leave room for its figures in 80 columns."""


def show(report: Mapping[str, Any]) -> None:
    """Prints ``Summary.as_json`` as tables."""
    from rich.console import Console

    console = Console()
    console.print(_headline(report), style="bold", highlight=False)
    console.print(_times(report))
    if len(report["sources"]) > 1:
        console.print(_sources(report["sources"]))
    console.print(_machine(report), highlight=False)
    warmup = report["warmup"]
    if warmup["frames"]:
        told = f"The first {warmup['seconds']:.1f} s ({warmup['frames']} frames) were warm-up and are left out."
        console.print(told, style="dim", highlight=False)


def _headline(report: Mapping[str, Any]) -> str:
    counted = report["frames"] - report["warmup"]["frames"]
    return (
        f"{report['fps']:.1f} frames a second: {counted} in {report['seconds']:.1f} s, {report['dropped']} dropped, "
        f"{report['faces_per_frame']:.1f} faces each"
    )


def _times(report: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("ms", "p50", "p95", "p99")
    for column in table.columns[1:]:
        column.justify = "right"
    for stage, times in report["stages_ms"].items():
        table.add_row(stage, *(f"{ms:.2f}" for ms in times.values()))
    table.add_section()
    table.add_row("frame age", *(f"{ms:.2f}" for ms in report["frame_age_ms"].values()), style="bold")
    return table


def _sources(sources: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("source", "a second", "dropped", "age p50", "p95", "p99")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, seen in sources.items():
        ages = (f"{ms:.1f}" for ms in seen["frame_age_ms"].values())
        end = name if len(name) <= WIDEST else f"...{name[3 - WIDEST :]}"  # what tells paths apart is at their end
        table.add_row(end, f"{seen['fps']:.1f}", str(seen["dropped"]), *ages)
    return table


def _machine(report: Mapping[str, Any]) -> str:
    cpu, last = report["cpu"], report["resources"].get("last", {})
    words = [f"{cpu['cores_used']:.2f} of {cpu['cores']} cores busy ({cpu['share']:.0%})"]
    if report["peak_rss_mb"] is not None:
        words.append(f"{report['peak_rss_mb']:.0f} MB at most")
    if "threads" in last:
        words.append(f"{last['threads']} threads")
    if last.get("handles") is not None:
        words.append(f"{last['handles']} open files")
    return ", ".join(words)


def told(load: Load, sources: Sequence[FrameSource]) -> str:
    """What is measured on, for people."""
    pace = f" at {load.paced:g} frames a second each" if load.paced else ", flat out"
    if load.uris:
        return ", ".join(source.name for source in sources) + pace
    width, height = load.size
    kind = "fixed camera" if load.still else "camera"
    cameras = f"one {kind}" if load.cameras == 1 else f"{load.cameras} {kind}s"
    return f"{cameras} of {width}x{height} with {load.faces} face{'s' if load.faces > 1 else ''}{pace}"
