"""Degraded thumbnails: the face stays where the picture shows it, and each degradation does what its name says."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pictures

from rtface.evaluation import degrade
from rtface.evaluation.conditions import JPEG, SIZES, conditions
from rtface.evaluation.degrade import Thumbnail
from rtface.types import Detection, Image

POINTS = np.array([[60, 70], [100, 74], [82, 95], [65, 115], [98, 117]], np.float32)


def marked(spots: NDArray[np.float32] = POINTS) -> tuple[Image, Detection]:
    """A grey picture with a white spot on each landmark."""
    image = np.full((200, 180, 3), 60, np.uint8)
    for x, y in spots:
        cv2.circle(image, (round(float(x)), round(float(y))), 3, (255, 255, 255), -1)
    return image, Detection(np.array([40, 40, 120, 140], np.float32), spots, 0.9)


def assert_spots_at_landmarks(thumbnail: Thumbnail, tolerance: float = 1.0) -> None:
    """The middle of the white around each landmark is the landmark."""
    grey = thumbnail.image[..., 0].astype(np.float64) - 60
    scale = thumbnail.image.shape[0] / 125
    for x, y in thumbnail.face.landmarks:
        rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
        near = (np.hypot(columns - x, rows - y) < 8 * scale) * np.maximum(grey, 0)
        assert near.sum() > 0
        middle = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
        np.testing.assert_allclose(middle, [x, y], atol=tolerance)


def test_landmarks_follow_cutting_resizing_and_turning() -> None:
    thumbnail = degrade.cut(*marked())
    assert thumbnail.image.shape == (125, 125, 3)
    for changed in (
        thumbnail,
        degrade.resized(thumbnail, 220),
        degrade.resized(thumbnail, 60),
        degrade.rotated(thumbnail, 30),
        degrade.rotated(degrade.resized(thumbnail, 220), -90),
    ):
        assert_spots_at_landmarks(changed)


def test_turning_clockwise_takes_the_right_eye_down() -> None:
    turned = degrade.rotated(degrade.cut(*marked()), 30)
    (_, left_y), (_, right_y) = turned.face.landmarks[:2]
    assert right_y > left_y + 10
    sides = turned.face.box[2:] - turned.face.box[:2]
    np.testing.assert_allclose(sides, [80, 100], atol=0.01)


def test_beyond_the_picture_the_edge_repeats() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    image[:, 0], image[:, -1] = 10, 200
    face = Detection(np.array([-20, 0, 60, 80], np.float32), POINTS, 0.9)
    thumbnail = degrade.cut(image, face)
    assert thumbnail.image.shape == (100, 100, 3)
    assert set(thumbnail.image[:, 0].ravel()) == {10}
    assert set(thumbnail.image[:, -1].ravel()) == {200}


def noisy() -> Thumbnail:
    pixels = np.random.default_rng(1).integers(0, 256, (220, 220, 3)).astype(np.uint8)
    return Thumbnail(cv2.GaussianBlur(pixels, (0, 0), 2), marked()[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("quality", sorted(JPEG))
def test_compression_is_that_of_another_jpeg_library(quality: int) -> None:
    thumbnail = noisy()
    stream = io.BytesIO()
    Pictures.fromarray(thumbnail.image[:, :, ::-1].copy()).save(stream, "JPEG", quality=quality)
    other = np.asarray(Pictures.open(stream))[:, :, ::-1].astype(float)
    ours = degrade.compressed(thumbnail, quality).image.astype(float)
    loss = np.abs(other - thumbnail.image).mean()
    assert np.abs(ours - other).mean() < 0.1 * loss + 0.2
    assert np.abs(ours - thumbnail.image).mean() == pytest.approx(loss, rel=0.1)


def test_blur_spreads_a_point_by_its_sigma() -> None:
    image = np.zeros((221, 221, 3), np.uint8)
    image[110, 110] = 255
    wide = np.zeros((221, 221, 3), np.uint8)
    wide[106:115, 106:115] = 255
    blurred = degrade.blurred(Thumbnail(wide, marked()[1]), 8.0).image[..., 0].astype(float)
    columns = np.arange(221) - 110
    spread = np.sqrt((blurred.sum(axis=0) * columns**2).sum() / blurred.sum())
    assert spread == pytest.approx(np.sqrt(8.0**2 + (9**2 - 1) / 12), rel=0.05)


def test_darkness_takes_light_and_leaves_noise_that_differs_between_pictures() -> None:
    grey = Thumbnail(np.full((220, 220, 3), 186, np.uint8), marked()[1])
    other = Thumbnail(np.full((220, 220, 3), 187, np.uint8), marked()[1])
    quarter = degrade.darkened(grey, 1 / 4).image.astype(float)
    assert quarter.mean() == pytest.approx(255 * ((186 / 255) ** 2.2 / 4) ** (1 / 2.2), abs=0.5)
    assert quarter.std() == pytest.approx(degrade.NOISE, rel=0.1)
    again, foreign = degrade.darkened(grey, 1 / 4).image, degrade.darkened(other, 1 / 4).image
    np.testing.assert_array_equal(again, quarter)
    assert abs(np.corrcoef(quarter.ravel(), foreign.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("what", "hidden"), [("eyes", [0, 1]), ("mouth", [2, 3, 4]), ("half", [0, 3])])
def test_what_is_covered_is_grey_and_the_rest_is_seen(what: str, hidden: list[int]) -> None:
    thumbnail = degrade.cut(*marked())
    covered = degrade.occluded(thumbnail, what).image
    for number, (x, y) in enumerate(thumbnail.face.landmarks.round().astype(int)):
        seen = degrade.GREY if number in hidden else 255
        assert (covered[y, x + 1 : x + 3] == seen).all(), (what, number)


def test_conditions_are_those_of_the_paper_and_more_and_no_name_comes_twice() -> None:
    asked = conditions()
    assert len({condition.name for condition in asked}) == len(asked)
    papers = {(one.series, one.value): one.paper for one in asked if one.paper is not None}
    assert papers == {
        **{("jpeg", quality): val for quality, val in JPEG.items()},
        **{("size", side**2): val for side, val in SIZES.items()},
    }
    assert [side**2 for side in SIZES] == [1600, 6400, 14400, 25600, 65536]


@pytest.mark.parametrize("context", [degrade.CLOSE, degrade.WIDE])
def test_a_face_has_as_many_pixels_in_a_wide_thumbnail_as_in_a_close_one(context: float) -> None:
    thumbnail = degrade.cut(*marked(), context=context)
    for condition in conditions(context=context):
        made = condition.apply(thumbnail)
        height = float(made.face.box[3] - made.face.box[1])
        side = {f"{pixels}x{pixels}": pixels for pixels in SIZES}.get(condition.label, degrade.SIDE)
        assert height == pytest.approx(side / degrade.CLOSE, rel=0.02), condition.name
