"""MTCNN, the detector the FaceNet weights were trained behind: three networks, each stricter than the one before.

P-Net proposes windows of 12 px all over a pyramid of pictures, R-Net refines them at 24 px, O-Net decides at 48 px and
places the landmarks.

Source: Zhang et al., "Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks", 2016;
thresholds, pyramid and rounding as the authors' MATLAB code and its descendants have them. Those count pixels from 1
and include the last one; here boxes are edges, which comes to the same and needs no "+ 1".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.detectors._areas import Areas
from rtface.detectors._pyramid import Canvas, canvases
from rtface.detectors._settings import MAX_INPUT_PX, checked_face_px, checked_score
from rtface.geometry import suppress
from rtface.interfaces import Backend, Detector
from rtface.types import Detection, Image

PROPOSAL_SCORE = 0.6
REFINED_SCORE = 0.7
"""Thresholds of the first two stages, the authors'."""

MIN_SCORE = 0.9
"""The third stage's. Measured with tests/benchmarks/detection.py: 42 of 43 group faces and 39 of 44 of at least 24 px,
no animal of 60 taken for a person (1 at min_face_px 32, where the authors' 0.7 finds one face more and takes 4)."""

WINDOW_PX, WINDOW_STEP_PX = 12, 2
"""What one answer of P-Net looks at, and how far apart the answers are, px of its input."""

PYRAMID_FACTOR = 0.709
"""Each picture of the pyramid against the one before: half the area; the authors'."""

REFINED_AT_ONCE, DECIDED_AT_ONCE = 64, 16
"""Crops given to R-Net and O-Net in one run, so that their feature maps (5 and 7 MB) stay in the processor's cache. 210
crops took R-Net 7.2 ms in one run and 6.1 ms by 64, 37 took O-Net 7.1 and 6.5 ms by 13 (2-core AMD EPYC, AVX-512)."""

CUT_AT_ONCE = 256
"""Crops made before the network runs: bounds the memory for a crowd. Turn by turn with the runs 210 crops took 8.3 ms,
at once 6.2 ms."""

KNOWN_SIZES = 16
"""Sizes of pictures whose canvases are kept: cameras have one each, folders of pictures many."""

Boxes = NDArray[np.float32]
Scores = NDArray[np.float32]


def open(
    graphs: Mapping[str, Path],
    open_backend: Callable[[Path], Backend],
    *,
    min_score: float | None = None,
    min_face_px: int = 20,
) -> Detector:
    """A detector on the graphs ``pnet``, ``rnet`` and ``onet``.

    Args:
        graphs: graph name to file.
        open_backend: makes an engine of a file.
        min_score: faces to which O-Net gives less are not reported, 0..1; None is this network's own default.
        min_face_px: width of the smallest face that has to be found, in the picture's px.

    Raises:
        ConfigError: a number is out of range.
    """
    score = checked_score(MIN_SCORE if min_score is None else min_score)
    face_px = checked_face_px(min_face_px)
    stages = [open_backend(graphs[name]) for name in ("pnet", "rnet", "onet")]
    return Mtcnn(*stages, min_score=score, min_face_px=face_px)


