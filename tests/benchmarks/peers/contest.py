"""Rounds: every peer in turn, in a process of its own, on the same clips; then what they told against the truth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tests.benchmarks.peers.clips import Programme
from tests.benchmarks.peers.environments import PACKAGE, Adapter
from tests.benchmarks.peers.protocol import Clip, Job, Report, read_report
from tests.benchmarks.peers.truth import Names, judge

ROOT = Path(__file__).resolve().parents[3]
PEER_TIMEOUT_S = 3600.0
"""A peer that takes longer over one round is given up."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One peer's figures for one group of clips in one round.

    Attributes:
        fps: frames over seconds, all clips of the group together, decoding included.
        p50_ms, p95_ms: of the time from one result to the next.
        cpu_ms: processor time of all threads, a frame.
        names: compared with the truth.
    """

    fps: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    names: Names


@dataclass(slots=True)
class Standing:
    """Everything measured of one peer: reports by round, and turns by group and round; or why there is none."""

    adapter: Adapter
    reports: list[Report] = field(default_factory=list)
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    failure: str | None = None


def contest(
    peers: Mapping[str, tuple[Adapter, Path]],
    programme: Programme,
    files: Mapping[str, str],
    *,
    rounds: int,
    frames: int | None,
    settings: Mapping[str, str],
    say: Callable[[str], None],
) -> list[Standing]:
    """Runs all rounds; who goes first changes from round to round. A peer that fails is left out of the next.

    Args:
        peers: adapter and interpreter of each.
        programme: what is enrolled and shown.
        files: networks, see ``weights.prepare``.
        rounds: how often.
        frames: at most so many of each clip.
        settings: rtface's, for its adapters.
        say: is told what goes on.
    """
    standings = {name: Standing(adapter) for name, (adapter, _) in peers.items()}
    order = list(peers)
    for number in range(rounds):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            standing = standings[name]
            if standing.failure:
                continue
            say(f"round {number + 1} of {rounds}: {standing.adapter.title}")
            own = dict(settings) if name.startswith("rtface") else {}
            try:
                report = turn(name, peers[name][1], programme, files, frames=frames, settings=own)
            except RuntimeError as error:
                standing.failure = str(error)
                say(f"{name} failed: {error}")
                continue
            standing.reports.append(report)
            for group, figures in by_group(report, programme).items():
                standing.turns.setdefault(group, []).append(figures)
    return list(standings.values())


def turn(
    name: str,
    python: Path,
    programme: Programme,
    files: Mapping[str, str],
    *,
    frames: int | None,
    settings: dict[str, str],
) -> Report:
    """One peer, one round.

    Raises:
        RuntimeError: its process failed; the message ends with what it said last.
    """
    folder = Path(tempfile.mkdtemp(prefix="rtface-peer-"))
    try:
        people = {person: [str(path) for path in paths] for person, paths in programme.people.items()}
        clips = [Clip(scene.name, str(scene.path)) for scene in programme.scenes]
        job, report = folder / "job.json", folder / "report.json"
        whole = Job(people, clips, frames, dict(files), settings, str(folder))
        job.write_text(json.dumps(asdict(whole)), encoding="utf-8")
        command = [str(python), "-m", f"{PACKAGE}.{name}", str(job), str(report)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        try:
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, cwd=folder, env=environment
            )
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or str(error)
            raise RuntimeError(str(said).strip().splitlines()[-1]) from error
        return read_report(report.read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def by_group(report: Report, programme: Programme) -> dict[str, Turn]:
    """One round's figures for each group of clips."""
    watched = {clip.name: clip for clip in report.clips}
    groups: dict[str, Turn] = {}
    for group in dict.fromkeys(scene.group for scene in programme.scenes):
        scenes = [scene for scene in programme.scenes if scene.group == group]
        clips = [watched[scene.name] for scene in scenes]
        names = Names()
        for scene, clip in zip(scenes, clips, strict=True):
            names += judge(scene.regions, clip.frames, clip.faces)
        count = sum(clip.frames for clip in clips)
        if not count:
            raise RuntimeError(f"no result for any frame of {group}")
        p50, p95 = np.percentile([gap for clip in clips for gap in clip.gaps_ms], [50, 95])
        groups[group] = Turn(
            count / sum(clip.seconds for clip in clips),
            float(p50),
            float(p95),
            1000 * sum(clip.cpu_seconds for clip in clips) / count,
            names,
        )
    return groups


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the mean of the middle two."""
    return float(np.median(np.asarray(values, np.float64)))
