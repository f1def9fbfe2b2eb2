"""The faces a gallery knows somebody by, on one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface import portraits
from rtface.contact_sheet import FRAME, SIDE, encoded, jpeg
from rtface.enrollment import picture_sha256
from rtface.errors import UnknownPerson
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.people import Provenance
from rtface.portraits import portrait_sheet
from rtface.types import Image
from tests.gallery.samples import gallery_at, units


@pytest.fixture
def gallery(tmp_path: Path) -> PersonGallery:
    return gallery_at(tmp_path / "g.db")


def plain(blue: int, green: int, red: int) -> Image:
    return np.full((64, 64, 3), (blue, green, red), np.uint8)


def about(sheet: Image, colour: tuple[int, int, int]) -> int:
    """Pixels of nearly this colour; JPEG moves it a little."""
    return int(np.count_nonzero((np.abs(sheet.astype(int) - colour) <= 6).all(axis=2)))


def photo(path: Path, colour: tuple[int, int, int] = (10, 200, 30)) -> Image:
    """A black picture with a plain square at (100, 60) to (180, 140), written as PNG."""
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[60:140, 100:180] = colour
    path.write_bytes(encoded(picture, "PNG"))
    return picture


def add(gallery: PersonGallery, key: str, file: str, *, sha256: str = "", **more: object) -> None:
    how = Provenance("picture", "yunet", "onnxruntime", (100.0, 60.0, 180.0, 140.0))
    row = units(ord(key[0]), 1)[0]
    gallery.add("Ada", row, sha256=sha256 or key, file=file, quality=0.5, provenance=how, **more)  # type: ignore[arg-type]


def test_kept_face_is_shown_as_it_was_kept(gallery: PersonGallery) -> None:
    add(gallery, "a", "gone.jpg", crop=jpeg(plain(200, 40, 60)))
    assert about(portrait_sheet(gallery, "Ada"), (200, 40, 60)) > 0.95 * SIDE * SIDE


def test_face_that_was_not_kept_is_cut_out_of_the_very_picture(gallery: PersonGallery, tmp_path: Path) -> None:
    picture = photo(tmp_path / "ada.png")
    add(gallery, "a", str(tmp_path / "ada.png"), sha256=picture_sha256(picture))
    face = about(portrait_sheet(gallery, "Ada"), (10, 200, 30))
    assert face == pytest.approx((SIDE / 1.3) ** 2, rel=0.1), "with a margin of 15 % of the box on each side"


@pytest.mark.parametrize("fault", ["missing", "changed", "broken", "a folder", "too long a name", "no box"])
def test_picture_that_is_not_the_one_any_more_is_not_shown(gallery: PersonGallery, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "ada.png"
    picture = photo(path)
    file = str(path)
    if fault == "missing":
        path.unlink()
    elif fault == "changed":
        photo(path, (10, 200, 31))
    elif fault == "broken":
        path.write_bytes(b"no picture")
    elif fault == "a folder":
        file = str(tmp_path)
    elif fault == "too long a name":
        file = "x" * 5000
    if fault == "no box":
        gallery.add("Ada", units(1, 1)[0], sha256=picture_sha256(picture), file=file, quality=0.5)
    else:
        add(gallery, "a", file, sha256=picture_sha256(picture))
    sheet = portrait_sheet(gallery, "Ada")
    assert about(sheet, (10, 200, 30)) == 0
    assert about(sheet, (225, 225, 225)) > 0.8 * SIDE * SIDE


def test_counter_examples_are_framed(gallery: PersonGallery) -> None:
    add(gallery, "a", "a.jpg", crop=jpeg(plain(200, 40, 60)))
    assert about(portrait_sheet(gallery, "Ada"), tuple(FRAME.tolist())) == 0
    add(gallery, "b", "b.jpg", crop=jpeg(plain(40, 40, 200)), against=True)
    assert about(portrait_sheet(gallery, "Ada"), tuple(FRAME.tolist())) > 1000


def test_of_very_many_faces_the_latest_are_shown(gallery: PersonGallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portraits, "MOST", 2)
    for place, blue in enumerate((50, 120, 200)):
        add(gallery, str(place), "a.jpg", crop=jpeg(plain(blue, 40, 60)))
    sheet = portrait_sheet(gallery, "Ada")
    assert [about(sheet, (blue, 40, 60)) > 20_000 for blue in (50, 120, 200)] == [False, True, True]


def test_damaged_kept_face_leaves_its_place_empty(gallery: PersonGallery) -> None:
    add(gallery, "a", "a.jpg", crop=b"\xff\xd8 damaged")
    assert about(portrait_sheet(gallery, "Ada"), (225, 225, 225)) > 0.8 * SIDE * SIDE


def test_nobody_has_no_sheet(gallery: PersonGallery) -> None:
    with pytest.raises(UnknownPerson):
        portrait_sheet(gallery, "Ada")
