"""Faces side by side on one picture, each with what is to be read about it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pictures

from rtface.overlay import lettering
from rtface.types import Image

SIDE = 160
"""Pixels of a face."""
GAP = 14
EDGE = 4
LETTER = 13
LINE = 19
ACROSS = 6
PAPER = 250
INK = np.array((40, 32, 24), np.uint8)
FRAME = np.array((0, 94, 213), np.uint8)
"""Vermilion of Okabe and Ito's palette, around faces that are meant not to fit."""
JPEG_QUALITY = 90
MOST_PIXELS = 4_000_000
"""Of a kept face; more is none of ours, and a small file may promise enough of them to fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One face: (H, W, 3) uint8 BGR or None where there is no picture, lines of text, and whether it is framed."""

    face: Image | None
    lines: tuple[str, ...]
    framed: bool = False


def contact_sheet(title: Sequence[str], tiles: Sequence[Tile]) -> Image:
    """(H, W, 3) uint8 BGR: lines of title, then the tiles in rows of six."""
    across = max(min(ACROSS, len(tiles)), 3)
    words = max((len(tile.lines) for tile in tiles), default=0)
    step_x, step_y = SIDE + GAP, SIDE + GAP + words * LINE
    top = GAP + len(title) * (LINE + 6)
    height = top + -(-len(tiles) // across) * step_y + GAP
    sheet = np.full((height, GAP + across * step_x, 3), PAPER, np.uint8)
    for number, line in enumerate(title):
        _write(sheet, line, GAP, GAP // 2 + number * (LINE + 6), LETTER + 3, sheet.shape[1] - 2 * GAP)
    for number, tile in enumerate(tiles):
        left, upper = GAP + number % across * step_x, top + number // across * step_y
        _place(sheet, tile, left, upper)
        for row, line in enumerate(tile.lines):
            _write(sheet, line, left, upper + SIDE + EDGE + row * LINE, LETTER, SIDE)
    return sheet


def _place(sheet: Image, tile: Tile, left: int, top: int) -> None:
    if tile.framed:
        sheet[top - EDGE : top + SIDE + EDGE, left - EDGE : left + SIDE + EDGE] = FRAME
    spot = sheet[top : top + SIDE, left : left + SIDE]
    if tile.face is None or not tile.face.size:
        spot[:] = 225
        _write(sheet, "no picture", left + 40, top + SIDE // 2 - LINE // 2, LETTER, SIDE - 40)
        return
    height, width = tile.face.shape[:2]
    scale = SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    face = np.asarray(Pictures.fromarray(np.ascontiguousarray(tile.face)).resize(size, Pictures.Resampling.LANCZOS))
    spot[:] = 225
    x, y = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    spot[y : y + size[1], x : x + size[0]] = face


def _write(sheet: Image, text: str, left: int, top: int, letter: int, room: int) -> None:
    """Puts a line on the paper, shortened at its end to the room there is."""
    text = "".join(sign if sign.isprintable() else " " for sign in text) or " "
    mask = lettering(text, letter)
    while mask.shape[1] > room and len(text) > 2:
        text = text[: max(1, min(len(text) - 2, len(text) * room // mask.shape[1] - 1))] + "…"
        mask = lettering(text, letter)
    under = sheet[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = mask[: under.shape[0], : under.shape[1], None].astype(np.float32) / 255
    under[:] = np.rint(under * (1 - ink) + INK * ink).astype(np.uint8)


def jpeg(picture: Image) -> bytes:
    """A (H, W, 3) uint8 BGR picture as JPEG."""
    return encoded(picture, "JPEG")


def encoded(picture: Image, kind: str) -> bytes:
    """A (H, W, 3) uint8 BGR picture as JPEG or PNG."""
    stream = io.BytesIO()
    Pictures.fromarray(np.ascontiguousarray(picture[:, :, ::-1])).save(stream, kind, quality=JPEG_QUALITY)
    return stream.getvalue()


def from_jpeg(data: bytes) -> Image | None:
    """A (H, W, 3) uint8 BGR picture out of a JPEG; None if it is damaged or no face's."""
    try:
        with Pictures.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
    except (OSError, SyntaxError, ValueError, Pictures.DecompressionBombError):
        return None
