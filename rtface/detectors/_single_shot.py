"""One look at the whole picture through a grid of cells: what YuNet and SCRFD have in common.

Both networks answer for every cell of three grids (8, 16 and 32 px wide) with a score, a box and five landmarks, told
in cell widths from the cell's top left corner. They differ in how a box is told, and in which sizes of face they see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.detectors._second_look import second_look
from rtface.detectors._settings import MAX_INPUT_PX, checked_face_px, checked_score
from rtface.geometry import suppress
from rtface.interfaces import Backend
from rtface.types import Detection, Image

STRIDES = (8, 16, 32)
"""Cell widths of the three grids, px; sources: OpenCV's face_detect.cpp, InsightFace's scrfd.py."""

LARGE_FACE_STEP = 1 / 8
"""Scale of each further look against the one before. What is too large for one look (over ``largest_px``) is an eighth
of that in the next: small enough to be seen, still far above ``smallest_px``, at a 64th of the price."""

FACE_ASPECT = 1.2
"""Height over width of a face's box: 1.19 and more for 95 of 100 (YuNet on 300 LFW pictures, median 1.31). What fits
into a picture is limited by the height of the face."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one network differs from another.

    Attributes:
        name: the detector's and its graph's.
        anchors: answers per cell.
        corners: (K, 4) raw boxes to (K, 4) left, top, right, bottom in cell widths from the cell's top left corner.
        overlap: intersection over union above which the worse of two boxes goes.
        smallest_px: width of the smallest face it finds reliably, in its input's px.
        largest_px: width of the largest.
        roll_gain: true roll of a head over the roll its landmarks show; None where landmarks need no second look.
    """

    name: str
    anchors: int
    corners: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    overlap: float
    smallest_px: float
    largest_px: float
    roll_gain: float | None = None


@dataclass(frozen=True, slots=True)
class _Finds:
    """Candidates in the picture's px: ``boxes`` (K, 4), ``points`` (K, 5, 2), ``scores`` (K,)."""

    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    scores: NDArray[np.float32]


