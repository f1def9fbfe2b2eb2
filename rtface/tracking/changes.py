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
"""Changes are measured on means of 8x8 px: a face of 20 px covers several, and a camera's noise is a quarter of what it
is in a pixel."""
LEAST_CHANGE = 6.0
"""Grey levels (of 255) by which a block has to differ; an edge of contrast 50 that moves by one px changes it by 6."""
NOISE_FACTOR = 6.0
"""A block counts only when it differs by this many times the noise, so that one in millions does by chance."""


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
        if self._seen is None or self._seen.shape != self._now.shape:
            self._seen = None
            return None
        difference = np.abs(self._now - self._seen).max(axis=2)
        noise = float(np.median(difference))
        cells = _cells(difference > max(LEAST_CHANGE, NOISE_FACTOR * noise))
        if not cells.any():
            return []
        wide = cv2.dilate(cells, np.ones((3, 3), np.uint8))
        count, _, boxes, _ = cv2.connectedComponentsWithStats(wide, connectivity=8)
        height, width = image.shape[:2]
        return [
            Region(
                int(left) * CELL_PX,
                int(top) * CELL_PX,
                min(int(left + columns) * CELL_PX, width),
                min(int(top + rows) * CELL_PX, height),
            )
            for left, top, columns, rows, _ in boxes[1:count].tolist()
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
    """(rows, columns, 3) means of blocks, from 16 of their 64 px: linear interpolation to a quarter averages 2x2."""
    height, width = image.shape[:2]
    columns, rows = -(-width // BLOCK_PX), -(-height // BLOCK_PX)
    quarter = cv2.resize(image, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(quarter, (columns, rows), interpolation=cv2.INTER_AREA), np.int16)


def _cells(blocks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Cells with any block set."""
    per_cell = CELL_PX // BLOCK_PX
    rows, columns = -(-blocks.shape[0] // per_cell), -(-blocks.shape[1] // per_cell)
    padded = np.zeros((rows * per_cell, columns * per_cell), np.uint8)
    padded[: blocks.shape[0], : blocks.shape[1]] = blocks
    return np.asarray(padded.reshape(rows, per_cell, columns, per_cell).max(axis=(1, 3)), np.uint8)
