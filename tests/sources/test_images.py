from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pictures

from rtface.errors import PictureError, SourceLost, SourceUnavailable
from rtface.sources.images import MOST_PIXELS, list_pictures, read_picture
from rtface.sources.images import open as open_pictures
from rtface.types import Image

RED, GREEN = (200, 30, 40), (20, 180, 60)


def two_halves(size: tuple[int, int] = (60, 40)) -> Pictures.Image:
    """Red left, green right, a dark top left corner to tell which way is up."""
    picture = Pictures.new("RGB", size, RED)
    picture.paste(GREEN, (size[0] // 2, 0, *size))
    picture.paste((0, 0, 0), (0, 0, 10, 10))
    return picture


def reference() -> Image:
    return np.asarray(two_halves(), np.uint8)[:, :, ::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_opencv_does(tmp_path: Path, orientation: int) -> None:
    exif = Pictures.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    two_halves().save(path, exif=exif, quality=95, subsampling=0)
    expected = cv2.imread(str(path))
    assert expected is not None
    got = read_picture(path)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_result_is_contiguous_writable_bgr(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "a.png")
    got = read_picture(tmp_path / "a.png")
    assert np.array_equal(got, reference())
    assert got.flags.c_contiguous
    assert got.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "RGBA", "LA"])
def test_every_mode_becomes_colour(tmp_path: Path, mode: str) -> None:
    suffix = {"CMYK": "tif", "YCbCr": "tif"}.get(mode, "png")
    picture = two_halves().convert(mode)
    picture.save(tmp_path / f"a.{suffix}")
    got = read_picture(tmp_path / f"a.{suffix}")
    assert got.shape == (40, 60, 3)
    assert np.abs(got.astype(int) - np.asarray(picture.convert("RGB"), int)[:, :, ::-1]).max() <= 2


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    two_halves().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    difference = np.abs(read_picture(tmp_path / "a.jpg").astype(int) - reference())
    assert np.median(difference) <= 6


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), ramp)
    got = read_picture(tmp_path / f"a.{suffix}")
    assert np.abs(got[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_sixteen_bit_colour_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16, 1), 3, 2)
    assert cv2.imwrite(str(tmp_path / "a.png"), ramp)
    assert np.abs(read_picture(tmp_path / "a.png")[..., 1].ravel().astype(int) - np.arange(256)).max() <= 1


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    picture = two_halves().convert("RGBA")
    picture.putalpha(0)
    picture.save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_moving_pictures_give_their_first(tmp_path: Path, suffix: str) -> None:
    first, second = Pictures.new("RGB", (20, 20), RED), Pictures.new("RGB", (20, 20), GREEN)
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second], duration=100)
    assert np.abs(read_picture(tmp_path / f"a.{suffix}")[5, 5].astype(int) - RED[::-1]).max() < 12


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    Pictures.new("L", (1, 1), 77).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[77, 77, 77]]]


def huge_png(path: Path, side: int) -> Path:
    """A header that promises side x side pixels and hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize(("side", "told"), [(20000, "400 megapixels"), (11000, "11000x11000 = 121 megapixels")])
def test_too_large_pictures_are_refused_before_they_are_decoded(tmp_path: Path, side: int, told: str) -> None:
    with pytest.raises(PictureError, match=told):
        read_picture(huge_png(tmp_path / "huge.png", side))


def test_large_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_halves((640, 480)).save(tmp_path / "a.jpg")
    monkeypatch.setattr("rtface.sources.images.MOST_PIXELS", 640 * 480 // 5)
    assert read_picture(tmp_path / "a.jpg").shape == (120, 160, 3)
    assert MOST_PIXELS == 100_000_000


def test_jpeg_beyond_pillows_own_limit_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_halves((640, 480)).save(tmp_path / "a.jpg")
    monkeypatch.setattr("rtface.sources.images.MOST_PIXELS", 640 * 480 // 5)
    monkeypatch.setattr(Pictures, "MAX_IMAGE_PIXELS", 640 * 480 // 10)
    assert read_picture(tmp_path / "a.jpg").shape == (120, 160, 3)


def test_what_is_no_picture_is_told_with_its_name_and_a_cure(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    two_halves((600, 400)).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.jpg").write_text("these are words")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, told in [
        ("cut.jpg", "damaged or cut off"),
        ("empty.jpg", "empty"),
        ("words.jpg", "not a picture"),
        ("folder.jpg", "folder"),
        ("pipe.jpg", "no file"),
        ("nowhere.jpg", "does not exist"),
    ]:
        with pytest.raises(PictureError, match=told) as caught:
            read_picture(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_cut_anywhere_a_picture_is_read_or_refused_never_worse(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "gif", "tif", "webp", "bmp"):
        two_halves().save(tmp_path / f"a.{suffix}")
        data = (tmp_path / f"a.{suffix}").read_bytes()
        for length in range(1, len(data), max(len(data) // 40, 1)):
            (tmp_path / "cut").write_bytes(data[:length])
            try:
                assert read_picture(tmp_path / "cut").ndim == 3
            except PictureError:
                continue


def test_folder_is_listed_in_natural_order_without_hidden_and_foreign_files(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.JPG", "b1.png", "B02.png", ".hidden.jpg", "notes.txt", "x²3.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "sub.jpg").mkdir()
    names = [path.name for path in list_pictures(tmp_path)]
    assert names == ["2.JPG", "10.jpg", "b1.png", "B02.png", "x²3.jpg"]


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="nowhere"):
        list_pictures(tmp_path / "nowhere")


def test_pictures_are_far_enough_apart_that_no_track_joins_them(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        two_halves().save(tmp_path / name)
    source = open_pictures(str(tmp_path))
    assert [frame.captured_at for frame in source.frames()] == [0.0, 10.0, 20.0]


def test_unreadable_pictures_are_left_out_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    two_halves().save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no")
    two_halves().save(tmp_path / "3.png")
    with caplog.at_level(logging.WARNING):
        frames = list(open_pictures(str(tmp_path)).frames())
    assert [frame.index for frame in frames] == [0, 1]
    assert "2.png" in caplog.text


def test_folder_of_nothing_readable_is_lost_and_an_empty_one_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="holds no pictures"):
        open_pictures(str(tmp_path))
    (tmp_path / "1.png").write_bytes(b"no")
    with pytest.raises(SourceLost, match=r"None of the 1 pictures"):
        list(open_pictures(str(tmp_path)).frames())
