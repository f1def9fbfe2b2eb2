"""From a detection to the picture an embedding model wants: box crop or five-point warp, as models.toml says."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import Image

ARCFACE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where the five landmarks lie in a 112x112 ArcFace crop. Source: InsightFace, used by SFace (OpenCV Zoo) as well."""

UPRIGHT_DEG = 4.0
"""Landmarks that tilt no more than this count as upright."""
TILTED_DEG = 8.0
"""A box crop is turned upright only beyond this: below it the box is as good, and turning costs sharpness."""
SHARPNESS_PX = 112
THUMBNAIL_PX = 16
FLAT = THUMBNAIL_PX * 2.0
"""A thumbnail whose brightness deviates by less than 2 of 255 has no structure beyond a camera's noise."""


def crop_box(image: Image, box: NDArray[np.float32], size: int, margin: float, *, angle: float = 0.0) -> Image:
    """The box with its surroundings, stretched to (size, size, 3).

    Each side is widened by ``margin`` of itself in all; outside the picture the edge repeats. A face's box is higher
    than wide and the stretch is meant: FaceNet was trained on such crops, and square ones cost it 3 points of VAL.
    A head tilted by ``angle`` degrees, beyond ``TILTED_DEG``, is turned upright first.
    """
    if abs(angle) > TILTED_DEG:
        return _resize(upright(image, box, angle, margin), size)
    return _cut(image, whole_box(box, margin), size)


def whole_box(box: NDArray[np.float32], margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the box with its margin, in whole pixels and at least one wide and high."""
    left, top, right, bottom = (float(side) for side in box)
    grow_x, grow_y = (right - left) * margin / 2, (bottom - top) * margin / 2
    x0, y0 = int(np.floor(left - grow_x)), int(np.floor(top - grow_y))
    return x0, y0, max(int(np.ceil(right + grow_x)), x0 + 1), max(int(np.ceil(bottom + grow_y)), y0 + 1)


def _cut(image: Image, box: tuple[int, int, int, int], size: int) -> Image:
    """The box resampled to a square; a large face is shrunk by area averaging, for a plain warp would alias."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    inside = image[max(y0, 0) : max(min(y1, height), 1), max(x0, 0) : max(min(x1, width), 1)]
    if inside.size == 0:
        inside = image[:1, :1]
    pads = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    whole = cv2.copyMakeBorder(inside, *pads, cv2.BORDER_REPLICATE) if any(pads) else inside
    return _resize(np.asarray(whole, np.uint8), size)


def _resize(image: Image, size: int) -> Image:
    way = cv2.INTER_AREA if min(image.shape[:2]) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=way), np.uint8)


def similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, 3) rotation, scale and shift that takes source (N, 2) nearest to target (N, 2) in the least squares sense.

    Source: Umeyama 1991, without reflection, in complex numbers.
    """
    p = source[:, 0] + 1j * source[:, 1]
    q = target[:, 0] + 1j * target[:, 1]
    p_mean, q_mean = p.mean(), q.mean()
    spread = float(np.sum(np.abs(p - p_mean) ** 2))
    turn = np.sum(np.conj(p - p_mean) * (q - q_mean)) / max(spread, 1e-9)
    shift = q_mean - turn * p_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def roll(landmarks: NDArray[np.float32]) -> float:
    """How far a head is tilted in the picture's plane, degrees, -180..180, from all five landmarks.

    0 is upright; positive leans clockwise, so that the eye at the right of the picture is the lower one.
    """
    matrix = similarity(ARCFACE_112, landmarks)
    return float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))


def upright(image: Image, box: NDArray[np.float32], angle: float, margin: float) -> Image:
    """The surroundings of a tilted head, turned upright by ``angle`` degrees around the middle of its box."""
    matrix, size = upright_matrix(box, angle, margin)
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def upright_matrix(
    box: NDArray[np.float32], angle: float, margin: float
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """(2, 3) from the picture to the tilted box with its margin, turned upright; and that one's width and height."""
    left, top, right, bottom = (float(side) for side in box)
    width, height = max((right - left) * (1 + margin), 1.0), max((bottom - top) * (1 + margin), 1.0)
    middle = ((left + right) / 2, (top + bottom) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, angle, 1.0), np.float64)
    matrix[:, 2] += np.array([width - left - right, height - top - bottom]) / 2
    return matrix, (max(round(width), 1), max(round(height), 1))


def warp_landmarks(image: Image, landmarks: NDArray[np.float32], size: int) -> Image:
    """(size, size, 3): the picture turned, scaled and moved so that the landmarks lie on the ArcFace template."""
    matrix = template_matrix(landmarks, size)
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def template_matrix(landmarks: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(2, 3) from the picture to the crop of ``warp_landmarks``."""
    return similarity(landmarks, ARCFACE_112 * (size / 112))


def texture(crop: Image) -> tuple[float, float]:
    """Sharpness (variance of the Laplacian) and contrast (standard deviation) of a crop's brightness at 112 px.

    Source: Pech-Pacheco et al. 2000 for the sharpness.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    if grey.shape[0] != SHARPNESS_PX:
        grey = cv2.resize(grey, (SHARPNESS_PX, SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()), float(grey.std())


def thumbnail(image: Image, box: NDArray[np.float32]) -> NDArray[np.float32]:
    """(256,) the face as 16x16 brightness values, zero mean and norm 1, so that a dot product is their correlation.

    All zeros where there is nothing but noise to see.
    """
    small = _cut(image, whole_box(box, 0.0), THUMBNAIL_PX)
    values = small.astype(np.float32).mean(axis=2).ravel()
    values -= values.mean()
    norm = float(np.linalg.norm(values))
    return np.asarray(values / norm if norm > FLAT else np.zeros_like(values), np.float32)
