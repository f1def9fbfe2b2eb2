"""A picture at many sizes, laid out on one canvas so that a network answers for all of them in one run.

A run costs some 0.1 ms whatever is in it, and small maps keep no second core busy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.detectors._areas import Areas
from rtface.types import Image

LARGE_PX = 512 * 512
"""A level of more pixels gets a canvas of its own: the run costs nothing beside it, a common canvas only memory."""


@dataclass(frozen=True, slots=True)
class Level:
    """One size of the picture and its place.

    Attributes:
        scale: of the picture, 0..1.
        left, top: of its place on the canvas, px; even, so that networks of stride 2 see each level alike.
        width, height: px, of the level itself; its place is rounded up to even sides.
    """

    scale: float
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the levels lie, largest first."""

    width: int
    height: int
    levels: tuple[Level, ...]

    def draw(self, picture: Areas) -> Image:
        """(height, width, 3) with the picture at every level, black between them."""
        drawn = np.zeros((self.height, self.width, 3), np.uint8)
        for level in self.levels:
            place = drawn[level.top : level.top + level.height, level.left : level.left + level.width]
            picture.draw(0, 0, picture.width, picture.height, place)
            _repeat_edges(drawn, level)
        return drawn

    def cells(self, window: int, step: int) -> NDArray[np.int8]:
        """Which level a window lies in, as index into ``levels``; -1 where it lies in none or in two.

        Args:
            window: side of what one answer looks at, px; even.
            step: between two answers, px.

        Returns:
            (h, w), as many as there are windows on the canvas.
        """
        owners = np.full([(side - window) // step + 1 for side in (self.height, self.width)], -1, np.int8)
        for index, level in enumerate(self.levels):
            left, top = level.left // step, level.top // step
            columns, rows = (_even(side - window) // step + 1 for side in (level.width, level.height))
            owners[top : top + rows, left : left + columns] = index
        return owners


def canvases(height: int, width: int, scales: Sequence[float]) -> list[Canvas]:
    """The canvases for a picture at these scales, largest first: its large levels one by one, the others together."""
    sizes = [(scale, math.ceil(width * scale), math.ceil(height * scale)) for scale in scales]
    large = [size for size in sizes if size[1] * size[2] > LARGE_PX]
    groups = [[size] for size in large] + [sizes[len(large) :]]
    return [_packed(group) for group in groups if group]


def _packed(sizes: Sequence[tuple[float, int, int]]) -> Canvas:
    """Each level in the topmost gap that holds it, what remains right of it and below it two gaps more."""
    canvas_width, bottom = _even(sizes[0][1]), 0
    gaps = [(0, 0, canvas_width, 1 << 30)]
    levels = []
    for scale, width, height in sizes:
        across, down = _even(width), _even(height)
        top, left, room, depth = min(gap for gap in gaps if gap[2] >= across and gap[3] >= down)
        gaps.remove((top, left, room, depth))
        gaps += [(top, left + across, room - across, down), (top + down, left, room, depth - down)]
        levels.append(Level(scale, left, top, width, height))
        bottom = max(bottom, top + down)
    return Canvas(canvas_width, bottom, tuple(levels))


def _repeat_edges(drawn: Image, level: Level) -> None:
    """The last row and column once more where the side is odd: what a window sees that hangs over by a pixel."""
    right, bottom = level.left + level.width, level.top + level.height
    if level.width % 2:
        drawn[level.top : bottom, right] = drawn[level.top : bottom, right - 1]
    if level.height % 2:
        drawn[bottom, level.left : _even(right)] = drawn[bottom - 1, level.left : _even(right)]


def _even(side: int) -> int:
    return side + side % 2
