"""Sensitivity for people: tables side by side with the paper's, and charts of each kind of degradation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rtface.evaluation import charts
from rtface.evaluation.page import Chart, Page, Table
from rtface.evaluation.sensitivity import Point, Sensitivity
from rtface.evaluation.verification import Model, between

SCALES = {
    "jpeg": ("JPEG quality", False),
    "size": ("pixels of the face's picture", True),
    "blur": ("standard deviation of the blur, px of 220", True),
    "darkness": ("share of the light", True),
    "rotation": ("degrees", False),
    "dimensions": ("dimensions of the embedding", True),
}
"""The axis of each series with a scale, and whether it is logarithmic."""


def head(found: Sensitivity) -> list[str]:
    """Names of the columns of ``rows``."""
    kept = f"at distance {found.distance:.3f}"
    return ["pictures", f"VAL at FAR {found.far}", "paper", f"VAL {kept}", f"FAR {kept}", "no face"]


def rows(points: Sequence[Point]) -> list[list[str]]:
    """A row of words for each condition."""
    return [
        [
            f"{point.series} {point.label}",
            f"{point.val:.3f}{between(point.interval, 3)}",
            "" if point.paper is None else f"{point.paper:.3f}",
            f"{point.val_kept:.3f}",
            f"{point.far_kept:.2g}",
            f"{point.failed}",
        ]
        for point in points
    ]


def notes(found: Sensitivity, model: Model) -> tuple[str, ...]:
    """What has to be known to read the figures."""
    how = (
        "Faces were found again in each degraded thumbnail; where none was found the picture's pairs are errors."
        if found.detected_again
        else "Degraded is a thumbnail around the face as it was found in the good picture, its place known; landmarks "
        "turn with it. --detect-again measures the detector as well."
    )
    return (
        f"{model.embedder} ({model.fingerprint}) on {model.backend}; {found.pictures} pictures, "
        f"{found.same_pairs:,} same and {found.different_pairs:,} different pairs, all pictures degraded alike.",
        how,
        f"The median thumbnail has {found.face_px:.0f} px of its own; larger sizes only interpolate.",
        "The paper's figures are NN1's (table 4) and those of table 5, on the paper's own hold-out pictures: compare "
        "how the figures fall, not how high they stand.",
    )


def page(found: Sensitivity, model: Model) -> Page:
    """The report as a page.

    Raises:
        MissingLibrary: matplotlib is not installed.
    """
    by_series = {name: list(points) for name, points in groupby(found.points, key=lambda point: point.series)}
    return Page(
        title="Sensitivity to worse pictures",
        lead=notes(found, model),
        tables=[Table(name, head(found), rows(points)) for name, points in by_series.items()],
        charts=[_chart(found, model, name, by_series[name]) for name in SCALES if name in by_series],
        record=record(found, model),
    )


def record(found: Sensitivity, model: Model) -> dict[str, object]:
    """For ``json.dumps``."""
    named = {"embedder": model.embedder, "fingerprint": model.fingerprint, "backend": model.backend}
    return {"protocol": "sensitivity", **named, "detector": model.detector, **found.as_json()}


def _chart(found: Sensitivity, model: Model, name: str, points: Sequence[Point]) -> Chart:
    label, logarithmic = SCALES[name]
    placed = [(point.value, point) for point in points if point.value is not None]
    own = charts.Line(
        model.embedder,
        [(value, point.val) for value, point in placed],
        [point.interval for _, point in placed if point.interval is not None],
    )
    papers = [(value, point.paper) for value, point in placed if point.paper is not None]
    drawn = [own, charts.Line("FaceNet paper", papers, dashed=True)] if papers else [own]
    ylabel = f"VAL at FAR {found.far}"
    return Chart(f"{ylabel} by {label}", charts.lines(drawn, xlabel=label, ylabel=ylabel, logarithmic=logarithmic))
