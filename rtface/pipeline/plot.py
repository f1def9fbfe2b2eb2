"""A run as one picture: age of every frame over time and as a histogram, stages, memory. Needs matplotlib."""

from __future__ import annotations

import importlib.util
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rtface.errors import MissingLibrary, SinkError
from rtface.pipeline.summary import AGE, Summary
from rtface.types import FrameResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".pdf", ".svg")
POINTS = 20_000
"""A source's dots beyond this are thinned: more than a picture has columns, and an .svg of all would not open."""

IDLE = "wait"
"""The stage in which nothing is done."""

HEADROOM = 1.1
"""Above the oldest frame; the warm-up's frames may be older and are cut off."""


def check_place(path: Path) -> None:
    """Fails early, before a long run, when no picture can come of it.

    Raises:
        MissingLibrary: matplotlib is not installed.
        SinkError: the file's ending or folder will not do.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingLibrary("--plot needs matplotlib, which is not installed: pip install 'rtface[plot]'")
    if path.suffix.lower() not in ENDINGS:
        raise SinkError(f"The plot {path.absolute()} has to end in {', '.join(ENDINGS)}.")
    if path.is_dir():
        raise SinkError(f"The plot {path.absolute()} is a folder: give a file in it.")
    if not path.absolute().parent.is_dir():
        raise SinkError(f"The plot {path.absolute()} cannot be written: there is no folder {path.absolute().parent}.")


class Trace:
    """When each frame's verdict came and how old the frame was; 16 bytes a frame. A sink."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """The clock gives seconds, and has to be the summary's."""
        self._clock = clock
        self.points: dict[str, tuple[array[float], array[float]]] = {}

    def write(self, result: FrameResult) -> bool:
        """Notes one frame; always True."""
        if not result.repeated and AGE in result.timings:
            at, age = self.points.setdefault(result.frame.source, (array("d"), array("d")))
            at.append(self._clock())
            age.append(result.timings[AGE])
        return True

    def close(self) -> None:
        """Nothing to finish."""


def draw(path: Path, trace: Trace, summary: Summary, *, title: str) -> None:
    """Writes the picture, whole or not at all.

    Args:
        path: its ending decides the form.
        trace, summary: of the same run, on the same clock.
        title: one line.

    Raises:
        SinkError: it cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(12, 8), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(3, 1), height_ratios=(4, 1.2, 2))
    over_time = figure.add_subplot(grid[0, 0])
    _ages(over_time, figure.add_subplot(grid[0, 1], sharey=over_time), trace, summary)
    _stages(figure.add_subplot(grid[1, :]), summary)
    _memory(figure.add_subplot(grid[2, :]), summary)
    figure.suptitle(title, wrap=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(beside, format=path.suffix[1:].lower(), dpi=110)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SinkError(f"The plot {path.absolute()} cannot be written: {error.strerror}.") from error


def _ages(over_time: Axes, histogram: Axes, trace: Trace, summary: Summary) -> None:
    """Every frame as a dot, and beside it how often each age came; the warm-up is grey and not counted."""
    began, oldest = _beginning(trace, summary), 1.0
    for number, (source, points) in enumerate(sorted(trace.points.items())):
        seconds, ms = np.array(points[0]) - began, np.array(points[1])
        counted, colour = seconds > 0, f"C{number % 10}"
        over_time.plot(seconds[~counted], ms[~counted], ".", color="0.7", markersize=2)
        shown = np.flatnonzero(counted)[:: max(len(ms) // POINTS, 1)]
        over_time.plot(seconds[shown], ms[shown], ".", color=colour, markersize=3, label=source)
        if counted.any():
            histogram.hist(ms[counted], bins=60, orientation="horizontal", histtype="step", color=colour)
            oldest = max(oldest, float(ms[counted].max()))
    _mark(over_time, histogram, summary.ages())
    over_time.set(xlabel="seconds since the warm-up", ylabel="frame age, ms", ylim=(0, HEADROOM * oldest))
    if trace.points:
        over_time.legend(markerscale=4, loc="upper right", fontsize="small")
    histogram.set(xlabel="frames")
    histogram.tick_params(labelleft=False)


def _beginning(trace: Trace, summary: Summary) -> float:
    """The clock when what is counted began: the warm-up's last frame, or just before the first where there is none."""
    if summary.left_out and summary.measured_from is not None:
        return summary.measured_from
    return float(np.nextafter(min((at[0] for at, _ in trace.points.values()), default=0.0), -np.inf))


def _mark(over_time: Axes, histogram: Axes, ages: Mapping[str, float]) -> None:
    """Lines at the median and the 95th percentile of all sources."""
    for name, style in (("p50", "-"), ("p95", "--")):
        if name not in ages:
            continue
        for axes in (over_time, histogram):
            axes.axhline(ages[name], color="0.3", linestyle=style, linewidth=0.8)
        text, frame = f"{name} {ages[name]:.1f} ms ", histogram.get_yaxis_transform()
        histogram.text(1.0, ages[name], text, ha="right", va="bottom", transform=frame)


def _stages(axes: Axes, summary: Summary) -> None:
    """What a frame costs, stage by stage, end to end: on average, and in the median, where rare work vanishes."""
    bars = {"median": {stage: times["p50"] for stage, times in summary.stages().items()}, "mean": summary.means()}
    for row, times in enumerate(bars.values()):
        left = 0.0
        for number, (stage, ms) in enumerate(times.items()):
            if stage != IDLE:
                axes.barh([row], [ms], left=left, color=f"C{number % 10}", label=stage if row else None)
                left += ms
    axes.set(xlabel="ms a frame, without waiting for one", yticks=range(len(bars)), yticklabels=list(bars))
    if bars["mean"]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _memory(axes: Axes, summary: Summary) -> None:
    """Memory held, second by second."""
    at, rss = summary.resources.memory
    axes.plot(at, rss, color="C0")
    axes.set(xlabel="seconds since the warm-up", ylabel="memory, MB", ylim=(0, 1.15 * max(rss, default=1.0)))
