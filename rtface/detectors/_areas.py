"""Parts of one picture at other sizes, each pixel the mean of the area it covers, as OpenCV's INTER_AREA has it.

OpenCV reads every pixel of the part for every size. Here running sums down the columns are made once a picture; a row
of a smaller one is then the difference of two of them, and only these few rows are left to be narrowed.
Source: the summed-area table (Crow, "Summed-Area Tables for Texture Mapping", 1984), in one direction.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import Image

SUMMED_PX = 2560 * 1440
"""Larger pictures are left to OpenCV: their sums would take more than 90 MB."""

DIRECT_ROWS = 96
"""Parts of fewer rows are left to OpenCV: an operator of numpy costs 1 us before it does anything. Measured on crops to
24 px: 40 us either way at 100 rows, 35 against 120 us at 200."""

Floats = NDArray[np.float32]


class Areas:
    """One picture at a time; the memory for its sums is used again for the next, so this is for one thread."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)
        self._image: Image = np.zeros((0, 0, 3), np.uint8)
        self._pixels: Floats | None = None
        self._sums: Floats = self._memory

    @property
    def height(self) -> int:
        """Of the picture, px."""
        return int(self._image.shape[0])

    @property
    def width(self) -> int:
        """Of the picture, px."""
        return int(self._image.shape[1])

    def show(self, image: Image) -> None:
        """From now on parts are of this (H, W, 3) picture, which has to stay as it is meanwhile."""
        height, width = image.shape[:2]
        self._image, self._pixels = image, None
        if height * width > SUMMED_PX:
            return
        row = width * 3
        needed = (2 * height + 1) * row
        if len(self._memory) < needed:
            self._memory = np.empty(needed, np.float32)
        self._pixels = self._memory[: height * row].reshape(height, width, 3)
        self._sums = self._memory[height * row : needed].reshape(height + 1, row)
        np.copyto(self._pixels, image)
        self._sums[0] = 0
        above = self._sums[0]
        # Row by row in the processor's cache: np.cumsum down the columns takes five times as long.
        for pixels, below in zip(self._pixels.reshape(height, row), self._sums[1:], strict=True):
            np.add(above, pixels, out=below)
            above = below

    def draw(self, left: int, top: int, right: int, bottom: int, place: Image) -> None:
        """Draws the part between these edges over the whole of ``place``; beyond the picture all is black."""
        means = np.zeros(place.shape, np.float32)
        self._average(left, top, right, bottom, means)
        cv2.convertScaleAbs(means, dst=place)

    def squares(self, boxes: Floats, size: int) -> Image:
        """(N, size, size, 3) what (N, 4) boxes of whole pixels show; beyond the picture all is black."""
        means = np.zeros((len(boxes), size, size, 3), np.float32)
        for place, (left, top, right, bottom) in zip(means, boxes.astype(int).tolist(), strict=True):
            self._average(left, top, right, bottom, place)
        # One call for all: it takes 2 us however little it is given.
        crops = np.zeros(means.shape, np.uint8)
        if len(boxes):
            cv2.convertScaleAbs(means.reshape(-1, size, 3), dst=crops.reshape(-1, size, 3))
        return crops

    def _average(self, left: int, top: int, right: int, bottom: int, place: Floats) -> None:
        """The same in unrounded numbers; a place beside the picture stays as it is."""
        rows, columns = place.shape[:2]
        inside = left >= 0 and top >= 0 and right <= self.width and bottom <= self.height
        if self._pixels is None or bottom - top < rows:
            part = self._image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            if not part.size:
                return
            if not inside:
                over = (max(-top, 0), max(bottom - self.height, 0), max(-left, 0), max(right - self.width, 0))
                part = np.asarray(cv2.copyMakeBorder(part, *over, cv2.BORDER_CONSTANT), np.uint8)
            place[...] = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
        elif inside and bottom - top < DIRECT_ROWS:
            pixels = self._pixels[top:bottom, left:right]
            cv2.resize(pixels, (columns, rows), dst=place, interpolation=cv2.INTER_AREA)
        elif left < self.width and right > 0:
            sums = self._lowered(left, top, right, bottom, rows)
            cv2.resize(sums, (columns, rows), dst=place, interpolation=cv2.INTER_AREA)
            place *= rows / (bottom - top)

    def _lowered(self, left: int, top: int, right: int, bottom: int, rows: int) -> Floats:
        """(rows, right - left, 3) sums over the height that each row covers."""
        assert self._pixels is not None
        columns = slice(3 * max(left, 0), 3 * min(right, self.width))
        edges = np.arange(rows + 1) * ((bottom - top) / rows)
        edges += top
        if top < 0 or bottom > self.height:
            edges = edges.clip(0, self.height)
        whole = edges.astype(np.intp)
        # Below the picture's last edge there is no row; nothing of it is wanted.
        at_edges = self._pixels.reshape(self.height, -1)[np.minimum(whole, self.height - 1), columns]
        at_edges *= (edges - whole).astype(np.float32)[:, None]
        at_edges += self._sums[whole, columns]
        sums = np.subtract(at_edges[1:], at_edges[:-1]).reshape(rows, -1, 3)
        if left >= 0 and right <= self.width:
            return sums
        over = (0, 0, max(-left, 0), max(right - self.width, 0))
        return np.asarray(cv2.copyMakeBorder(sums, *over, cv2.BORDER_CONSTANT), np.float32)
