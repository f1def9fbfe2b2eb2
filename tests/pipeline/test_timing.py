from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.pipeline.timing import Percentiles, StageTimes, Stopwatch

RANDOM = np.random.default_rng(5)
SPREADS = {
    "normal": np.abs(RANDOM.normal(5.0, 1.0, 20_000)) + 0.1,
    "long tail": RANDOM.lognormal(1.0, 1.5, 20_000),
    "two humps": np.concatenate([RANDOM.uniform(1, 2, 9_000), RANDOM.uniform(80, 90, 1_000)]),
    "few": np.array([3.0, 1.0, 2.0]),
    "one": np.array([7.25]),
    "equal": np.full(100, 4.2),
}


def counted(values: NDArray[np.float64]) -> Percentiles:
    percentiles = Percentiles()
    for value in values:
        percentiles.add(float(value))
    return percentiles


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("percent", [1, 50, 90, 95, 99, 99.9, 100])
def test_percentiles_agree_with_numpy_within_half_a_percent(name: str, percent: float) -> None:
    expected = np.percentile(SPREADS[name], percent, method="inverted_cdf")
    assert counted(SPREADS[name]).at(percent) == pytest.approx(expected, rel=0.0051)


def test_durations_beyond_the_bins_are_counted_at_the_extremes() -> None:
    times = counted(np.array([0.0, 0.0, 1e9]))
    assert times.at(50) == pytest.approx(0.0, abs=2e-3)
    assert times.count == 3
    assert times.at(100) >= 1e6


def test_nothing_counted_is_not_a_number_and_nonsense_is_refused() -> None:
    assert math.isnan(Percentiles().at(50))
    for nonsense in (math.nan, math.inf):
        with pytest.raises(ValueError, match="no duration"):
            Percentiles().add(nonsense)


def test_a_long_run_takes_no_more_memory_than_a_short_one() -> None:
    times = StageTimes()
    times.add({"detect": 1.0})
    values = [{"detect": float(value)} for value in np.random.default_rng(1).uniform(0.1, 100, 20_000)]
    tracemalloc.start()
    try:
        for value in values:
            times.add(value)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2_000


def test_summary_names_every_stage_in_the_order_of_work() -> None:
    times = StageTimes()
    for ms in range(1, 101):
        times.add({"detect": float(ms), "embed": 1.0} if ms % 2 else {"detect": float(ms)})
    summary = times.summary()
    assert list(summary) == ["detect", "embed"]
    assert summary["detect"]["p50"] == pytest.approx(50, rel=0.0051)
    assert summary["detect"]["p95"] == pytest.approx(95, rel=0.0051)
    assert summary["detect"]["p99"] == pytest.approx(99, rel=0.0051)


def test_stopwatch_gives_milliseconds_and_sums_what_comes_twice() -> None:
    ticks = itertools.chain([1.0, 1.25], [2.0, 2.001], [3.0, 3.5])
    watch = Stopwatch(lambda: next(ticks))
    with watch.stage("detect"):
        pass
    with watch.stage("embed"):
        pass
    with watch.stage("detect"):
        pass
    assert watch.timings == pytest.approx({"detect": 750.0, "embed": 1.0})


def test_a_stage_that_fails_is_timed_all_the_same() -> None:
    ticks = iter([1.0, 1.5])
    watch = Stopwatch(lambda: next(ticks))
    with pytest.raises(KeyError), watch.stage("detect"):
        raise KeyError
    assert watch.timings == {"detect": 500.0}
