"""Tilted heads: the second look sees how far, and its crop of a tilted face is the crop of the upright one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from rtface.detectors._second_look import second_look
from rtface.embedding.align import roll
from rtface.interfaces import Detector
from rtface.types import Detection, Image
from tests.detectors.opened import one_person, open_detector
from tests.fakes import detection


@pytest.fixture(scope="module")
def yunet() -> Detector:
    return open_detector("yunet")


def turned(picture: Image, degrees: float) -> Image:
    """The picture turned clockwise around the middle of its upper half, where the face is."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 3), -degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


@pytest.mark.parametrize("degrees", [-40, -25, 25, 40])
def test_a_tilted_head_is_seen_as_tilted_as_it_is(yunet: Detector, degrees: float) -> None:
    picture = one_person()
    own = roll(yunet.refine(picture, yunet.detect(picture)[0]).landmarks)
    tilted = turned(picture, degrees)
    (first, *_) = yunet.detect(tilted)
    assert abs(roll(first.landmarks) - own - degrees) > 8, "the first look would do: this detector needs no second"
    assert roll(yunet.refine(tilted, first).landmarks) - own == pytest.approx(degrees, abs=8)


def test_an_upright_head_keeps_its_box(yunet: Detector) -> None:
    picture = one_person()
    first = yunet.detect(picture)[0]
    closer = yunet.refine(picture, first)
    np.testing.assert_array_equal(closer.box, first.box)
    assert np.abs(closer.landmarks - first.landmarks).max() < 0.1 * (first.box[2] - first.box[0])


def test_a_face_the_second_look_does_not_find_stays_as_it_was() -> None:
    face = detection(50, 60)

    def nothing(patch: Image) -> Sequence[Detection]:
        assert patch.shape == (256, 256, 3)
        return []

    assert second_look(nothing, np.zeros((240, 320, 3), np.uint8), face, roll_gain=2.0) is face


def test_a_neighbour_in_the_patch_is_not_mistaken_for_the_face() -> None:
    face = detection(50, 60)
    neighbour, giant = detection(0, 0, side=130), detection(-30, -30, side=260)
    seen = second_look(lambda _: [neighbour, giant], np.zeros((240, 320, 3), np.uint8), face, roll_gain=2.0)
    assert seen is face
