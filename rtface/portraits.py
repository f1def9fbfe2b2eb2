"""The faces a gallery knows a person by: as they were kept, or cut out of the pictures they came from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rtface.contact_sheet import Tile, contact_sheet, from_jpeg
from rtface.enrollment import picture_sha256
from rtface.errors import PictureError
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.names import normalised
from rtface.gallery.people import Picture, crops_of
from rtface.sources.images import read_picture
from rtface.types import Image

MOST = 120
"""Faces on one sheet: 20 rows."""
MARGIN = 0.3
"""Of the box, around a face cut out of its picture."""


def portrait_sheet(gallery: PersonGallery, name: str) -> Image:
    """(H, W, 3) uint8 BGR: a person's latest faces, each with its date, quality and file; counter-examples are framed.

    Raises:
        UnknownPerson: nobody of that name is enrolled.
    """
    pictures = gallery.pictures(name)
    crops = crops_of(gallery.database, normalised(name))
    shown = pictures[-MOST:]
    tiles = [Tile(_face(picture, crops), _lines(picture), picture.against) for picture in shown]
    against = sum(picture.against for picture in pictures)
    amount = f"pictures: {len(pictures) - against}" + (f", counter-examples (framed): {against}" if against else "")
    if len(shown) < len(pictures):
        amount += f"; the latest {len(shown)}"
    return contact_sheet([name, amount], tiles)


def _face(picture: Picture, crops: dict[str, bytes]) -> Image | None:
    kept = crops.get(picture.sha256)
    return _cut_out(picture) if kept is None else from_jpeg(kept)


def _cut_out(picture: Picture) -> Image | None:
    """Out of the file it came from, if that still holds the very picture."""
    box = picture.provenance.box
    path = Path(picture.file)
    try:
        image = read_picture(path) if box is not None and path.is_file() else None
    except (PictureError, OSError):  # the second: a name no file can have
        image = None
    if image is None or box is None:
        return None
    if picture_sha256(image) != picture.sha256:
        return None
    return cut_out(image, box)


def cut_out(image: Image, box: tuple[float, float, float, float]) -> Image:
    """A face and a little around it; empty where the box lies outside the picture."""
    left, top, right, bottom = box
    edge = MARGIN * max(right - left, bottom - top) / 2
    rows = slice(max(round(top - edge), 0), max(round(bottom + edge), 0))
    return image[rows, max(round(left - edge), 0) : max(round(right + edge), 0)]


def _lines(picture: Picture) -> tuple[str, ...]:
    added = datetime.fromtimestamp(picture.added_at).astimezone().date().isoformat()
    return (f"{added}   {picture.quality:.2f}", Path(picture.file).name)
