"""The quality number falls with every kind of damage, and only with damage."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.embedding import quality
from rtface.types import Detection, Image
from tests.fakes import detection


def crop() -> Image:
    return np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def rolled(degrees: float) -> Detection:
    face = detection(50, 60)
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    middle = face.landmarks.mean(axis=0)
    return Detection(face.box, ((face.landmarks - middle) @ matrix.T + middle).astype(np.float32), face.score)


def test_a_large_sharp_frontal_face_is_as_good_as_can_be() -> None:
    assert quality.judge(detection(50, 60), crop()).score == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("side", [48, 36, 24, 16])
def test_quality_falls_with_the_width(side: int) -> None:
    assert (
        quality.judge(detection(0, 0, side=side), crop()).score
        >= quality.judge(detection(0, 0, side - 8), crop()).score
    )
    assert quality.judge(detection(0, 0, side=12), crop()).score == 0


def test_a_nose_off_the_middle_is_yaw_whichever_way_the_head_is_rolled() -> None:
    for degrees in (0, 20, -35):
        face = rolled(degrees)
        assert quality.turned(face)[0] == pytest.approx(0, abs=1e-5)
        assert quality.turned(face)[1] == pytest.approx(abs(degrees), abs=1e-3)
        along = (face.landmarks[1] - face.landmarks[0]) / 2
        face.landmarks[2] += along
        assert quality.turned(face)[0] == pytest.approx(0.5, abs=1e-5)


def test_landmarks_on_one_spot_are_no_face_to_trust() -> None:
    spot = detection(50, 60)
    spot.landmarks[:] = 90
    assert quality.judge(spot, crop()).score == 0


def test_a_flat_crop_has_no_quality() -> None:
    assert quality.judge(detection(50, 60), np.full((112, 112, 3), 90, np.uint8)).score == 0


def test_a_doubtful_detection_has_little_quality() -> None:
    assert quality.judge(detection(50, 60, score=0.6), crop()).score == pytest.approx(0.25, abs=1e-6)
