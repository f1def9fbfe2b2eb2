"""Labeled Faces in the Wild, View 1 and View 2: pair files, folds, and the paper's VAL at FAR over all named pictures.

Source: Huang, Ramesh, Berg, Learned-Miller, *Labeled Faces in the Wild*, 2007: the files' format, the threshold of a
fold taken from the other folds, the standard error over folds. Its 300 different pairs a fold cannot show a false
accept rate of 1e-3, so VAL is measured over every pair among the pictures the file names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation import metrics
from rtface.evaluation.distances import Compared, among, listed, pair_distances
from rtface.evaluation.figures import Figures, Interval, figures
from rtface.evaluation.folds import accuracy_interval
from rtface.evaluation.pictures import BATCH, Vectors, embed_pictures, matrix, require

__all__ = ["BATCH", "LfwProtocol", "LfwReport", "Pair", "embed_pictures", "evaluate", "read_protocol", "read_view1"]

FARS = {"1e-3": 1e-3, "1e-4": 1e-4}
"""False accept rates always reported, even where too few pairs can show them; others only where they can."""
UNIT_TOLERANCE = 1e-3
FORM = "The folder must hold NAME/NAME_0001.jpg."


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True, slots=True)
class LfwProtocol:
    """What is compared with what, fold by fold.

    Attributes:
        folds: of View 2, or training and test pairs of View 1.
        view: 2: each fold is judged at the others' distance; 1: the second at that of the first.
    """

    folds: tuple[tuple[Pair, ...], ...]
    view: int = 2

    @property
    def pictures(self) -> list[Path]:
        """Every picture named, once, sorted; the folder it is in is the person's name."""
        return sorted({picture for pair in self.pairs for picture in (pair.first, pair.second)})

    @property
    def pairs(self) -> Iterator[Pair]:
        """All pairs in the order of the file."""
        return (pair for fold in self.folds for pair in fold)


@dataclass(frozen=True, slots=True)
class LfwReport:
    """The figures of one embedder.

    Attributes:
        accuracy: mean over the folds, 0..1; of View 1 that of the test pairs.
        accuracy_std: standard deviation over the folds (n - 1).
        accuracy_error: standard error of the mean, the figure that publications put behind ±.
        accuracy_interval: 95 % over people, at the folds' distances; None without a bootstrap.
        threshold: mean over the folds of the distance chosen on the others.
        val_at_far: VAL over all pairs of the named pictures by FAR; "1e-3" and "1e-4" always, others where shown.
        distance_at_far: the distances that give them.
        all_pairs: the figures over all pairs of the named pictures.
        file_pairs: the figures over the file's pairs alone.
        pairs: in the file.
        pictures: named by the file.
        same_pairs, different_pairs: among all pictures, those VAL and FAR are counted over.
        failed_to_acquire: pictures without a vector.
    """

    accuracy: float
    accuracy_std: float
    accuracy_error: float
    accuracy_interval: Interval | None
    threshold: float
    val_at_far: dict[str, float]
    distance_at_far: dict[str, float]
    all_pairs: Figures
    file_pairs: Figures
    pairs: int
    pictures: int
    same_pairs: int
    different_pairs: int
    failed_to_acquire: tuple[Path, ...]

    def as_json(self) -> dict[str, object]:
        """For ``json.dumps``: failures as a count, their pictures beside it."""
        failed = [str(picture) for picture in self.failed_to_acquire]
        return asdict(self) | {"failed_to_acquire": len(failed), "failed_pictures": failed}


def read_protocol(pairs_file: Path, pictures: Path) -> LfwProtocol:
    """The official ``pairs.txt``, whole or cut down to some folds.

    The first line says how many folds there are and how many pairs of each kind a fold has; each fold is first that
    many lines ``NAME i j``, then that many ``NAME i OTHER j``, for ``pictures/NAME/NAME_000i.jpg``.

    Raises:
        EvaluationError: the file cannot be read, a line is not what it should be, or pictures are missing.
    """
    lines = _lines(pairs_file)
    folds, size = _header(pairs_file, lines, 2)
    protocol = LfwProtocol(_folds_of(pairs_file, lines, pictures, folds, size))
    require(protocol.pictures, pictures, form=FORM)
    return protocol