class SingleShot:
    """A ``Detector`` around one such network. Holds a picture buffer, so one thread at a time."""

    def __init__(self, family: Family, backend: Backend, *, min_score: float, min_face_px: int) -> None:
        self.name = family.name
        self._family = family
        self._backend = backend
        self._min_score = checked_score(min_score)
        self._scale = min(1.0, family.smallest_px / checked_face_px(min_face_px))
        self._canvas = _Canvas()

    def detect(self, image: Image) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR picture of any size, best score first; nobody is [].

        Faces narrower than ``min_face_px`` may be missed, and more so in pictures of which more than ``MAX_INPUT_PX``
        would have to be looked at, which are reduced further.
        """
        height, width = image.shape[:2]
        return self._faces(image, look_scales(height, width, self._scale, self._family.largest_px))

    def _faces(self, image: Image, scales: Sequence[float]) -> list[Detection]:
        looks = [self._look(image, scale) for scale in scales]
        boxes = np.concatenate([look.boxes for look in looks])
        points = np.concatenate([look.points for look in looks])
        scores = np.concatenate([look.scores for look in looks])
        kept = suppress(boxes, scores, self._family.overlap)
        return [Detection(boxes[i].copy(), points[i].copy(), float(scores[i])) for i in kept]

    def refine(self, image: Image, detection: Detection) -> Detection:
        """The same face with landmarks an embedder can be warped by, at the price of a small second look."""
        if self._family.roll_gain is None:
            return detection
        return second_look(lambda patch: self._faces(patch, (1.0,)), image, detection, roll_gain=self._family.roll_gain)

    def close(self) -> None:
        """Frees the engine."""
        self._backend.close()

    def _look(self, image: Image, scale: float) -> _Finds:
        """Candidates at one scale."""
        picture, ratio = self._canvas.show(image, scale)
        answers = self._backend.run({"images": picture})
        scores = answers["scores"][0]
        best = np.flatnonzero(scores >= self._min_score)
        corner, stride = cells(best, picture.shape[1], picture.shape[2], self._family.anchors)
        corner, stride = corner[:, None], stride[:, None]
        boxes = (corner + self._family.corners(answers["boxes"][0][best]).reshape(-1, 2, 2) * stride) * ratio
        points = (corner + answers["points"][0][best].reshape(-1, 5, 2) * stride) * ratio
        return _Finds(boxes.reshape(-1, 4), points, scores[best])


def look_scales(height: int, width: int, start: float, largest_px: float) -> list[float]:
    """Scales, largest first, at which a picture is looked at; each 0..1, times the picture's size.

    More than one only where a face too large for the look before would fit into the picture.
    """
    scale = min(start, (MAX_INPUT_PX / (height * width)) ** 0.5)
    scales = [scale]
    widest_px = min(width, height / FACE_ASPECT)
    while widest_px * scales[-1] > largest_px:
        scales.append(scales[-1] * LARGE_FACE_STEP)
    return scales


def cells(
    answers: NDArray[np.intp], height: int, width: int, anchors: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the answers of these numbers stand in an input of this size.

    Answers are numbered through the grids of ``STRIDES`` in order, row by row, the anchors of a cell one after the
    other.

    Args:
        answers: (K,) numbers.
        height: of the input in px, a multiple of 32.
        width: likewise.
        anchors: answers per cell.

    Returns:
        (K, 2) x and y px of the cell's top left corner, and (K, 1) px width of the cell.
    """
    columns = np.array([width // stride for stride in STRIDES])
    counts = columns * [height // stride for stride in STRIDES] * anchors
    ends = np.cumsum(counts)
    grid = np.searchsorted(ends, answers, side="right")
    cell = (answers - (ends - counts)[grid]) // anchors
    stride = np.array(STRIDES, np.float32)[grid][:, None]
    corner = np.stack([cell % columns[grid], cell // columns[grid]], axis=1) * stride
    return corner.astype(np.float32), stride


def _halved(image: Image, columns: int) -> Image:
    """The picture halved while it stays at least twice as wide as wanted: OpenCV averages 2x2 px four times faster."""
    while image.shape[1] >= 4 * columns and not (image.shape[0] % 2 or image.shape[1] % 2):
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    return image


class _Canvas:
    """The network's input: the picture reduced, with black right and below it up to multiples of 32 px.

    One piece of memory, as large as the largest picture so far, serves all: a camera's frames cost no allocation. A
    picture that fits as it is, as 640x480 and 1920x1056 do, is not copied.
    """

    def __init__(self) -> None:
        self._memory = np.zeros(0, np.uint8)

    def show(self, image: Image, scale: float) -> tuple[Image, NDArray[np.float32]]:
        """(1, H, W, 3) view, valid until the next call, and (2,) picture px per input px in x and y."""
        height, width = image.shape[:2]
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        if (rows, columns) == (height, width) and not (rows % STRIDES[-1] or columns % STRIDES[-1]):
            return image[None], np.ones(2, np.float32)
        canvas = self._sheet(-(-rows // STRIDES[-1]) * STRIDES[-1], -(-columns // STRIDES[-1]) * STRIDES[-1])
        inner = canvas[:rows, :columns]
        if (rows, columns) == (height, width):
            np.copyto(inner, image)
        else:
            # Averaging costs ten times interpolating, and only below one half do pixels go lost between the samples.
            way = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
            cv2.resize(_halved(image, columns), (columns, rows), dst=inner, interpolation=way)
        canvas[rows:] = 0
        canvas[:rows, columns:] = 0
        return canvas[None], np.array([width / columns, height / rows], np.float32)

    def _sheet(self, height: int, width: int) -> Image:
        size = height * width * 3
        if self._memory.size < size:
            self._memory = np.zeros(size, np.uint8)
        return self._memory[:size].reshape(height, width, 3)
