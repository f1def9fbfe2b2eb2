"""Where the pixels of a face's crop lie in its picture: the crops of ``align`` as matrices, for a graph that cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.embedding import align
from rtface.models.spec import CropKind, CropSpec
from rtface.types import Detection

Matrix = NDArray[np.float32]


def placement(detection: Detection, crop: CropSpec) -> Matrix:
    """(2, 3) from a pixel of the face's crop, (column, row, 1), to its place in the picture, (column, row).

    Whole numbers are the middles of pixels, on both sides. It is what OpenCV calls the inverse map.
    """
    if crop.kind is CropKind.WARP:
        return _inverse(align.template_matrix(detection.landmarks, crop.size)).astype(np.float32)
    angle = align.roll(detection.landmarks)
    if abs(angle) > align.TILTED_DEG:
        matrix, (width, height) = align.upright_matrix(detection.box, angle, crop.margin)
        return _stretched(_inverse(matrix), width, height, crop.size)
    left, top, right, bottom = align.whole_box(detection.box, crop.margin)
    return _stretched(np.array([[1.0, 0, left], [0, 1, top]]), right - left, bottom - top, crop.size)


def tile(column: int, row: int, size: int) -> Matrix:
    """(2, 3) of a crop that lies ready in a sheet of crops, this many crops from its left and top."""
    return np.array([[1, 0, column * size], [0, 1, row * size]], np.float32)


def _inverse(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """(2, 3) that takes back what a (2, 3) matrix does."""
    back = np.linalg.inv(np.asarray(matrix[:, :2], np.float64))
    return np.column_stack([back, -back @ matrix[:, 2]])


def _stretched(box: NDArray[np.float64], width: int, height: int, size: int) -> Matrix:
    """From the pixels of a crop, where ``box`` is from the pixels of the box it is stretched from.

    Both have their edges in common, which are half a pixel before the middles of their first pixels.
    """
    scale_x, scale_y = width / size, height / size
    stretch = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
    return np.asarray(box @ stretch, np.float32)
