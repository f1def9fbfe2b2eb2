"""How far a face can be trusted, 0..1, from what is cheap to know: size, sharpness, pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtface.embedding import align
from rtface.types import Detection, Image


@dataclass(frozen=True, slots=True)
class Quality:
    """The parts of a face's quality.

    Attributes:
        width_px: width of the box.
        sharpness: variance of the Laplacian of the crop, 0 and up.
        yaw: how far the nose leaves the middle of the eyes, in eye distances; 0 is frontal, 0.5 about half profile.
        score: all of it in one number, 0..1.
    """

    width_px: float
    sharpness: float
    yaw: float
    score: float


BLURRED = 15.0
TURNED = 0.5


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def yaw(detection: Detection) -> float:
    """The nose's distance from the line between the eyes' middle and the mouth's, in eye distances, 0 and up."""
    eye_a, eye_b, nose, mouth_a, mouth_b = detection.landmarks.astype(np.float64)
    eyes, mouth = (eye_a + eye_b) / 2, (mouth_a + mouth_b) / 2
    across = float(np.linalg.norm(eye_b - eye_a))
    down = mouth - eyes
    length = float(np.linalg.norm(down))
    if across < 1e-6 or length < 1e-6:
        return 1.0
    offset = abs(float(down[0] * (nose - eyes)[1] - down[1] * (nose - eyes)[0])) / length
    # A profile's eyes fall together: the longer of the two measures keeps the quotient finite.
    return offset / max(across, length / 2)


def judge(detection: Detection, crop: Image) -> Quality:
    """Quality of one face; the crop is the one the embedding model gets."""
    width = float(detection.box[2] - detection.box[0])
    sharp = align.sharpness(crop)
    turn = yaw(detection)
    score = _ramp(width, 12, 80) ** 0.5 * _ramp(np.log1p(sharp), 1, 5) ** 0.5 * (1 - _ramp(turn, 0.15, 0.6))
    return Quality(width, sharp, turn, score)
