"""Crops as they might also have come: mirrored, cut a little otherwise, in other light, poorly compressed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtface.types import Image


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much is changed; all 0 changes nothing.

    Attributes:
        mirror: how often, 0..1.
        zoom: largest change of size, a part of it.
        shift: largest change of place, a part of the side.
        turn_deg: largest turn.
        brightness, contrast, saturation: largest change, a part of it; brightness of 255.
        grey: how often without colour, 0..1.
        jpeg: how often compressed again, 0..1, at a quality of ``worst_quality`` to 95.
        worst_quality: of JPEG.
    """

    mirror: float = 0.5
    zoom: float = 0.08
    shift: float = 0.05
    turn_deg: float = 6.0
    brightness: float = 0.12
    contrast: float = 0.2
    saturation: float = 0.3
    grey: float = 0.05
    jpeg: float = 0.3
    worst_quality: int = 30


NOTHING = Augmentation(0, 0, 0, 0, 0, 0, 0, 0, 0)


def augment(crop: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    """A changed copy of a (S, S, 3) crop; the same for the same state of ``rng``."""
    changed = crop[:, ::-1] if rng.random() < how.mirror else crop
    changed = _moved(np.ascontiguousarray(changed), how, rng)
    changed = _coloured(changed, how, rng)
    if rng.random() < how.jpeg:
        quality = int(rng.integers(how.worst_quality, 96))
        changed = np.asarray(cv2.imdecode(cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1))
    return np.asarray(changed, np.uint8)


def _moved(crop: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    """Sized, turned and shifted; the edge repeats."""
    zoom, turn, right, down = rng.uniform(-1, 1, 4) * (how.zoom, how.turn_deg, how.shift, how.shift)
    if not (zoom or turn or right or down):
        return crop
    side = crop.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), float(turn), 1 + float(zoom))
    matrix[:, 2] += np.array([right, down]) * side
    return np.asarray(cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _coloured(crop: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    brightness, contrast, saturation = rng.uniform(-1, 1, 3) * (how.brightness, how.contrast, how.saturation)
    grey = rng.random() < how.grey
    if not (brightness or contrast or saturation or grey):
        return crop
    values = crop.astype(np.float32)
    luma = values @ np.array([0.114, 0.587, 0.299], np.float32)  # of BGR, ITU-R BT.601
    colour = 0.0 if grey else 1 + float(saturation)
    values = luma[..., None] + (values - luma[..., None]) * colour
    values = (values - 127.5) * (1 + float(contrast)) + 127.5 + 255 * float(brightness)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
