"""What this process takes of the machine: memory, processor, threads, open files. Looked at once a second.

Linux tells all of it, other systems less; what cannot be known is None, never 0.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY_S = 1.0
EARLY_S = 60.0
"""Growth is judged against the first minute: until then caches fill and allocators settle."""

_PROC = Path("/proc/self")
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: ``at`` seconds since the measurement began, memory in MB, counts."""

    at: float
    rss_mb: float | None
    threads: int
    handles: int | None


class ResourceLog:
    """Samples of a run, in constant memory but for 16 bytes a second; processor time as a whole.

    Attributes:
        first: the first sample after a minute, or the very first of a shorter run; None before any.
        last: the newest sample.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, look: Callable[[float], Sample] | None = None
    ) -> None:
        """Starts now. The clock gives seconds; ``look`` is told the time and samples, for tests."""
        self._clock = clock
        self._look = look or sample
        self._began = clock()
        self._busy_before = time.process_time()
        self._passed = self._busy = 0.0
        self._due = 0.0
        self.first: Sample | None = None
        self.last: Sample | None = None
        self._most: Sample | None = None
        self._at, self._rss = array("d"), array("d")

    def tick(self) -> None:
        """Notes the processor time so far, and takes a sample when one is due."""
        at = self._passed = self._clock() - self._began
        self._busy = time.process_time() - self._busy_before
        if at >= self._due:
            self._due = at + SAMPLE_EVERY_S
            self._take(self._look(at))

    def _take(self, new: Sample) -> None:
        self.last = new
        if self.first is None or self.first.at < EARLY_S <= new.at:
            self.first, self._most = new, None
        self._most = _larger(self._most, new)
        if new.rss_mb is not None:
            self._at.append(new.at)
            self._rss.append(new.rss_mb)

    @property
    def memory(self) -> tuple[array[float], array[float]]:
        """Seconds since the beginning and MB held then."""
        return self._at, self._rss

    def cpu(self) -> dict[str, float]:
        """Share of all cores 0..1, cores kept busy on average, and cores there are, up to the last tick."""
        used, cores = self._busy / max(self._passed, 1e-9), core_count()
        return {"share": round(used / cores, 4), "cores_used": round(used, 3), "cores": cores}

    def as_json(self) -> dict[str, object]:
        """{"first", "last", "most"}: {"at", "rss_mb", "threads", "handles"}; unknown is null, most since first."""
        found = {"first": self.first, "last": self.last, "most": self._most}
        return {name: _plain(seen) for name, seen in found.items() if seen is not None}


def sample(at: float) -> Sample:
    """Memory, threads and open files of this process now."""
    return Sample(at, rss_mb(), _threads(), _handles())


def rss_mb() -> float | None:
    """Memory this process holds now, in MB; None where the system has no /proc."""
    try:
        pages = int((_PROC / "statm").read_bytes().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def peak_rss_mb() -> float | None:
    """The most memory this process has held, in MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / 1024 if sys.platform != "darwin" else peak / _MB


def core_count() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    """All of the process's where the system tells; else Python's own, without those of libraries."""
    try:
        return len(os.listdir(_PROC / "task"))  # noqa: PTH208 - names alone, without a Path for each
    except OSError:
        return threading.active_count()


def _handles() -> int | None:
    try:
        return len(os.listdir(_PROC / "fd")) - 1  # noqa: PTH208 - less the one that lists them
    except OSError:
        return None


def _larger(one: Sample | None, other: Sample) -> Sample:
    """Field by field, at the time memory was largest."""
    if one is None:
        return other
    at = one.at if (one.rss_mb or 0.0) >= (other.rss_mb or 0.0) else other.at
    rss = None if other.rss_mb is None else max(one.rss_mb or 0.0, other.rss_mb)
    handles = None if other.handles is None else max(one.handles or 0, other.handles)
    return Sample(at, rss, max(one.threads, other.threads), handles)


def _plain(seen: Sample) -> dict[str, float | None]:
    rss = None if seen.rss_mb is None else round(seen.rss_mb, 1)
    return {"at": round(seen.at, 1), "rss_mb": rss, "threads": seen.threads, "handles": seen.handles}
