"""What a run came to: frames, speed, age, drops, stage times, people seen. A sink like any other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rtface.pipeline.resources import ResourceLog, peak_rss_mb
from rtface.pipeline.timing import Percentiles, StageTimes
from rtface.types import EventKind, FrameResult

AGE = "age"
"""The one timing that is no stage: from pixels to verdict."""


@dataclass(slots=True)
class _Camera:
    """What is counted of one source; ``lost_before`` are drops from before the measurement."""

    frames: int = 0
    dropped: int = 0
    lost_before: int = 0
    age: Percentiles = field(default_factory=Percentiles)


class Summary:
    """Counts results as they pass; constant memory however long the run, but for 16 bytes a second.

    The first ``warmup_s`` seconds of results are counted as frames and nothing else: engines settle, caches fill. A run
    that ends before is told whole, with ``warmup`` of 0 s.

    Attributes:
        frames: all results.
        people: {name: how often a track was given it}, warm-up or not.
        unknown_tracks: tracks that left without a name.
        resources: memory, processor, threads and files since the warm-up.
    """

    def __init__(self, *, warmup_s: float = 0.0, clock: Callable[[], float] = time.perf_counter) -> None:
        """The clock gives seconds."""
        self.frames = 0
        self.people: dict[str, int] = {}
        self.unknown_tracks = 0
        self._clock = clock
        self._warmup_s = warmup_s
        self._warm = warmup_s <= 0
        self._warmup: tuple[float, int, int] = (0.0, 0, 0)
        self._first: float | None = None
        self._cameras: dict[str, _Camera] = {}
        self._restart(None)

    def _restart(self, at: float | None) -> None:
        """Forgets all figures; the measurement begins at this moment, or with the next result."""
        self._began = self._last = at
        self._counted = self._faces = self._measured = 0
        self._times = StageTimes()
        self._cameras = {name: _Camera(lost_before=camera.dropped) for name, camera in self._cameras.items()}
        self.resources = ResourceLog(self._clock)

    @property
    def dropped(self) -> int:
        """Frames lost by all sources together since the warm-up."""
        return sum(camera.dropped - camera.lost_before for camera in self._cameras.values())

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return self._last - self._began if self._began is not None and self._last is not None else 0.0

    @property
    def measured_from(self) -> float | None:
        """The clock when the measurement began; None before the first result and while warming up."""
        return self._began if self._warm else None

    @property
    def left_out(self) -> int:
        """Frames of the warm-up."""
        return self._warmup[1]

    @property
    def fps(self) -> float:
        """Results a second."""
        return self._counted / self.seconds if self.seconds > 0 else 0.0

    def write(self, result: FrameResult) -> bool:
        """Counts one result; always True."""
        if not result.repeated:
            self._count(result, self._clock())
        for event in result.events:
            if event.kind is EventKind.IDENTIFIED and event.identity and event.identity.person:
                self.people[event.identity.person] = self.people.get(event.identity.person, 0) + 1
            if event.kind is EventKind.LEFT and event.identity is None:
                self.unknown_tracks += 1
        return True

    def _count(self, result: FrameResult, now: float) -> None:
        self._first = now if self._first is None else self._first
        if not self._warm and now - self._first >= self._warmup_s and self._last is not None:
            self._warm = True
            self._warmup = (self._last - self._first, self.frames, self.dropped)
            self._restart(self._last)  # this very result ends a period that began with the one before
        self.frames += 1
        camera = self._cameras.get(result.frame.source)
        if camera is None:
            camera = self._cameras[result.frame.source] = _Camera()
        camera.dropped = result.dropped
        self._measured += 1
        if self._began is None:
            self._began = now
            self.resources = ResourceLog(self._clock)
        else:  # the result that starts the clock ends no period
            self._counted += 1
            camera.frames += 1
        self._last = now
        self._faces += len(result.tracks)
        self._times.add(result.timings)
        if AGE in result.timings:
            camera.age.add(result.timings[AGE])
        self.resources.tick()

    def close(self) -> None:
        """Nothing to finish."""

    def stages(self) -> dict[str, dict[str, float]]:
        """{stage: {"p50", "p95", "p99"}} in ms, without the age."""
        return {stage: times for stage, times in self._times.summary().items() if stage != AGE}

    def means(self) -> dict[str, float]:
        """{stage: ms} on average, without the age."""
        return {stage: ms for stage, ms in self._times.means().items() if stage != AGE}

    def ages(self) -> dict[str, float]:
        """{"p50", "p95", "p99"} of the frame age in ms; empty before the first result."""
        return self._times.summary().get(AGE, {})

    def as_json(self) -> dict[str, object]:
        """The keys of ``rtface bench --json``; times in ms, memory in MB."""
        peak = peak_rss_mb()
        passed, frames, dropped = self._warmup
        return {
            "fps": round(self.fps, 2),
            "frames": self.frames,
            "dropped": self.dropped,
            "frame_age_ms": _rounded(self.ages()),
            "stages_ms": {stage: _rounded(times) for stage, times in self.stages().items()},
            "peak_rss_mb": None if peak is None else round(peak, 1),
            "seconds": round(self.seconds, 3),
            "warmup": {"seconds": round(passed, 3), "frames": frames, "dropped": dropped},
            "faces_per_frame": round(self._faces / max(self._measured, 1), 2),
            "sources": {name: self._camera_json(self._cameras[name]) for name in sorted(self._cameras, key=_natural)},
            "cpu": self.resources.cpu(),
            "resources": self.resources.as_json(),
            "people": self.people,
            "unknown_tracks": self.unknown_tracks,
        }

    def _camera_json(self, camera: _Camera) -> dict[str, object]:
        age = {f"p{percent}": camera.age.at(percent) for percent in (50, 95, 99)} if camera.age.count else {}
        return {
            "fps": round(camera.frames / self.seconds, 2) if self.seconds > 0 else 0.0,
            "frames": camera.age.count,
            "dropped": camera.dropped - camera.lost_before,
            "frame_age_ms": _rounded(age),
        }

    def table(self) -> str:
        """The same in a few lines of text."""
        peak = peak_rss_mb()
        memory = f", {peak:.0f} MB at most" if peak is not None else ""
        lines = [f"{self.frames} frames, {self.fps:.1f} a second, {self.dropped} dropped{memory}"]
        lines += [
            f"  {stage:<10} p50 {times['p50']:7.2f} ms   p95 {times['p95']:7.2f} ms   p99 {times['p99']:7.2f} ms"
            for stage, times in self._times.summary().items()
        ]
        seen = ", ".join(f"{name} ({tracks})" for name, tracks in sorted(self.people.items())) or "nobody known"
        return "\n".join([*lines, f"Seen: {seen}; {self.unknown_tracks} tracks of unknown people"])


def _natural(name: str) -> tuple[int, str]:
    """Keeps camera 10 behind camera 9."""
    return len(name), name


def _rounded(times: dict[str, float]) -> dict[str, float]:
    return {key: round(ms, 3) for key, ms in times.items()}
