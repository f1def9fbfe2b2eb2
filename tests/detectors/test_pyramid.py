"""Levels of a picture on one canvas: apart, whole, and each window in one of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.detectors import _pyramid
from rtface.detectors._areas import Areas
from rtface.detectors._pyramid import Canvas, canvases
from rtface.detectors.mtcnn import pyramid

SIZES = [(480, 640), (640, 480), (333, 501), (47, 900), (40, 40)]


def laid_out(height: int, width: int) -> list[Canvas]:
    return canvases(height, width, pyramid(height, width, 30))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_levels_lie_apart_on_even_pixels_within_the_canvas(height: int, width: int) -> None:
    (canvas,) = laid_out(height, width)
    taken = np.zeros((canvas.height, canvas.width), np.uint8)
    for level in canvas.levels:
        assert (level.left % 2, level.top % 2) == (0, 0)
        place = taken[level.top : level.top + level.height, level.left : level.left + level.width]
        assert place.shape == (level.height, level.width)
        place += 1
    assert taken.max() == 1
    assert [level.scale for level in canvas.levels] == pyramid(height, width, 30)


def test_little_of_a_canvas_stays_empty() -> None:
    (canvas,) = laid_out(480, 640)
    assert sum(level.width * level.height for level in canvas.levels) > 0.85 * canvas.width * canvas.height


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_each_window_belongs_to_the_level_it_lies_in_and_all_of_a_level_are_there(height: int, width: int) -> None:
    (canvas,) = laid_out(height, width)
    owners = canvas.cells(12, 2)
    # By brute force: a map of who owns each pixel, places rounded up to even sides.
    pixels = np.full((canvas.height, canvas.width), -1)
    for index, level in enumerate(canvas.levels):
        right, bottom = level.left + level.width + level.width % 2, level.top + level.height + level.height % 2
        pixels[level.top : bottom, level.left : right] = index
    for row, column in np.ndindex(*owners.shape):
        seen = np.unique(pixels[2 * row : 2 * row + 12, 2 * column : 2 * column + 12])
        assert owners[row, column] == (seen[0] if len(seen) == 1 else -1)


def test_canvas_shows_each_level_as_opencv_makes_it() -> None:
    image = np.random.default_rng(2).integers(0, 256, (333, 501, 3), np.uint8)
    areas = Areas()
    areas.show(image)
    (canvas,) = laid_out(333, 501)
    drawn = canvas.draw(areas)
    for level in canvas.levels:
        size = (level.width, level.height)
        expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(int)
        there = drawn[level.top : level.top + level.height, level.left : level.left + level.width]
        assert np.abs(there - expected).max() <= 1


def test_large_levels_have_a_canvas_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyramid, "LARGE_PX", 10_000)
    apart = laid_out(480, 640)
    assert [len(canvas.levels) for canvas in apart] == [1, 1, 1, 6]  # 49,000, 25,000 and 12,500 px alone
    assert [level.scale for canvas in apart for level in canvas.levels] == pyramid(480, 640, 30)


def test_picture_too_small_for_any_level_has_no_canvas() -> None:
    assert laid_out(10, 400) == []
