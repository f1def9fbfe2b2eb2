"""Where a camera's picture differs from what was last looked at, in cells of 32 px.

Most cameras stand still and see little move. What has not changed since a detector looked at it shows the same faces.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import Image

CELL_PX = 32
"""Detectors answer on grids of 8, 16 and 32 px; a part that begins at a multiple of 32 gets the same answers."""
BLOCK_PX = 8
"""Changes are measured on means of 8x8 px: a face of 20 px covers several, and a camera's noise is an eighth of what it
is in a pixel. What is left of a picture beyond whole blocks is not watched."""
LEAST_CHANGE = 6.0
"""Grey levels (of 255) by which a block has to differ; an edge of contrast 50 that moves by one px changes it by 6."""
NOISE_FACTOR = 6.0
"""A block counts only when it differs by this many times what half of the blocks differ by ..."""
NOISE_MOST = 2.0
"""... but not more: a camera's noise of 8 grey levels makes 1.5 of it, and more is light that changes."""


class Region(NamedTuple):
    """A part of a picture in px, right and bottom exclusive; left and top are multiples of ``CELL_PX``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Px squared."""
        return (self.right - self.left) * (self.bottom - self.top)

    def joined(self, other: Region) -> Region:
        """The smallest region around both."""
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def meets(self, box: NDArray[np.float32] | Region) -> bool:
        """Whether it shares a px with a box (left, top, right, bottom)."""
        left, top, right, bottom = box
        return bool(self.left < right and left < self.right and self.top < bottom and top < self.bottom)


class ChangeMap:
    """Remembers for each block how it looked when it was last looked at.

    Small changes add up: a block is compared with what was seen then, not with the frame before.
    """

    def __init__(self) -> None:
        self._seen: NDArray[np.int16] | None = None
        self._now: NDArray[np.int16] = np.zeros((0, 0, 3), np.int16)

    def changed(self, image: Image) -> list[Region] | None:
        """Regions of a (H, W, 3) uint8 picture that have changed, each with a cell around it; [] where nothing has.

        None means all of it: nothing was looked at before, or the picture has another size. ``looked_at`` tells what
        was looked at of it.
        """
        self._now = _sketch(image)
        if self._seen is None or self._seen.shape != self._now.shape or not self._now.size:
            self._seen = None
            return None
        difference = np.abs(self._now - self._seen).max(axis=2)
        noise = min(float(np.median(difference)), NOISE_MOST)
        cells = _cells(difference > max(LEAST_CHANGE, NOISE_FACTOR * noise))
        if not cells.any():
            return []
        wide = cv2.dilate(cells, np.ones((3, 3), np.uint8))
        count, _, boxes, _ = cv2.connectedComponentsWithStats(wide, connectivity=8)
        height, width = image.shape[:2]
        corners = [(left, top, left + columns, top + rows) for left, top, columns, rows, _ in boxes[1:count].tolist()]
        return [
            Region(left * CELL_PX, top * CELL_PX, min(right * CELL_PX, width), min(bottom * CELL_PX, height))
            for left, top, right, bottom in corners
        ]

    def looked_at(self, region: Region | None) -> None:
        """A part of the last picture given to ``changed`` was looked at; None is all of it."""
        if region is None or self._seen is None:
            self._seen = self._now.copy()
            return
        rows = slice(region.top // BLOCK_PX, -(-region.bottom // BLOCK_PX))
        columns = slice(region.left // BLOCK_PX, -(-region.right // BLOCK_PX))
        self._seen[rows, columns] = self._now[rows, columns]


def _sketch(image: Image) -> NDArray[np.int16]:
    """(rows, columns, 3) means of whole blocks. Halving three times takes a third of one step's time in OpenCV."""
    columns, rows = image.shape[1] // BLOCK_PX, image.shape[0] // BLOCK_PX
    means = image[: rows * BLOCK_PX, : columns * BLOCK_PX]
    while means.size and means.shape[1] > columns:
        half = (means.shape[1] // 2, means.shape[0] // 2)
        means = np.asarray(cv2.resize(means, half, interpolation=cv2.INTER_AREA), np.uint8)
    return means.astype(np.int16)


def _cells(blocks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Cells with any block set."""
    per_cell = CELL_PX // BLOCK_PX
    rows, columns = -(-blocks.shape[0] // per_cell), -(-blocks.shape[1] // per_cell)
    padded = np.zeros((rows * per_cell, columns * per_cell), np.uint8)
    padded[: blocks.shape[0], : blocks.shape[1]] = blocks
    return np.asarray(padded.reshape(rows, per_cell, columns, per_cell).max(axis=(1, 3)), np.uint8)
