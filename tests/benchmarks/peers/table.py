"""The figures for people (Markdown) and for machines (JSON)."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.peers.contest import ROOT, Standing, Turn, median
from tests.benchmarks.peers.protocol import Report
from tests.benchmarks.peers.truth import Names

SPEED = ("peer", "frames/s", "rtface's are", "ms p50", "ms p95", "CPU ms")
NAMED = ("right", "unknown", "unseen", "wrong names", "different")
HEAD = (*SPEED, *NAMED)


def markdown(standings: Sequence[Standing], titles: dict[str, str]) -> str:
    """One table a group of clips, then memory and what was run.

    Args:
        standings: the first that has figures is what the others are told relative to.
        titles: what to call each group.
    """
    able = [standing for standing in standings if standing.reports and not standing.failure]
    parts = []
    for group, title in titles.items():
        rows = [_row(standing, able[0], group) for standing in able]
        parts.append(f"### {title}\n\n{_grid(HEAD, rows)}")
    rows = [_process(standing) for standing in able]
    parts.append(f"### Process\n\n{_grid(('peer', 'peak MB', 'load s', 'enrol s', 'pictures enrolled'), rows)}")
    parts.append("\n".join(_told(standing) for standing in standings))
    return "\n\n".join(parts)


def _row(standing: Standing, first: Standing, group: str) -> tuple[str, ...]:
    turns = standing.turns[group]
    names = _typical(turns)
    return (
        standing.adapter.title,
        f"{median([turn.fps for turn in turns]):.1f}",
        f"{ratio(first.turns[group], turns):.2f} x",
        f"{median([turn.p50_ms for turn in turns]):.1f}",
        f"{median([turn.p95_ms for turn in turns]):.1f}",
        f"{median([turn.cpu_ms for turn in turns]):.1f}",
        f"{100 * names.right / max(names.known, 1):.1f} %",
        str(names.unknown),
        str(names.unseen),
        str(names.wrong),
        str(names.mistakes),
    )


def ratio(first: Sequence[Turn], other: Sequence[Turn]) -> float:
    """How many times the other's frames a second the first has: the median over rounds of the ratio within a round."""
    return median([a.fps / b.fps for a, b in zip(first, other, strict=False)])


def _typical(turns: Sequence[Turn]) -> Names:
    """Names of the round with the middle number of wrong ones; most peers tell the same in every round."""
    return sorted((turn.names for turn in turns), key=lambda names: (names.wrong, -names.right))[len(turns) // 2]


def _process(standing: Standing) -> tuple[str, ...]:
    reports = standing.reports
    return (
        standing.adapter.title,
        f"{median([report.peak_mb for report in reports]):.0f}",
        f"{median([report.load_seconds for report in reports]):.1f}",
        f"{median([report.enrol_seconds for report in reports]):.1f}",
        " + ".join(str(count) for count in reports[0].enrolled.values()),
    )


def _told(standing: Standing) -> str:
    if standing.failure or not standing.reports:
        return f"- {standing.adapter.title}: FAILED: {standing.failure}"
    report = standing.reports[0]
    versions = ", ".join(f"{library} {version}" for library, version in report.versions.items())
    return f"- {standing.adapter.title}: {standing.adapter.rule}. " + "; ".join([versions, *report.notes]) + "."


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def document(standings: Sequence[Standing]) -> list[dict[str, object]]:
    """All rounds of all peers, faces left out."""
    return [
        {
            "peer": standing.adapter.name,
            "failure": standing.failure,
            "turns": {group: [asdict(turn) for turn in turns] for group, turns in standing.turns.items()},
            "rounds": [_round(report) for report in standing.reports],
        }
        for standing in standings
    ]


def _round(report: Report) -> dict[str, object]:
    fields = asdict(report)
    fields["clips"] = [
        {"name": clip.name, "frames": clip.frames, "seconds": clip.seconds, "cpu_seconds": clip.cpu_seconds}
        for clip in report.clips
    ]
    return fields


def machine() -> str:
    """Processor, cores and system in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The checkout's commit, short, with + when files differ from it; "unknown" outside of git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.strip()
