"""How far a face can be trusted, 0..1, from what is cheap to know: size, sharpness, contrast, pose, detector score.

The constants were set by hand on 120 LFW pictures degraded by blur, scaling, darkness and rotation, by how the share of
people still recognised fell. The number catches damage; it cannot tell a hard face from an easy one, and JPEG blocks
look sharp to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtface.embedding import align
from rtface.types import Detection, Image

LEAST_SHARPNESS = 12.0
"""Below it a face is too blurred to enrol; VAL of FaceNet at FAR 1e-4 is 29 % there, 85 % on clean pictures."""
LEAST_CONTRAST = 8.0
"""Standard deviation of the brightness; at 11 VAL is 61 %, at 5 it is 1 %."""
MOST_YAW = 0.6
"""Further turned faces are too few in LFW to tell what they cost; this is caution."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The parts of a face's quality.

    Attributes:
        width_px: width of the box.
        sharpness: variance of the Laplacian of the face at 112 px, 0 and up.
        contrast: standard deviation of its brightness, 0..127.
        yaw: how far the nose leaves the middle between the eyes along their line, in eye distances; 0 is frontal.
        score: all of it in one number, 0..1: the weakest part decides.
    """

    width_px: float
    sharpness: float
    contrast: float
    yaw: float
    score: float


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def turned(detection: Detection) -> tuple[float, float]:
    """Yaw in eye distances, 0 and up, and roll in degrees, 0..90, as the landmarks tell them."""
    left, right, nose = detection.landmarks[:3].astype(np.float64)
    across = right - left
    length = float(np.hypot(*across))
    if length < 1e-6:
        return 1.0, 90.0
    along = across / length
    yaw = abs(float((nose - (left + right) / 2) @ along)) / length
    return yaw, math.degrees(math.atan2(abs(along[1]), abs(along[0])))


def judge(detection: Detection, crop: Image) -> Quality:
    """Quality of one face; the crop is the one the embedding model gets."""
    width = float(detection.box[2] - detection.box[0])
    sharpness, contrast = align.texture(crop)
    yaw, roll = turned(detection)
    score = min(
        _ramp(math.log(max(width, 1.0)), math.log(12), math.log(48)),
        _ramp(math.log(max(sharpness, 1.0)), math.log(4), math.log(64)),
        _ramp(detection.score, 0.5, 0.9),
        _ramp(contrast, 5, 25),
        1 - _ramp(yaw, 0.3, 0.9),
        1 - _ramp(roll, 10, 35),
    )
    return Quality(width, sharpness, contrast, yaw, score)
