"""How well a detector detects: labelled pictures in, recall and precision out.

A face counts as found when a report of at least a given score overlaps it enough, each report serving one face and the
better reports choosing first. Ignored regions (too small, masked, marked so by the labeller) are neither asked for nor
held against the detector.

Source: the matching of the PASCAL VOC development kit (Everingham et al., "The PASCAL Visual Object Classes Challenge:
A Retrospective", 2015, section 4.2); reports that are too small or on ignored regions are dropped, as COCO's evaluation
does it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.geometry import area, intersection, iou
from rtface.types import Detection

MATCH_IOU = 0.5
"""Overlap from which a report is the labelled face: the PASCAL VOC convention, and WIDER FACE's."""


EXCUSED_SHARE = 0.5
"""Share of the smaller of the two from which a report belongs to an ignored region. The smaller, because labels of
masked faces often frame the mask alone, and those of tiny ones a few pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """A picture and what a person saw in it.

    Attributes:
        path: of the picture.
        faces: (N, 4) float32 left, top, right, bottom in px: those to be found.
        ignored: (M, 4) float32: faces that may be found or not.
    """

    path: Path
    faces: NDArray[np.float32]
    ignored: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What became of one picture's reports.

    Attributes:
        scores: (R,) float32 of the reports that count, best first.
        overlaps: (R,) float32 intersection over union with the face each found; 0 for a false one.
        faces: how many were to be found.
    """

    scores: NDArray[np.float32]
    overlaps: NDArray[np.float32]
    faces: int


@dataclass(frozen=True, slots=True)
class Quality:
    """A detector's figures at one score.

    Attributes:
        faces: labelled faces to be found.
        found: how many were.
        false: reports that are no labelled face.
        median_iou: of found faces with their reports; NaN when none was found.
    """

    faces: int
    found: int
    false: int
    median_iou: float

    @property
    def recall(self) -> float:
        """Found among labelled, 0..1; NaN when there was nothing to find."""
        return self.found / self.faces if self.faces else float("nan")

    @property
    def precision(self) -> float:
        """True among reported, 0..1; NaN when nothing was reported."""
        reports = self.found + self.false
        return self.found / reports if reports else float("nan")


def judge(
    reports: Sequence[Detection],
    faces: NDArray[np.float32],
    ignored: NDArray[np.float32],
    *,
    min_px: float = 0,
    match_iou: float = MATCH_IOU,
) -> Verdicts:
    """Assigns the reports on one picture, best score first, to the labels.

    Args:
        reports: what the detector said, in any order.
        faces: (N, 4) to be found.
        ignored: (M, 4) that may be found or not.
        min_px: reports narrower or lower than this are held against nobody: so small faces are not labelled.
        match_iou: a face is found from this intersection over union on.
    """
    ranked = sorted(reports, key=lambda report: -report.score)
    boxes = np.array([report.box for report in ranked], np.float32).reshape(-1, 4)
    overlaps = iou(boxes, faces)
    smaller = np.minimum(area(boxes)[:, None], area(ignored)[None, :])
    excused = (intersection(boxes, ignored) >= EXCUSED_SHARE * smaller).any(axis=1)
    excused |= np.min(boxes[:, 2:] - boxes[:, :2], axis=1, initial=np.inf) < min_px
    free = np.ones(len(faces), bool)
    counted: list[tuple[float, float]] = []
    for report, row, excuse in zip(ranked, overlaps, excused, strict=True):
        candidates = np.where(free, row, 0)
        face = int(candidates.argmax()) if free.any() else -1
        if face >= 0 and candidates[face] >= match_iou:
            free[face] = False
            counted.append((report.score, float(candidates[face])))
        elif not excuse:
            counted.append((report.score, 0.0))
    table = np.array(counted, np.float32).reshape(-1, 2)
    return Verdicts(table[:, 0], table[:, 1], len(faces))


def quality(verdicts: Iterable[Verdicts], min_score: float) -> Quality:
    """The figures over many pictures when only reports of at least this score are made.

    Exact for every score from one run at a low one, because better reports choose their faces first.
    """
    pictures = list(verdicts)
    overlaps = np.concatenate(
        [np.zeros(0, np.float32), *(picture.overlaps[picture.scores >= min_score] for picture in pictures)]
    )
    found = overlaps[overlaps > 0]
    median = float(np.median(found)) if found.size else float("nan")
    faces = sum(picture.faces for picture in pictures)
    return Quality(faces, found.size, overlaps.size - found.size, median)


def read_dlib(file: Path) -> list[LabelledPicture]:
    """Pictures of a dlib ``imglab`` dataset; boxes marked ``ignore`` are ignored.

    Raises:
        EvaluationError: not such a file.
    """
    pictures = []
    for image in _root(file, "dataset").iter("image"):
        boxes = image.findall("box")
        wanted = [_dlib_box(box, file) for box in boxes if box.get("ignore", "0") == "0"]
        ignored = [_dlib_box(box, file) for box in boxes if box.get("ignore", "0") != "0"]
        pictures.append(LabelledPicture(file.parent / image.get("file", ""), _boxes(wanted), _boxes(ignored)))
    return pictures


def read_voc(file: Path, images: Path, *, wanted: Callable[[str], bool], min_px: float = 0) -> LabelledPicture:
    """The picture of a PASCAL VOC annotation.

    Args:
        file: the annotation.
        images: folder of the pictures.
        wanted: whether objects of this name are to be found; all others are ignored, and so are difficult ones.
        min_px: faces narrower or lower than this are ignored.

    Raises:
        EvaluationError: not such a file.
    """
    root = _root(file, "annotation")
    faces: list[list[float]] = []
    ignored: list[list[float]] = []
    for labelled in root.iter("object"):
        box = [_number(labelled.findtext(f"bndbox/{edge}"), file) for edge in ("xmin", "ymin", "xmax", "ymax")]
        large = min(box[2] - box[0], box[3] - box[1]) >= min_px
        plain = labelled.findtext("difficult", "0") == "0"
        counts = large and plain and wanted(labelled.findtext("name", ""))
        (faces if counts else ignored).append(box)
    return LabelledPicture(images / root.findtext("filename", ""), _boxes(faces), _boxes(ignored))


def _root(file: Path, tag: str) -> ElementTree.Element:
    try:
        root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise EvaluationError(f"{file} cannot be read as face labels ({error}); give the labels' XML file.") from error
    if root.tag != tag:
        raise EvaluationError(f"{file} is a <{root.tag}>, not the <{tag}> this kind of face labels begins with.")
    return root


def _dlib_box(box: ElementTree.Element, file: Path) -> list[float]:
    left, top, width, height = (_number(box.get(name), file) for name in ("left", "top", "width", "height"))
    return [left, top, left + width, top + height]


def _number(text: str | None, file: Path) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise EvaluationError(f"{file} has a face box with {text!r} where a number belongs; mend the file.") from error


def _boxes(boxes: list[list[float]]) -> NDArray[np.float32]:
    return np.array(boxes, np.float32).reshape(-1, 4)
