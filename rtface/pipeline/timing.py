"""How long each stage takes: a stopwatch for one frame, percentiles over a whole run in constant memory."""

from __future__ import annotations

import math
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

SMALLEST_MS = 1e-3
LARGEST_MS = 1e6
"""1 us to about 17 minutes; what lies outside is counted in the outermost bin, and clipped to the extremes seen."""

GROWTH = 1.01
"""Each bin is 1 % wider than the one before, so its geometric middle is at most 0.5 % from anything in it."""

_LOG_GROWTH = math.log(GROWTH)
_BINS = math.ceil(math.log(LARGEST_MS / SMALLEST_MS) / _LOG_GROWTH) + 1


class Stopwatch:
    """The stages of one frame::

        watch = Stopwatch()
        with watch.stage("detect"):
            ...
        watch.timings  # {"detect": 4.9}, ms

    Attributes:
        timings: {stage: ms}; a stage met twice is summed.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """The clock gives seconds."""
        self.timings: dict[str, float] = {}
        self._clock = clock

    def stage(self, name: str) -> _Stage:
        """Adds the time spent inside, also when it ends in an exception."""
        return _Stage(self, name, self._clock)

    def add(self, name: str, ms: float) -> None:
        """Counts time measured elsewhere."""
        self.timings[name] = self.timings.get(name, 0.0) + ms


class _Stage:
    """The time between entering and leaving. A generator with ``contextmanager`` would cost twice as much."""

    __slots__ = ("_began", "_clock", "_name", "_watch")

    def __init__(self, watch: Stopwatch, name: str, clock: Callable[[], float]) -> None:
        self._watch = watch
        self._name = name
        self._clock = clock
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        self._watch.add(self._name, (self._clock() - self._began) * 1000)


class Percentiles:
    """Percentiles of a stream of durations: a histogram with logarithmic bins, about 17 KB however long the run.

    A percentile is the smallest value that so many percent do not exceed (nearest rank), within 0.5 %.
    """

    def __init__(self) -> None:
        """Empty."""
        self.count = 0
        self.total_ms = 0.0
        self._counts = array("q", bytes(8 * _BINS))  # a quarter of numpy's price for one element
        self._least = math.inf
        self._most = -math.inf

    def add(self, ms: float) -> None:
        """Counts one duration; NaN and infinity are refused with ValueError."""
        if not math.isfinite(ms):
            raise ValueError(f"a duration of {ms} ms is no duration")
        place = 0 if ms <= SMALLEST_MS else int(math.log(ms / SMALLEST_MS) / _LOG_GROWTH)
        self._counts[min(place, _BINS - 1)] += 1
        self.count += 1
        self.total_ms += ms
        self._least = min(self._least, ms)
        self._most = max(self._most, ms)

    def at(self, percent: float) -> float:
        """The percentile in ms, 0 < percent <= 100; NaN when nothing was counted."""
        if not self.count:
            return math.nan
        rank = math.ceil(percent / 100 * self.count)
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = SMALLEST_MS * float(GROWTH ** (place + 0.5))
        return min(max(middle, self._least), self._most)


class StageTimes:
    """Percentiles of every stage over a run."""

    def __init__(self) -> None:
        """Empty."""
        self._stages: defaultdict[str, Percentiles] = defaultdict(Percentiles)

    def add(self, timings: Mapping[str, float]) -> None:
        """Counts one frame's {stage: ms}."""
        for stage, ms in timings.items():
            self._stages[stage].add(ms)

    def summary(self) -> dict[str, dict[str, float]]:
        """{stage: {"p50", "p95", "p99"}} in ms, stages in the order they were first met."""
        return {
            stage: {f"p{percent}": times.at(percent) for percent in (50, 95, 99)}
            for stage, times in self._stages.items()
        }

    def means(self) -> dict[str, float]:
        """{stage: ms} on average over the frames that had the stage; these add up where medians do not."""
        return {stage: times.total_ms / times.count for stage, times in self._stages.items()}
