"""Parts of a picture at other sizes, against OpenCV's INTER_AREA."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.detectors import _areas
from rtface.detectors._areas import Areas
from rtface.types import Image


def picture(height: int, width: int) -> Image:
    """Noise over a slope, so that both a pixel too far and a wrong mean show."""
    noise = np.random.default_rng(5).integers(0, 120, (height, width, 3))
    return (noise + np.linspace(0, 135, width)[None, :, None]).astype(np.uint8)


def part(image: Image, edges: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[Image, Image]:
    """What ``Areas`` and what OpenCV make of a part, in ``size`` width and height."""
    left, top, right, bottom = edges
    border = 300
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT)
    expected = cv2.resize(
        wide[top + border : bottom + border, left + border : right + border], size, interpolation=cv2.INTER_AREA
    )
    areas = Areas()
    areas.show(image)
    place = np.zeros((size[1], size[0], 3), np.uint8)
    areas.draw(*edges, place)
    return place, np.asarray(expected, np.uint8)


@pytest.mark.parametrize("size", [(192, 144), (137, 103), (18, 13), (319, 239), (320, 240)])
def test_whole_picture_is_opencvs_within_rounding(size: tuple[int, int]) -> None:
    drawn, expected = part(picture(240, 320), (0, 0, 320, 240), size)
    assert np.abs(drawn.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "edges",
    [
        (10, 20, 63, 73),
        (5, 5, 26, 26),
        (0, 0, 12, 12),
        (100, 20, 301, 221),
        (-40, -30, 90, 100),
        (250, 150, 400, 300),
        (-5, 10, 15, 30),
        (-100, -100, 420, 420),
        (300, 100, 310, 110),
        (60, 239, 66, 245),
    ],
)
@pytest.mark.parametrize("side", [24, 48])
def test_parts_small_large_and_over_the_edge_are_opencvs(edges: tuple[int, int, int, int], side: int) -> None:
    drawn, expected = part(picture(240, 320), edges, (side, side))
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_squares_are_the_parts_one_by_one() -> None:
    areas = Areas()
    areas.show(picture(240, 320))
    boxes = np.array([[10, 20, 63, 73], [-40, -30, 90, 100], [5, 5, 26, 26], [60, 20, 220, 180]], np.float32)
    single = np.zeros((24, 24, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(areas.squares(boxes, 24), boxes.astype(int).tolist(), strict=True):
        areas.draw(left, top, right, bottom, single)
        np.testing.assert_array_equal(crop, single)
    assert areas.squares(boxes[:0], 24).shape == (0, 24, 24, 3)


def test_large_pictures_are_left_to_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_areas, "SUMMED_PX", 1000)
    for edges in ((0, 0, 320, 240), (-40, -30, 90, 100)):
        drawn, expected = part(picture(240, 320), edges, (24, 24))
        np.testing.assert_array_equal(drawn, expected)


def test_part_beside_the_picture_or_without_extent_leaves_the_place_black() -> None:
    areas = Areas()
    areas.show(picture(240, 320))
    place = np.zeros((24, 24, 3), np.uint8)
    for edges in ((400, 0, 600, 200), (0, -300, 200, -100), (-200, 0, -1, 199), (5, 5, 5, 5), (20, 20, 10, 10)):
        areas.draw(*edges, place)
        assert not place.any()


def test_memory_of_a_larger_picture_does_not_shine_through() -> None:
    areas = Areas()
    areas.show(np.full((300, 400, 3), 255, np.uint8))
    image = picture(200, 300)
    areas.show(image)
    place = np.zeros((48, 48, 3), np.uint8)
    areas.draw(0, 0, 300, 200, place)
    expected = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(place.astype(int) - expected).max() <= 1
