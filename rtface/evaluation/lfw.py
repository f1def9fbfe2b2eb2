"""Labeled Faces in the Wild, View 2: its pair file, its folds, and the paper's VAL at FAR over all named pictures.

Source: Huang, Ramesh, Berg, Learned-Miller, *Labeled Faces in the Wild*, 2007: the file's format, the threshold of a
fold taken from the other folds, the standard error over folds. Its 300 different pairs a fold cannot show a false
accept rate of 1e-3, so VAL is measured over every pair among the pictures the file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.crops import best_crop
from rtface.errors import EvaluationError, PictureError
from rtface.evaluation import metrics
from rtface.interfaces import Detector, Embedder
from rtface.types import Detection, Image

Vectors = Mapping[Path, NDArray[np.float32] | None]
Report = Callable[[str, int, int], None]
"""Told a label, how much is done and how much there is."""

FARS = {"1e-3": 1e-3, "1e-4": 1e-4}
"""False accept rates always reported ..."""
SMALLEST_FAR = {"1e-5": 1e-5}
"""... and the one reported where at least 1 / FAR different pairs can show it."""
BATCH = 16
LISTED = 10
"""Names of missing pictures that fit an error message."""
UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True, slots=True)
class LfwProtocol:
    """What is compared with what, fold by fold."""

    folds: tuple[tuple[Pair, ...], ...]

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
        accuracy: mean over the folds, 0..1.
        accuracy_std: standard deviation over the folds (n - 1).
        accuracy_error: standard error of the mean, the figure that publications put behind ±.
        threshold: mean over the folds of the distance chosen on the others.
        val_at_far: VAL over all pairs of the named pictures by FAR, "1e-3", "1e-4" and, where shown, "1e-5".
        distance_at_far: the distances that give them.
        pairs: in the file.
        pictures: named by the file.
        same_pairs, different_pairs: among all pictures, those VAL and FAR are counted over.
        failed_to_acquire: pictures without a vector.
    """

    accuracy: float
    accuracy_std: float
    accuracy_error: float
    threshold: float
    val_at_far: dict[str, float]
    distance_at_far: dict[str, float]
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
    folds, size = _header(pairs_file, lines)
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
    protocol = LfwProtocol(tuple(tuple(parsed[start : start + 2 * size]) for start in range(0, expected, 2 * size)))
    _require(protocol.pictures, pictures)
    return protocol


def embed_pictures(
    paths: Sequence[Path],
    detector: Detector,
    embedder: Embedder,
    *,
    read_picture: Callable[[Path], Image],
    report: Report,
) -> dict[Path, NDArray[np.float32] | None]:
    """The unit vector of the face nearest the middle of each picture, as LFW centres the person it names.

    None where no face is found or the picture cannot be read: both are failures to acquire.
    """
    vectors: dict[Path, NDArray[np.float32] | None] = dict.fromkeys(paths)
    waiting: list[tuple[Path, Image]] = []
    for done, path in enumerate(paths, 1):
        crop = _central_crop(path, detector, embedder, read_picture)
        if crop is not None:
            waiting.append((path, crop))
        if waiting and (len(waiting) == BATCH or done == len(paths)):
            rows = embedder.embed(np.stack([crop for _, crop in waiting]), mirror=True)
            vectors.update(zip((path for path, _ in waiting), rows, strict=True))
            waiting.clear()
        report("pictures", done, len(paths))
    return vectors


