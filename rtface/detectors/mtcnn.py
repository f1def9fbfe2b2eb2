"""MTCNN, the detector the FaceNet weights were trained behind: three networks, each stricter than the one before.

P-Net proposes windows of 12 px all over a pyramid of pictures, R-Net refines them at 24 px, O-Net decides at 48 px and
places the landmarks.

Source: Zhang et al., "Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks", 2016;
thresholds, pyramid and rounding as the authors' MATLAB code and its descendants have them. Those count pixels from 1
and include the last one; here boxes are edges, which comes to the same and needs no "+ 1".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

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

BATCH = 256
"""Crops given to R-Net and O-Net at once: bounds the memory of their feature maps to some 100 MB in a crowd."""

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

    def detect(self, image: Image) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR picture of any size, best score first; nobody is []."""
        return self._decide(image, self._refine(image, self._propose(image)))

    def refine(self, image: Image, detection: Detection) -> Detection:  # noqa: ARG002 - part of the joint
        """The detection itself: the third stage has looked closely already."""
        return detection

    def close(self) -> None:
        """Frees the engines."""
        for stage in (self._pnet, self._rnet, self._onet):
            stage.close()

    def _propose(self, image: Image) -> Boxes:
        """(N, 4) squares of whole pixels that P-Net holds for faces."""
        found = [no_proposals()]
        for scale in pyramid(image.shape[0], image.shape[1], self._min_face_px):
            answers = self._pnet.run({"images": resized(image, scale)[None]})
            boxes, scores, shifts = windows(answers["scores"][0], answers["boxes"][0], scale)
            kept = suppress(boxes, scores, 0.5)
            found.append((boxes[kept], scores[kept], shifts[kept]))
        boxes, scores, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = suppress(boxes, scores, 0.7)
        return np.fix(squared(shifted(boxes[kept], shifts[kept], short_px=1)))

    def _refine(self, image: Image, proposals: Boxes) -> Boxes:
        """(N, 4) squares of whole pixels that R-Net confirms, moved where it wants them."""
        answers = run_in_batches(self._rnet, image, proposals, 24)
        if answers is None:
            return proposals[:0]
        passed = np.flatnonzero(answers["scores"] > REFINED_SCORE)
        kept = passed[suppress(proposals[passed], answers["scores"][passed], 0.7)]
        return np.fix(squared(shifted(proposals[kept], answers["boxes"][kept])))

    def _decide(self, image: Image, candidates: Boxes) -> list[Detection]:
        """What O-Net calls a face, with its landmarks."""
        answers = run_in_batches(self._onet, image, candidates, 48)
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


def resized(image: Image, scale: float) -> Image:
    """A level of the pyramid, always from the picture itself: a level made of a level moves the boxes by some 3 %."""
    height, width = (math.ceil(side * scale) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def no_proposals() -> tuple[Boxes, Scores, Boxes]:
    """Boxes, scores and shifts of nobody."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)


def windows(scores: NDArray[np.float32], shifts: NDArray[np.float32], scale: float) -> tuple[Boxes, Scores, Boxes]:
    """The windows of one level in which P-Net sees a face.

    Args:
        scores: (h, w) P-Net's answers.
        shifts: (h, w, 4).
        scale: of the level.

    Returns:
        (K, 4) windows in the picture's px, (K,) scores, (K, 4) shifts.
    """
    rows, columns = np.nonzero(scores >= PROPOSAL_SCORE)
    corner = np.stack([columns, rows], axis=1) * WINDOW_STEP_PX
    boxes = np.concatenate([np.fix((corner + 1) / scale) - 1, np.fix((corner + WINDOW_PX) / scale)], axis=1)
    return boxes.astype(np.float32), scores[rows, columns], shifts[rows, columns]


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


def run_in_batches(stage: Backend, image: Image, boxes: Boxes, size: int) -> dict[str, NDArray[np.float32]] | None:
    """A network's answers for all these (N, 4) boxes of the picture, or None when there are none."""
    answers = [
        stage.run({"crops": cut(image, boxes[start : start + BATCH], size)}) for start in range(0, len(boxes), BATCH)
    ]
    if not answers:
        return None
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def cut(image: Image, boxes: Boxes, size: int) -> Image:
    """(N, size, size, 3) what (N, 4) boxes of whole pixels show of a picture, black where they reach over its edge."""
    height, width = image.shape[:2]
    crops = np.zeros((len(boxes), size, size, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(crops, boxes.astype(int).tolist(), strict=True):
        inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if not inside.size:
            continue
        over = ((max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0)), (0, 0))
        if np.any(over):
            inside = np.pad(inside, over)
        cv2.resize(inside, (size, size), dst=crop, interpolation=cv2.INTER_AREA)
    return crops
