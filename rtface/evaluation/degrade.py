"""Face thumbnails, and what can befall a picture: compression, few pixels, blur, darkness, rotation, occlusion.

A thumbnail is a square around a face with the face's place in it, so that whatever is done to the picture is done to
the face's box and landmarks too: what is measured is the embedding, not the detector.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import Detection, Image

SIDE = 220
"""Pixels of a thumbnail. Source: FaceNet paper, table 1: the input of NN1, whose sensitivity its table 4 shows."""
CLOSE = 1.25
"""Side of a thumbnail in sides of the face's box: just what a crop needs, as tight as the paper's."""
WIDE = 2.5
"""The same where a detector has to find the face again, which needs to see a head and more."""
GREY = 128
NOISE = 2.0
"""Standard deviation of what a sensor adds in the dark, of 255: it does not darken with the light."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A (S, S, 3) uint8 BGR square, and where the face is in it."""

    image: Image
    face: Detection


def cut(image: Image, face: Detection, *, context: float = CLOSE) -> Thumbnail:
    """The square around a face in the picture's own pixels; outside the picture the edge repeats."""
    left, top, right, bottom = (float(side) for side in face.box)
    side = max(round(context * max(right - left, bottom - top)), 2)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    height, width = image.shape[:2]
    rows, columns = (np.clip(np.arange(at, at + side), 0, most - 1) for at, most in ((y, height), (x, width)))
    matrix = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return Thumbnail(np.ascontiguousarray(image[np.ix_(rows, columns)]), _moved(face, matrix))


def resized(thumbnail: Thumbnail, side: int) -> Thumbnail:
    """Of (side, side) pixels: areas are averaged where there are fewer, else pixels are interpolated."""
    before = thumbnail.image.shape[0]
    way = cv2.INTER_AREA if side < before else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(thumbnail.image, (side, side), interpolation=way), np.uint8)
    scale = side / before
    shift = (scale - 1) / 2  # pixels are counted at their middles
    return Thumbnail(image, _moved(thumbnail.face, np.array([[scale, 0, shift], [0, scale, shift]], np.float32)))


def compressed(thumbnail: Thumbnail, quality: int) -> Thumbnail:
    """Through JPEG of this quality, 1 to 100."""
    done, data = cv2.imencode(".jpg", thumbnail.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "a JPEG of a square of bytes can always be made"
    return Thumbnail(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), thumbnail.face)


def blurred(thumbnail: Thumbnail, sigma: float) -> Thumbnail:
    """Through a Gaussian of this standard deviation in pixels of a close thumbnail of ``SIDE``."""
    return Thumbnail(np.asarray(cv2.GaussianBlur(thumbnail.image, (0, 0), sigma), np.uint8), thumbnail.face)


def darkened(thumbnail: Thumbnail, light: float) -> Thumbnail:
    """With this part of the light, 0..1, and a sensor's noise, which is another one for every picture."""
    linear = (thumbnail.image.astype(np.float32) / 255) ** 2.2
    dark = 255 * (linear * light) ** (1 / 2.2)
    noise = np.random.default_rng(zlib.crc32(thumbnail.image.tobytes())).normal(0, NOISE, dark.shape)
    return Thumbnail(np.clip(np.rint(dark + noise), 0, 255).astype(np.uint8), thumbnail.face)


def rotated(thumbnail: Thumbnail, degrees: float) -> Thumbnail:
    """Turned in its plane around its middle, clockwise; the corners repeat the edge."""
    side = thumbnail.image.shape[0]
    matrix = np.asarray(cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -degrees, 1.0), np.float32)
    image = cv2.warpAffine(thumbnail.image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return Thumbnail(np.asarray(image, np.uint8), _moved(thumbnail.face, matrix))


def occluded(thumbnail: Thumbnail, what: str) -> Thumbnail:
    """With something grey in front of the ``eyes``, the ``mouth`` (a mask, from the nose down) or ``half`` the face."""
    left, top, right, bottom = thumbnail.face.box
    points = thumbnail.face.landmarks
    eyes, nose = points[:2, 1].mean(), points[2]
    apart = max(float(np.linalg.norm(points[0] - points[1])), 1.0)
    areas = {
        "eyes": (left, eyes - 0.35 * apart, right, eyes + 0.35 * apart),
        "mouth": (left, nose[1] - 0.2 * apart, right, bottom),
        "half": (left, top, nose[0], bottom),
    }
    x0, y0, x1, y1 = (max(round(float(edge)), 0) for edge in areas[what])
    image = thumbnail.image.copy()
    image[y0:y1, x0:x1] = GREY
    return Thumbnail(image, thumbnail.face)


def _moved(face: Detection, matrix: NDArray[np.float32]) -> Detection:
    """The face after a (2, 3) turn, scale and shift; its box keeps its shape and its sides stay level."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    middle = matrix @ np.array([*((face.box[:2] + face.box[2:]) / 2), 1], np.float32)
    half = (face.box[2:] - face.box[:2]) / 2 * scale
    landmarks = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    return Detection(np.concatenate((middle - half, middle + half)).astype(np.float32), landmarks, face.score)