class Mtcnn:
    """A ``Detector`` of three networks in a row."""

    name = "mtcnn"

    def __init__(self, pnet: Backend, rnet: Backend, onet: Backend, *, min_score: float, min_face_px: int) -> None:
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._min_score = min_score
        self._min_face_px = min_face_px
        self._areas = Areas()
        self._canvases = lru_cache(KNOWN_SIZES)(self._laid_out)

    def detect(self, image: Image) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR picture of any size, best score first; nobody is []."""
        self._areas.show(image)
        return self._decide(self._refine(self._propose()))

    def refine(self, image: Image, detection: Detection) -> Detection:  # noqa: ARG002 - part of the joint
        """The detection itself: the third stage has looked closely already."""
        return detection

    def close(self) -> None:
        """Frees the engines."""
        for stage in (self._pnet, self._rnet, self._onet):
            stage.close()

    def _laid_out(self, height: int, width: int) -> list[Canvas]:
        return canvases(height, width, pyramid(height, width, self._min_face_px))

    def _propose(self) -> Boxes:
        """(N, 4) squares of whole pixels that P-Net holds for faces."""
        found = [no_proposals()]
        for canvas in self._canvases(self._areas.height, self._areas.width):
            answers = self._pnet.run({"images": canvas.draw(self._areas)[None]})
            found.append(windows(canvas, answers["scores"][0], answers["boxes"][0]))
        boxes, scores, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = best_of_each(boxes, scores, 0.7)
        return np.fix(squared(shifted(boxes[kept], shifts[kept], short_px=1)))

    def _refine(self, proposals: Boxes) -> Boxes:
        """(N, 4) squares of whole pixels that R-Net confirms, moved where it wants them."""
        answers = run_in_batches(self._rnet, self._areas, proposals, 24, REFINED_AT_ONCE)
        if answers is None:
            return proposals[:0]
        passed = np.flatnonzero(answers["scores"] > REFINED_SCORE)
        kept = passed[best_of_each(proposals[passed], answers["scores"][passed], 0.7)]
        return np.fix(squared(shifted(proposals[kept], answers["boxes"][kept])))

    def _decide(self, candidates: Boxes) -> list[Detection]:
        """What O-Net calls a face, with its landmarks."""
        answers = run_in_batches(self._onet, self._areas, candidates, 48, DECIDED_AT_ONCE)
        if answers is None:
            return []
        passed = np.flatnonzero(answers["scores"] >= self._min_score)
        squares, scores = candidates[passed], answers["scores"][passed]
        sides = squares[:, 2:] - squares[:, :2]
        points = squares[:, None, :2] + answers["points"][passed].reshape(-1, 5, 2) * sides[:, None]
        boxes = shifted(squares, answers["boxes"][passed])
        kept = suppress(boxes, scores, 0.7, over_smaller=True)
        return [Detection(boxes[i].copy(), points[i].copy(), float(min(1.0, scores[i]))) for i in kept]


def pyramid(height: int, width: int, min_face_px: int) -> list[float]:
    """Scales at which P-Net looks at a picture, largest first, each 0..1; [] when no face of that size fits in."""
    scale = min(1.0, WINDOW_PX / min_face_px, (MAX_INPUT_PX / (height * width)) ** 0.5)
    scales = []
    while min(height, width) * scale >= WINDOW_PX:
        scales.append(scale)
        scale *= PYRAMID_FACTOR
    return scales


def no_proposals() -> tuple[Boxes, Scores, Boxes]:
    """Boxes, scores and shifts of nobody."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)


def windows(canvas: Canvas, scores: NDArray[np.float32], shifts: NDArray[np.float32]) -> tuple[Boxes, Scores, Boxes]:
    """The windows in which P-Net sees a face, of those at one level the best where they overlap.

    Args:
        canvas: what P-Net saw.
        scores: (h, w) its answers.
        shifts: (h, w, 4).

    Returns:
        (K, 4) windows in the picture's px, (K,) scores, (K, 4) shifts.
    """
    owners = canvas.cells(WINDOW_PX, WINDOW_STEP_PX)
    rows, columns = np.nonzero((scores >= PROPOSAL_SCORE) & (owners >= 0))
    owner, chances = owners[rows, columns], scores[rows, columns]
    corners = np.array([(level.left, level.top) for level in canvas.levels])[owner]
    scales = np.array([level.scale for level in canvas.levels])[owner, None]
    first = np.stack([columns, rows], axis=1) * WINDOW_STEP_PX - corners
    boxes = np.concatenate([np.fix((first + 1) / scales) - 1, np.fix((first + WINDOW_PX) / scales)], axis=1)
    # Moved far apart, boxes of different levels do not overlap.
    apart = boxes + owner[:, None] * (boxes.max(initial=0) + 1.0)
    kept = best_of_each(apart, chances, 0.5)
    return boxes[kept].astype(np.float32), chances[kept], shifts[rows[kept], columns[kept]]


def best_of_each(boxes: NDArray[np.floating], scores: Scores, limit: float) -> NDArray[np.intp]:
    """As ``geometry.suppress`` over the union, by OpenCV: P-Net gives hundreds of boxes to a group of people.

    For six people 0.6 instead of 12 ms.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    corners_and_sides = np.concatenate([boxes[:, :2], sides], axis=1).astype(np.float64).tolist()
    return np.asarray(cv2.dnn.NMSBoxes(corners_and_sides, scores.tolist(), 0.0, limit), np.intp).ravel()


def shifted(boxes: Boxes, shifts: NDArray[np.float32], *, short_px: int = 0) -> Boxes:
    """(N, 4) boxes with each edge moved by a share (N, 4) of the box's width or height.

    The authors measure P-Net's windows one pixel short (``short_px``), the later stages' not.
    """
    sides = boxes[:, 2:] - boxes[:, :2] - short_px
    return np.asarray(boxes + shifts * np.tile(sides, 2), np.float32)


def squared(boxes: Boxes) -> Boxes:
    """(N, 4) boxes grown to squares around the same centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True, initial=0) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def run_in_batches(
    stage: Backend, picture: Areas, boxes: Boxes, size: int, at_once: int
) -> dict[str, NDArray[np.float32]] | None:
    """A network's answers for all these (N, 4) boxes of the picture, or None when there are none."""
    answers = []
    for start in range(0, len(boxes), CUT_AT_ONCE):
        crops = picture.squares(boxes[start : start + CUT_AT_ONCE], size)
        answers += [stage.run({"crops": crops[i : i + at_once]}) for i in range(0, len(crops), at_once)]
    if not answers:
        return None
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