def read_view1(train_file: Path, test_file: Path, pictures: Path) -> LfwProtocol:
    """View 1's ``pairsDevTrain.txt`` and ``pairsDevTest.txt``, whose first line has the number of pairs of a kind only.

    Raises:
        EvaluationError: as for ``read_protocol``.
    """
    parts: list[tuple[Pair, ...]] = []
    for file in (train_file, test_file):
        lines = _lines(file)
        (size,) = _header(file, lines, 1)
        parts += _folds_of(file, lines, pictures, 1, size)
    protocol = LfwProtocol(tuple(parts), view=1)
    require(protocol.pictures, pictures, form=FORM)
    return protocol


def evaluate(protocol: LfwProtocol, embeddings: Vectors, *, resamples: int = 0) -> LfwReport:
    """Accuracy over the folds and VAL at FAR over all pairs of the named pictures.

    A pair with a failed picture is wrong, whichever kind it is. Over all pairs such a same pair is one not accepted;
    such a different pair is left out of FAR, so that failing to see a face earns no room for false accepts.

    Args:
        protocol: what to compare.
        embeddings: a unit vector for each of its pictures, or None for a failure to acquire.
        resamples: of people, for the intervals; 0 for none.

    Raises:
        EvaluationError: a picture has no entry, vectors do not fit together, or there is too little to measure.
    """
    numbers, vectors = _rows(protocol.pictures, embeddings)
    people = np.unique([picture.parent.name for picture in protocol.pictures], return_inverse=True)[1]
    pairs = np.array([(numbers[pair.first], numbers[pair.second]) for pair in protocol.pairs])
    same = np.array([pair.same for pair in protocol.pairs])
    distances = pair_distances(vectors, pairs)
    judged, accuracies, thresholds = _judged(protocol, distances, same)
    accuracy = metrics.spread(accuracies)
    right = (distances[judged] <= np.repeat(thresholds, _sizes(protocol, judged))) == same[judged]
    compared = among(vectors, people)
    over_all = figures(compared, resamples=resamples)
    always = {label: _val_at_far(compared, rate) for label, rate in FARS.items() if label not in over_all.val_at_far}
    return LfwReport(
        accuracy=accuracy.mean,
        accuracy_std=accuracy.std,
        accuracy_error=accuracy.error,
        accuracy_interval=accuracy_interval(
            right & ~np.isnan(distances[judged]), people[pairs[judged]], same[judged], resamples=resamples
        ),
        threshold=float(thresholds.mean()),
        val_at_far=over_all.val_at_far | {label: val for label, (val, _) in always.items()},
        distance_at_far=over_all.distance_at_far | {label: distance for label, (_, distance) in always.items()},
        all_pairs=over_all,
        file_pairs=figures(listed(vectors, people, pairs, same), resamples=resamples),
        pairs=len(pairs),
        pictures=len(numbers),
        same_pairs=compared.same.total,
        different_pairs=compared.different.total,
        failed_to_acquire=tuple(picture for picture, row in numbers.items() if np.isnan(vectors[row, 0])),
    )


def _lines(pairs_file: Path) -> list[str]:
    try:
        text = pairs_file.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise EvaluationError(f"The pair file {pairs_file} cannot be read: {reason}. Give LFW's pairs.txt.") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{pairs_file} is not a text file. Give LFW's pairs.txt.") from error
    return text.rstrip().split("\n")


def _header(pairs_file: Path, lines: Sequence[str], count: int) -> list[int]:
    numbers = [_number(field) for field in lines[0].split()]
    if len(numbers) != count or 0 in numbers:
        wanted = "of folds and of pairs, such as '10\\t300'" if count == 2 else "of pairs of a kind, such as '1100'"
        raise EvaluationError(f"{pairs_file}, line 1: {lines[0][:80]!r} is not the number {wanted}.")
    return numbers


