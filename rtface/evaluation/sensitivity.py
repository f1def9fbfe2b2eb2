"""How much of the recognition is left when pictures get worse: the paper's tables 4 and 5 on anybody's pictures.

All pictures of a comparison are degraded alike, as in the paper. Degraded is a thumbnail around the face, which was
found in the good picture, and the face's place in it is known: so the embedding is measured and not the detector. With
``detect_again`` the face has to be found anew in a wider thumbnail, and those where it is not are told and are errors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.crops import best_crop
from rtface.errors import EvaluationError, PictureError
from rtface.evaluation import degrade
from rtface.evaluation.conditions import PAPER_DIMENSIONS, Condition, conditions
from rtface.evaluation.distances import Compared, Report
from rtface.evaluation.figures import Figures, Interval, figures, rates_at
from rtface.evaluation.pictures import FaceReader, Subject, subject_of
from rtface.types import Image

Pairing = Callable[[NDArray[np.float32]], Compared]
"""From (N, D) vectors, NaN where there is none, to the pairs that are compared."""
Project = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""From (N, D) unit rows to (N, d) unit rows of so many dimensions."""

WANTED_FARS = ("1e-3", "1e-2", "1e-1")
"""The paper's, or the next that so few pairs can show."""
BATCH = 32


@dataclass(frozen=True, slots=True)
class Point:
    """What is left under one condition.

    Attributes:
        series, label, value, paper: as of ``Condition``.
        val: at the FAR of the whole table.
        interval: of it, 95 % over people; None without a bootstrap.
        val_kept, far_kept: at the distance that gives that FAR on untouched pictures, as a running system has it.
        failed: pictures without a face.
    """

    series: str
    label: str
    value: float | None
    paper: float | None
    val: float
    interval: Interval | None
    val_kept: float
    far_kept: float
    failed: int


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The tables.

    Attributes:
        far: the false accept rate of all VAL, such as "1e-3".
        distance: that gives it on untouched pictures.
        points: one a condition, the untouched one first.
        pictures: how many were degraded.
        same_pairs, different_pairs: of the untouched ones.
        face_px: median side of a thumbnail in the pictures' own pixels; larger ones show nothing that is there.
        detected_again: whether faces were found anew in what was degraded.
    """

    far: str
    distance: float
    points: tuple[Point, ...]
    pictures: int
    same_pairs: int
    different_pairs: int
    face_px: float
    detected_again: bool

    def as_json(self) -> dict[str, object]:
        """For ``json.dumps``."""
        return asdict(self)


def measure(
    files: Sequence[Path],
    pairing: Pairing,
    reader: FaceReader,
    report: Report,
    *,
    detect_again: bool = False,
    project: Project | None = None,
    resamples: int = 0,
) -> Sensitivity:
    """All conditions on these pictures.

    Embeddings lie in a file that is gone afterwards, so that memory does not grow with pictures times conditions.

    Args:
        files: the pictures.
        pairing: which of them are compared.
        reader: makes them vectors.
        report: is told how it goes.
        detect_again: faces are found anew in what was degraded.
        project: to fewer dimensions; without it only the model's own are told.
        resamples: of people, for the intervals; 0 for none.

    Raises:
        EvaluationError: there is nothing to measure.
    """
    asked = conditions(context=degrade.WIDE if detect_again else degrade.CLOSE)
    with tempfile.TemporaryDirectory(prefix="rtface-") as folder:
        shape = (len(asked), len(files), reader.embedder.size)
        vectors = np.memmap(Path(folder) / "embeddings", np.float32, "w+", shape=shape)
        sides = _fill(vectors, files, asked, reader, report, detect_again)
        if not sides:
            raise EvaluationError(
                f"In none of the {len(files)} pictures was a face found: there is nothing to measure."
            )
        base = pairing(np.asarray(vectors[0]))
        whole = figures(base, resamples=resamples)
        far = next((label for label in WANTED_FARS if label in whole.val_at_far), "")
        if not far:
            raise EvaluationError(f"{whole.different_pairs} pairs of different people are too few; name more pictures.")
        distance = whole.distance_at_far[far]
        points = [
            _point(condition, pairing(np.asarray(rows)), far, distance, resamples, int(np.isnan(rows[:, 0]).sum()))
            for condition, rows in zip(asked, vectors, strict=True)
        ]
        points += _dimensions(np.asarray(vectors[0]), pairing, project, far, resamples)
        del vectors
    median = float(np.median(sides))
    counts = (len(files), whole.same_pairs, whole.different_pairs)
    return Sensitivity(far, distance, tuple(points), *counts, median, detect_again)


def _fill(
    vectors: NDArray[np.float32],
    files: Sequence[Path],
    asked: Sequence[Condition],
    reader: FaceReader,
    report: Report,
    detect_again: bool,
) -> list[int]:
    """Writes the vector of each picture under each condition, NaN where it has none; gives the faces' sides in px."""
    vectors[:] = np.nan
    sides: list[int] = []
    waiting: list[tuple[int, int, bytes | None, Image]] = []
    for row, path in enumerate(files):
        side, crops = _crops(path, asked, reader, detect_again, vectors[:, row])
        sides += [side] if side else []
        waiting += [(number, row, key, crop) for number, key, crop in crops]
        if len(waiting) >= BATCH or row == len(files) - 1:
            _embed(vectors, waiting, reader)
            waiting.clear()
        report("pictures", row + 1, len(files))
    return sides


