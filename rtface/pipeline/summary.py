"""What a run came to: frames, speed, drops, stage times, people seen. A sink like any other."""

from __future__ import annotations

import resource
import sys
import time

from rtface.pipeline.timing import StageTimes
from rtface.types import EventKind, FrameResult


class Summary:
    """Counts results as they pass; constant memory however long the run.

    Attributes:
        frames: results counted.
        dropped: frames lost by all sources because the loop was busy.
        people: {name: how often a track was given it}.
        unknown_tracks: tracks that left without a name.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.people: dict[str, int] = {}
        self.unknown_tracks = 0
        self._dropped: dict[str, int] = {}
        self._times = StageTimes()
        self._first: float | None = None
        self._last = 0.0

    @property
    def dropped(self) -> int:
        """Frames lost by all sources together."""
        return sum(self._dropped.values())

    @property
    def fps(self) -> float:
        """Results a second, from the first to the last."""
        passed = self._last - self._first if self._first is not None else 0.0
        return (self.frames - 1) / passed if passed > 0 else 0.0

    def write(self, result: FrameResult) -> bool:
        """Counts one result; always True."""
        if not result.repeated:
            self._last = time.perf_counter()
            self._first = self._last if self._first is None else self._first
            self.frames += 1
            self._dropped[result.frame.source] = result.dropped
            self._times.add(result.timings)
        for event in result.events:
            if event.kind is EventKind.IDENTIFIED and event.identity and event.identity.person:
                self.people[event.identity.person] = self.people.get(event.identity.person, 0) + 1
            if event.kind is EventKind.LEFT and event.identity is None:
                self.unknown_tracks += 1
        return True

    def close(self) -> None:
        """Nothing to finish."""

    def as_json(self) -> dict[str, object]:
        """The keys of ``rtface bench --json``; times in ms, memory in MB."""
        stages = {
            stage: {key: round(ms, 3) for key, ms in times.items()} for stage, times in self._times.summary().items()
        }
        return {
            "fps": round(self.fps, 2),
            "frames": self.frames,
            "dropped": self.dropped,
            "frame_age_ms": stages.pop("age", {}),
            "stages_ms": stages,
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "people": self.people,
            "unknown_tracks": self.unknown_tracks,
        }

    def table(self) -> str:
        """The same for people."""
        lines = [
            f"{self.frames} frames, {self.fps:.1f} a second, {self.dropped} dropped, {peak_rss_mb():.0f} MB at most"
        ]
        lines += [
            f"  {stage:<10} p50 {times['p50']:7.2f} ms   p95 {times['p95']:7.2f} ms   p99 {times['p99']:7.2f} ms"
            for stage, times in self._times.summary().items()
        ]
        seen = ", ".join(f"{name} ({tracks})" for name, tracks in sorted(self.people.items())) or "nobody known"
        return "\n".join([*lines, f"Seen: {seen}; {self.unknown_tracks} tracks of unknown people"])


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024 / 1024
