"""One to one: a report on how well pairs of pictures or videos are told apart, whatever named the pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.evaluation import charts
from rtface.evaluation.distances import Compared, PairTable, Report, among, listed, pair_distances
from rtface.evaluation.figures import Figures, Interval, figures, rates_at
from rtface.evaluation.folds import Accuracy, accuracy_over_folds
from rtface.evaluation.identification import Identification
from rtface.evaluation.page import Chart, Page, PicturePair, Table
from rtface.evaluation.pair_list import PairList
from rtface.evaluation.pictures import Vectors, matrix
from rtface.types import Image

SHOWN = 12
"""Wrong pairs of a kind that a page shows."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is evaluated.

    Attributes:
        embedder, fingerprint, backend, detector: names of it.
        limit: the distance at which ``rtface verify`` calls two pictures one person; None where none is known.
    """

    embedder: str
    fingerprint: str
    backend: str
    detector: str
    limit: float | None


@dataclass(frozen=True, slots=True)
class AtLimit:
    """VAL and FAR at the distance that rtface uses by itself, before anybody has looked at these pictures."""

    distance: float
    val: float
    far: float


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What was measured.

    Attributes:
        protocol: its name.
        model: of whom.
        files: compared, in the order of the vectors.
        compared: their pairs.
        figures: of these pairs.
        accuracy: over folds; None where there are none.
        at_limit: at the model's own distance; None where it has none.
        failed: files without a vector.
        identification: open-set figures; empty where they were not asked for.
    """

    protocol: str
    model: Model
    files: tuple[Path, ...]
    compared: Compared
    figures: Figures
    accuracy: Accuracy | None
    at_limit: AtLimit | None
    failed: tuple[Path, ...]
    identification: tuple[Identification, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For ``json.dumps``: failures as a count, their files beside it."""
        return {
            "protocol": self.protocol,
            **{key: value for key, value in asdict(self.model).items() if key != "limit"},
            "files": len(self.files),
            "people": len(np.unique(self.compared.people)),
            "failed_to_acquire": len(self.failed),
            "failed_files": [str(path) for path in self.failed],
            "accuracy": asdict(self.accuracy) if self.accuracy else None,
            **asdict(self.figures),
            "at_own_distance": asdict(self.at_limit) if self.at_limit else None,
            "identification": [asdict(one) for one in self.identification],
        }


def of_people(
    protocol: str,
    model: Model,
    files: Sequence[Path],
    people: NDArray[np.intp],
    vectors: Vectors,
    *,
    resamples: int,
    report: Report | None = None,
) -> Verification:
    """All pairs among files of which it is known whom they show.

    Raises:
        EvaluationError: there is nothing to measure.
    """
    compared = among(matrix(files, vectors), people, report=report)
    return _verified(protocol, model, files, compared, None, vectors, resamples)


def of_list(protocol: str, model: Model, pairs: PairList, vectors: Vectors, *, resamples: int) -> Verification:
    """The pairs of a list, with accuracy over its folds.

    Raises:
        EvaluationError: there is nothing to measure.
    """
    rows = matrix(pairs.files, vectors)
    compared = listed(rows, pairs.people, pairs.pairs, pairs.same)
    accuracy = accuracy_over_folds(
        pair_distances(rows, pairs.pairs), pairs.same, pairs.folds, pairs.people[pairs.pairs], resamples=resamples
    )
    return _verified(protocol, model, pairs.files, compared, accuracy, vectors, resamples)


def _verified(
    protocol: str,
    model: Model,
    files: Sequence[Path],
    compared: Compared,
    accuracy: Accuracy | None,
    vectors: Vectors,
    resamples: int,
) -> Verification:
    limit = AtLimit(model.limit, *rates_at(compared, model.limit)) if model.limit is not None else None
    failed = tuple(path for path in files if vectors[path] is None)
    found = figures(compared, resamples=resamples)
    return Verification(protocol, model, tuple(files), compared, found, accuracy, limit, failed)


def in_words(found: Verification) -> list[tuple[str, str]]:
    """The figures as (name, value) for people."""
    counted, rows = found.figures, list[tuple[str, str]]()
    if found.accuracy:
        kept = found.accuracy
        rows.append(
            ("accuracy", f"{kept.mean:.4f} ± {kept.error:.4f}{between(kept.interval)} at distance {kept.threshold:.3f}")
        )
    for far, value in counted.val_at_far.items():
        interval = between(counted.val_interval.get(far))
        rows.append((f"VAL at FAR {far}", f"{value:.4f}{interval} at distance {counted.distance_at_far[far]:.3f}"))
    rows.append(("equal error rate", f"{counted.equal_error_rate:.4f}{between(counted.equal_error_interval)}"))
    rows.append(("AUC", f"{counted.auc:.5f}{between(counted.auc_interval, 5)}"))
    if found.at_limit:
        own = found.at_limit
        rows.append((f"at rtface's own distance {own.distance:.3f}", f"VAL {own.val:.4f}, FAR {own.far:.2g}"))
    rows.append(("pairs", f"{counted.same_pairs:,} same, {counted.different_pairs:,} different"))
    if counted.sampled:
        rows.append(("sampled", f"above FAR {counted.exact_far:.2g} the different pairs are a sample"))
    for one in found.identification:
        rows += _identified(one)
    rows.append(("failures to acquire", f"{len(found.failed)} of {len(found.files)}, counted as errors"))
    return rows


def page(found: Verification, title: str, face_of: Callable[[Path], Image | None]) -> Page:
    """The report as a page.

    Args:
        found: what was measured.
        title: of the page.
        face_of: gives the face that was compared, to be shown.

    Raises:
        MissingLibrary: matplotlib is not installed.
    """
    model, same, different = found.model, found.compared.same, found.compared.different
    marks = {f"FAR {far}": distance for far, distance in found.figures.distance_at_far.items()}
    wrong = np.searchsorted(same.distances, np.inf)  # failures have no distance to show
    return Page(
        title=title,
        lead=(
            f"{model.embedder} ({model.fingerprint}) on {model.backend}, faces found by {model.detector}.",
            "Distance is squared L2 between unit vectors, 0..4. VAL is the accepted share of the pairs of one person, "
            "FAR that of the pairs of two. Brackets: 95 % of a bootstrap over people.",
        ),
        tables=(Table("Figures", ("", ""), in_words(found)),),
        charts=(
            Chart("ROC: VAL over FAR", charts.roc(found.compared)),
            Chart("Distances of same and different pairs", charts.distances(found.compared, marks)),
        ),
        pairs=(
            ("Nearest different people: worst false accepts", _shown(found, different, range(SHOWN), face_of)),
            (
                "Farthest pictures of one person: worst false rejects",
                _shown(found, same, range(wrong - 1, wrong - 1 - SHOWN, -1), face_of),
            ),
        ),
        failed=[str(path) for path in found.failed],
        record=found.as_json(),
    )


def _shown(
    found: Verification, table: PairTable, places: range, face_of: Callable[[Path], Image | None]
) -> list[PicturePair]:
    pairs = []
    for place in places:
        if 0 <= place < len(table.distances):
            first, second = (found.files[int(row)] for row in table.rows[place])
            names = (str(first), str(second))
            pairs.append(PicturePair((face_of(first), face_of(second)), names, float(table.distances[place])))
    return pairs


def _identified(one: Identification) -> list[tuple[str, str]]:
    head = f"1:N, {one.people} people"
    searched = f"{one.enrolled} pictures enrolled, {one.mated} searches for them, {one.nonmated} for strangers"
    rows = [(head, searched), (f"{head}: nearest is somebody else", f"{one.missed:.4f}")]
    for fpir, fnir in one.fnir_at_fpir.items():
        where = f"at distance {one.distance_at_fpir[fpir]:.3f}"
        rows.append((f"{head}: FNIR at FPIR {fpir}", f"{fnir:.4f}{between(one.interval.get(fpir))} {where}"))
    return rows


def between(interval: Interval | None, digits: int = 4) -> str:
    """An interval in brackets; nothing where there is none."""
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""