def _folds_of(
    pairs_file: Path, lines: Sequence[str], pictures: Path, folds: int, size: int
) -> tuple[tuple[Pair, ...], ...]:
    expected = folds * size * 2
    if len(lines) - 1 != expected:
        raise EvaluationError(
            f"{pairs_file} has {len(lines) - 1} pairs, but its first line promises {folds} folds of 2 x {size}, "
            f"{expected} in all. If only some folds are wanted, say so in the first line."
        )
    parsed = [
        _pair(f"{pairs_file}, line {number}", line, pictures, same=(number - 2) % (2 * size) < size)
        for number, line in enumerate(lines[1:], 2)
    ]
    return tuple(tuple(parsed[start : start + 2 * size]) for start in range(0, expected, 2 * size))


def _pair(where: str, line: str, pictures: Path, *, same: bool) -> Pair:
    fields = [field.strip() for field in line.split("\t" if "\t" in line else None)]
    names, numbers = ([fields[0]] * 2, fields[1:]) if same else (fields[0::2], fields[1::2])
    indices = [_number(field) for field in numbers]
    if len(fields) != (3 if same else 4) or 0 in indices or not all(names):
        form = "a pair of one person, 'NAME i j'" if same else "a pair of two people, 'NAME i OTHER j'"
        raise EvaluationError(f"{where}: {line.strip()[:80]!r} is not {form}, tabs between, numbers from 1.")
    first, second = (pictures / name / f"{name}_{index:04d}.jpg" for name, index in zip(names, indices, strict=True))
    if first == second:
        raise EvaluationError(f"{where}: {first.name} is compared with itself.")
    if not same and names[0] == names[1]:
        raise EvaluationError(f"{where}: a pair of two people names {names[0]} twice.")
    return Pair(first, second, same)


def _number(field: str) -> int:
    """A count from 1; 0 for anything else."""
    return int(field) if field.isascii() and field.isdigit() else 0


def _rows(pictures: Sequence[Path], embeddings: Vectors) -> tuple[dict[Path, int], NDArray[np.float32]]:
    """Number of each picture, and their (N, D) vectors, NaN where there is none."""
    absent = [picture for picture in pictures if picture not in embeddings]
    if absent:
        raise EvaluationError(f"{len(absent)} pictures were never embedded, {absent[0]} first; None says: no face.")
    known = {picture: vector for picture in pictures if (vector := embeddings[picture]) is not None}
    if len({vector.shape for vector in known.values()}) > 1:
        raise EvaluationError("The vectors are of different sizes: they are not all of one model.")
    for picture, vector in known.items():
        length = float(np.linalg.norm(vector))
        if not abs(length - 1) <= UNIT_TOLERANCE:
            raise EvaluationError(f"The vector of {picture} has length {length:.4g}; it must have 1.")
    return {picture: number for number, picture in enumerate(pictures)}, matrix(pictures, embeddings)


def _judged(
    protocol: LfwProtocol, distances: NDArray[np.float64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Which pairs are judged, and accuracy and threshold of each fold of them."""
    sizes = [len(fold) for fold in protocol.folds]
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    if protocol.view == 2:
        return np.ones(len(numbers), np.bool_), *metrics.kfold(distances, same, numbers)
    test = numbers == 1
    threshold = metrics.best_threshold(distances[~test], same[~test])
    accuracy = metrics.accuracy(distances[test], same[test], threshold)
    return test, np.array([accuracy]), np.array([threshold])


def _sizes(protocol: LfwProtocol, judged: NDArray[np.bool_]) -> list[int]:
    """Pairs of each fold that is judged."""
    return [len(fold) for fold in protocol.folds] if protocol.view == 2 else [int(judged.sum())]


def _val_at_far(compared: Compared, rate: float) -> tuple[float, float]:
    """VAL and distance of a rate that too few pairs can show: with not one false accept."""
    different = compared.different
    return metrics.val_at_far(compared.same.distances, different.distances, rate, different_total=different.total)
