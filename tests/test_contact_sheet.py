"""Faces side by side on one picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pictures

from rtface.contact_sheet import ACROSS, FRAME, GAP, PAPER, SIDE, Tile, contact_sheet, encoded, from_jpeg, jpeg
from rtface.types import Image


def plain(blue: int, green: int, red: int, height: int = 40, width: int = 40) -> Image:
    return np.full((height, width, 3), (blue, green, red), np.uint8)


def area(sheet: Image, colour: tuple[int, ...] | np.ndarray) -> int:
    """Pixels of exactly this colour."""
    return int(np.count_nonzero((sheet == np.array(colour, np.uint8)).all(axis=2)))


def test_every_face_is_on_the_sheet_at_its_full_size() -> None:
    colours = [(200, 10 * place, 30) for place in range(14)]
    sheet = contact_sheet(["Ada"], [Tile(plain(*colour), ("2026-01-01", "a.jpg")) for colour in colours])
    assert [area(sheet, colour) for colour in colours] == [SIDE * SIDE] * 14
    assert sheet.shape[1] == GAP + ACROSS * (SIDE + GAP)


def test_faces_stand_in_rows_in_their_order() -> None:
    colours = [(200, 10 * place, 30) for place in range(8)]
    sheet = contact_sheet(["Ada"], [Tile(plain(*colour), ()) for colour in colours])
    corners = [np.argwhere((sheet == colour).all(axis=2))[0].tolist() for colour in colours]
    assert corners == sorted(corners)
    assert [corner[0] for corner in corners] == [corners[0][0]] * 6 + [corners[6][0]] * 2


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (1, 300), (300, 1)])
def test_long_face_keeps_its_proportions(height: int, width: int) -> None:
    sheet = contact_sheet([""], [Tile(plain(200, 10, 30, height, width), ())])
    rows, columns = np.nonzero((sheet == (200, 10, 30)).all(axis=2))
    seen = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    scale = SIDE / max(height, width)
    assert seen == (max(round(height * scale), 1), max(round(width * scale), 1))


def test_counter_example_has_a_frame_and_no_other() -> None:
    face = plain(200, 10, 30)
    assert area(contact_sheet([""], [Tile(face, ())]), FRAME) == 0
    assert area(contact_sheet([""], [Tile(face, (), framed=True)]), FRAME) == (SIDE + 8) ** 2 - SIDE**2


@pytest.mark.parametrize("face", [None, np.empty((0, 5, 3), np.uint8)])
def test_picture_that_is_not_there_leaves_a_grey_place_with_words(face: Image | None) -> None:
    sheet = contact_sheet([""], [Tile(face, ())])
    assert SIDE * SIDE * 0.8 < area(sheet, (225, 225, 225)) < SIDE * SIDE


def test_no_faces_are_a_sheet_too() -> None:
    sheet = contact_sheet(["Ada", "0 pictures"], [])
    assert sheet.dtype == np.uint8
    assert 0 < np.count_nonzero(sheet != PAPER) < sheet.size / 10


@pytest.mark.parametrize(
    "line", ["x" * 500, "김민수 田中 محمد Zoë", "a\nb\t\x1b[31m\0", "\U0001f600" * 40, "", "\u200b"]
)
def test_any_line_stays_in_its_place(line: str) -> None:
    face = plain(200, 10, 30)
    bare = contact_sheet(["Ada"], [Tile(face, ("",)), Tile(face, ("",))])
    sheet = contact_sheet(["Ada"], [Tile(face, (line,)), Tile(face, ("",))])
    assert sheet.shape == bare.shape
    rows, columns = np.nonzero((sheet != bare).any(axis=2))
    if len(rows):
        assert rows.min() >= bare.shape[0] - 2 * GAP - SIDE // 4
        assert columns.max() < GAP + SIDE


def test_face_written_as_jpeg_is_nearly_the_same_face() -> None:
    ramp = np.linspace(0, 255, 80, dtype=np.uint8)
    face = np.stack([np.tile(ramp, (80, 1)), np.tile(ramp[:, None], (1, 80)), np.full((80, 80), 90, np.uint8)], axis=2)
    back = from_jpeg(jpeg(face))
    assert back is not None
    assert np.abs(back.astype(int) - face).mean() < 4


def test_png_is_exactly_the_picture() -> None:
    face = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    with Pictures.open(io.BytesIO(encoded(face, "PNG"))) as picture:
        assert np.array_equal(np.asarray(picture)[:, :, ::-1], face)


def test_damaged_jpeg_is_none() -> None:
    whole = jpeg(plain(200, 10, 30))
    for data in (b"", b"x", whole[:20], whole[: len(whole) // 2], encoded(plain(1, 2, 3), "PNG")):
        assert from_jpeg(data) is None


def test_jpeg_that_would_fill_the_memory_is_none() -> None:
    """A header may promise 60,000 x 60,000 pixels in a few hundred bytes."""
    whole = bytearray(jpeg(plain(200, 10, 30)))
    size = whole.index(b"\xff\xc0") + 5
    whole[size : size + 4] = (60_000).to_bytes(2, "big") * 2
    assert from_jpeg(bytes(whole)) is None
