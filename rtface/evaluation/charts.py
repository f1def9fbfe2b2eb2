"""Charts of an evaluation as SVG: ROC, distances, sensitivity. Needs matplotlib, the extra ``[plot]``."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtface.errors import MissingLibrary
from rtface.evaluation.distances import Compared, PairTable
from rtface.evaluation.figures import curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAME_COLOUR, DIFFERENT_COLOUR = "#0072b2", "#d55e00"
"""Blue and vermilion of Okabe and Ito's palette, told apart by everybody."""
BINS = np.linspace(0, 4, 161)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its name, (x, y) points, and intervals of y where they are known."""

    name: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float]] = ()
    dashed: bool = False


def require_matplotlib() -> None:
    """Fails early, before a long run.

    Raises:
        MissingLibrary: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingLibrary("--report needs matplotlib, which is not installed: pip install 'rtface[plot]'")


def roc(compared: Compared) -> bytes:
    """VAL over FAR, the rates of false accepts on a logarithmic scale."""
    points = curve(compared)
    figure, axes = _drawing()
    axes.step(points.far, points.val, where="post", color=SAME_COLOUR)
    axes.set(xscale="log", xlabel="FAR, false accept rate", ylabel="VAL, validation rate", ylim=(0, 1.01))
    axes.grid(alpha=0.3)
    return _svg(figure)


def distances(compared: Compared, marks: Mapping[str, float]) -> bytes:
    """How often each distance comes among same and among different pairs, with lines at some distances."""
    figure, axes = _drawing()
    for name, table, colour in (
        ("same person", compared.same, SAME_COLOUR),
        ("different people", compared.different, DIFFERENT_COLOUR),
    ):
        axes.stairs(_density(table), BINS, label=name, color=colour, fill=True, alpha=0.5)
    for label, distance in marks.items():
        axes.axvline(distance, color="0.3", linestyle="--", linewidth=0.8)
        axes.text(
            distance, 1.0, f" {label}", rotation=90, va="top", fontsize="x-small", transform=axes.get_xaxis_transform()
        )
    axes.set(xlabel="distance, squared L2", ylabel="share of pairs a bin", xlim=(0, 4))
    axes.legend()
    return _svg(figure)


def lines(drawn: Sequence[Line], *, xlabel: str, ylabel: str, logarithmic: bool = False) -> bytes:
    """Several lines over one scale, such as VAL over JPEG quality beside the paper's."""
    figure, axes = _drawing()
    for number, line in enumerate(drawn):
        x, y = (np.array([point[place] for point in line.points]) for place in (0, 1))
        axes.plot(x, y, color=f"C{number}", linestyle="--" if line.dashed else "-", marker="o", label=line.name)
        if line.intervals:
            low, high = np.array(line.intervals).T
            axes.vlines(x, low, high, color=f"C{number}", linewidth=1)
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.01))
    if logarithmic:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    return _svg(figure)


def _density(table: PairTable) -> NDArray[np.float64]:
    counts = np.histogram(table.distances, BINS, weights=table.weights)[0]
    return np.asarray(counts / table.total, np.float64)


def _drawing() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