def evaluate(protocol: LfwProtocol, embeddings: Vectors) -> LfwReport:
    """Accuracy over the folds and VAL at FAR over all pairs of the named pictures.

    A pair with a failed picture is wrong, whichever kind it is. Over all pairs such a same pair is one not accepted;
    such a different pair is left out of FAR, so that failing to see a face earns no room for false accepts.

    Args:
        protocol: what to compare.
        embeddings: a unit vector for each of its pictures, or None for a failure to acquire.

    Raises:
        EvaluationError: a picture has no entry, vectors do not fit together, or there is too little to measure.
    """
    pictures = protocol.pictures
    found, vectors = _known_vectors(pictures, embeddings)
    row = {picture: number for number, picture in enumerate(found)}
    accuracies, thresholds = _folds(protocol, row, vectors)
    accuracy = metrics.spread(accuracies)
    people = np.unique([picture.parent.name for picture in found], return_inverse=True)[1]
    among = metrics.all_pairs(vectors, people, most=max(FARS.values()))
    same = np.concatenate((among.same, np.full(_same_pairs(pictures) - len(among.same), np.inf, np.float32)))
    rates = FARS | {label: rate for label, rate in SMALLEST_FAR.items() if rate * among.different_total >= 1}
    points = {
        label: metrics.val_at_far(same, among.different, rate, different_total=among.different_total)
        for label, rate in rates.items()
    }
    return LfwReport(
        accuracy=accuracy.mean,
        accuracy_std=accuracy.std,
        accuracy_error=accuracy.error,
        threshold=float(thresholds.mean()),
        val_at_far={label: val for label, (val, _) in points.items()},
        distance_at_far={label: distance for label, (_, distance) in points.items()},
        pairs=sum(1 for _ in protocol.pairs),
        pictures=len(pictures),
        same_pairs=len(same),
        different_pairs=among.different_total,
        failed_to_acquire=tuple(picture for picture in pictures if picture not in row),
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


def _header(pairs_file: Path, lines: Sequence[str]) -> tuple[int, int]:
    numbers = [_number(field) for field in lines[0].split()]
    if len(numbers) != 2 or 0 in numbers:
        raise EvaluationError(
            f"{pairs_file}, line 1: {lines[0][:80]!r} is not the number of folds and of pairs, such as '10\\t300'."
        )
    return numbers[0], numbers[1]


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


def _require(paths: Sequence[Path], folder: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        named = ", ".join(str(path.relative_to(folder)) for path in missing[:LISTED])
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        raise EvaluationError(
            f"{len(missing)} of {len(paths)} pictures are missing in {folder}: {named}{more}. "
            "The folder must hold NAME/NAME_0001.jpg."
        )


def _central_crop(
    path: Path, detector: Detector, embedder: Embedder, read_picture: Callable[[Path], Image]
) -> Image | None:
    try:
        image = read_picture(path)
    except PictureError:
        return None
    middle = np.array([image.shape[1], image.shape[0]]) / 2

    def off_centre(face: Detection) -> float:
        return float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle))

    face = min(detector.detect(image), key=off_centre, default=None)
    return None if face is None else best_crop(detector, embedder, image, face)


def _known_vectors(pictures: Sequence[Path], embeddings: Vectors) -> tuple[list[Path], NDArray[np.float32]]:
    """Pictures that have a vector, and their (N, D) vectors."""
    absent = [picture for picture in pictures if picture not in embeddings]
    if absent:
        raise EvaluationError(f"{len(absent)} pictures were never embedded, {absent[0]} first; None says: no face.")
    known = {picture: vector for picture in pictures if (vector := embeddings[picture]) is not None}
    if not known:
        raise EvaluationError(f"In none of the {len(pictures)} pictures was a face found: there is nothing to measure.")
    if len({vector.shape for vector in known.values()}) > 1:
        raise EvaluationError("The vectors are of different sizes: they are not all of one model.")
    vectors = np.stack(list(known.values())).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE))
    if len(wrong):
        raise EvaluationError(
            f"The vector of {list(known)[wrong[0]]} has length {norms[wrong[0]]:.4g}; it must have 1."
        )
    return list(known), vectors


def _folds(
    protocol: LfwProtocol, row: Mapping[Path, int], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and threshold of each fold."""
    distances = np.array(
        [
            np.sum((vectors[row[pair.first]] - vectors[row[pair.second]]) ** 2)
            if pair.first in row and pair.second in row
            else np.nan
            for pair in protocol.pairs
        ],
        np.float64,
    )
    same = np.array([pair.same for pair in protocol.pairs])
    numbers = np.repeat(np.arange(len(protocol.folds)), [len(fold) for fold in protocol.folds])
    return metrics.kfold(distances, same, numbers)


def _same_pairs(pictures: Sequence[Path]) -> int:
    """How many pairs of one person there are among the pictures, failed or not."""
    counts = np.unique([picture.parent.name for picture in pictures], return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())