def _crops(
    path: Path, asked: Sequence[Condition], reader: FaceReader, detect_again: bool, known: NDArray[np.float32]
) -> tuple[int, list[tuple[int, bytes | None, Image]]]:
    """Side of the face and (condition, key, crop) of what has to be embedded; what is cached goes into ``known``."""
    mode = "again" if detect_again else "once"
    keys = [reader.key(path, "thumbnail", mode, condition.name) for condition in asked]
    missing = []
    for number, key in enumerate(keys):
        found = reader.cache.get(key) if reader.cache and key else None
        if found is None:
            missing.append(number)
        elif found.vector is not None:
            known[number] = found.vector
    thumbnail = _thumbnail(path, reader, detect_again)
    if thumbnail is None:
        return 0, []
    scale = degrade.WIDE / degrade.CLOSE if detect_again else 1.0
    side = round(thumbnail.image.shape[0] / scale)
    made = ((number, keys[number], asked[number].apply(thumbnail)) for number in missing)
    return side, list(_looked_at(made, reader, detect_again))


def _thumbnail(path: Path, reader: FaceReader, detect_again: bool) -> degrade.Thumbnail | None:
    try:
        image = reader.read_picture(path)
    except PictureError:
        return None
    face = subject_of(reader.detector.detect(image), image, reader.subject)
    if face is None:
        return None
    if reader.embedder.by_landmarks:
        face = reader.detector.refine(image, face)
    return degrade.cut(image, face, context=degrade.WIDE if detect_again else degrade.CLOSE)


def _looked_at(
    made: Iterator[tuple[int, bytes | None, degrade.Thumbnail]], reader: FaceReader, detect_again: bool
) -> Iterator[tuple[int, bytes | None, Image]]:
    """The crop of each degraded thumbnail; where a face is not found again there is none, which is remembered."""
    for number, key, thumbnail in made:
        if not detect_again:
            yield number, key, reader.embedder.crop(thumbnail.image, thumbnail.face)
            continue
        face = subject_of(reader.detector.detect(thumbnail.image), thumbnail.image, Subject.CENTRAL)
        if face is not None:
            yield number, key, best_crop(reader.detector, reader.embedder, thumbnail.image, face)
        elif reader.cache and key:
            reader.cache.put(key, None)


def _embed(
    vectors: NDArray[np.float32], waiting: Sequence[tuple[int, int, bytes | None, Image]], reader: FaceReader
) -> None:
    if not waiting:
        return
    rows = reader.embedder.embed(np.stack([crop for *_, crop in waiting]), mirror=reader.mirror)
    for (number, row, key, _), vector in zip(waiting, rows, strict=True):
        vectors[number, row] = vector
        if reader.cache and key:
            reader.cache.put(key, vector)


def _point(condition: Condition, compared: Compared, far: str, distance: float, resamples: int, failed: int) -> Point:
    kept = rates_at(compared, distance) if len(compared.different.distances) else (0.0, 0.0)
    found = figures(compared, resamples=resamples) if len(compared.different.distances) else None
    val, interval = _val(found, far)
    named = (condition.series, condition.label, condition.value, condition.paper)
    return Point(*named, val, interval, *kept, failed)


def _val(found: Figures | None, far: str) -> tuple[float, Interval | None]:
    """VAL at the table's FAR; nothing is left where too few faces were found to show it."""
    if found is None or far not in found.val_at_far:
        return 0.0, None
    return found.val_at_far[far], found.val_interval.get(far)


def _dimensions(
    rows: NDArray[np.float32], pairing: Pairing, project: Project | None, far: str, resamples: int
) -> list[Point]:
    """The untouched pictures in fewer dimensions, and in the model's own."""
    size = rows.shape[1]
    known = ~np.isnan(rows[:, 0])
    sizes = sorted({*(number for number in PAPER_DIMENSIONS if project and number < size), size})
    points = []
    for number in sizes:
        fewer = np.full((len(rows), number), np.nan, np.float32)
        fewer[known] = project(rows[known], number) if project and number < size else rows[known]
        compared = pairing(fewer)
        counted = figures(compared, resamples=resamples)
        val, interval = _val(counted, far)
        paper = PAPER_DIMENSIONS.get(number)
        label = f"{number}" if number < size else f"{number}, the model's own"
        kept = rates_at(compared, counted.distance_at_far[far])
        points.append(Point("dimensions", label, number, paper, val, interval, *kept, int((~known).sum())))
    return points
