"""A crowd of any size before a camera of any size: real heads wandering over a real table, cheap to draw."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from rtface.errors import SourceUnavailable
from rtface.sources.demo import portrait
from rtface.sources.load.faces import POSES, TALL, WIDE, Head, head
from rtface.types import Frame, Image

FPS = 30
MOST_FACES = 16
LARGEST = 0.25
"""A face is at most so wide, in heights of the picture: somebody at a desk before a webcam."""

SMALLEST_PX = 32
"""Narrower faces would measure how a detector misses, not what a frame costs."""

ROOM = 0.9
"""A cut-out takes at most this much of its cell, and wanders in the rest."""

TABLE = (slice(670, 880), slice(180, 1140))
"""The part of the demonstration's photo below all faces (rows, columns)."""

MARGIN = 0.1
"""The background is so much larger than the picture, which glides over it."""

NOISE_SIGMA = 4.0
"""Grey levels, as in the demonstration."""

NOISE_MEAN = 12
"""Everything is drawn darker by this and the noise is that much brighter: one saturating add of bytes is a tenth of the
price of signed noise."""

NOISE_SHIFTS = 997
"""The noise is drawn once and read from another place in each frame; a prime, so that no short cycle comes of it."""

TURNS_A_SECOND = (0.10, 0.17)
"""How fast heads go round in their cells."""


def open(
    faces: int = 1, size: tuple[int, int] = (640, 480), *, camera: int = 1, still: bool = False
) -> SyntheticSource:
    """A camera on a crowd, as fast as its frames are taken; endless.

    Args:
        faces: 1 to MOST_FACES.
        size: width and height in px.
        camera: from 1; each sees other people walk other ways.
        still: the camera does not move, only the people do.

    Raises:
        SourceUnavailable: so many faces have no room in so small a picture, or the photo they come from is missing.
    """
    width = face_width(faces, size)
    if width < SMALLEST_PX:
        crowd = f"{faces} face{'s' if faces > 1 else ''} in {size[0]}x{size[1]}"
        raise SourceUnavailable(
            f"{crowd} would be {width} px wide, and {SMALLEST_PX} is the least: ask for fewer faces or larger pictures."
        )
    return SyntheticSource(faces, size, camera, still=still)


def face_width(faces: int, size: tuple[int, int]) -> int:
    """How wide each face is in px."""
    columns, rows = _grid(faces, size)
    fits = min(ROOM * size[0] / columns / WIDE, ROOM * size[1] / rows / TALL)
    return int(min(fits, LARGEST * size[1]))


class SyntheticSource:
    """Moving faces before a gliding background, with noise that differs from frame to frame.

    The same arguments give the same pixels in every run. What can be drawn beforehand is shared among the cameras.
    """

    live = False
    stills = False
    status = "streaming"

    def __init__(self, faces: int, size: tuple[int, int], camera: int, *, still: bool) -> None:
        """Draws everything that does not change from frame to frame."""
        self.name = f"synthetic-{camera}"
        self._size = size
        self._background = _background(size)
        self._noise = _noise(size)
        self._canvas = np.empty((size[1], size[0], 3), np.uint8)
        self._camera = camera
        self._still = still
        self._closed = threading.Event()
        self._walkers = _walkers(faces, size, camera)

    def frames(self) -> Iterator[Frame]:
        """Frames until closed, 1/30 s of media time apart."""
        index = 0
        while not self._closed.is_set():
            image = self._draw(index)
            image.flags.writeable = False
            yield Frame(image, index, index / FPS, time.monotonic(), self.name)
            index += 1

    def close(self) -> None:
        """Ends ``frames``."""
        self._closed.set()

    def _draw(self, index: int) -> Image:
        width, height = self._size
        moved = 0.0 if self._still else index / FPS
        left, top = _glide(self._background, self._size, moved + self._camera)
        np.copyto(self._canvas, self._background[top : top + height, left : left + width])
        for walker in self._walkers:
            walker.draw(self._canvas, index)
        start = (index * NOISE_SHIFTS + self._camera * 31) % (len(self._noise) - height * width)
        noise = self._noise[start : start + height * width].reshape(height, width, 3)
        return np.asarray(cv2.add(self._canvas, noise), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Walker:
    """One head going round in its cell.

    Attributes:
        middle: of its cell, x and y in px.
        reach: how far its own middle gets from there, x and y in px.
        pace: turns a second across and down.
        phase: where it starts, in turns, across and down.
    """

    head: Head
    middle: tuple[float, float]
    reach: tuple[float, float]
    pace: tuple[float, float]
    phase: tuple[float, float]

    def draw(self, canvas: Image, index: int) -> None:
        """Lays the head over the canvas."""
        pose = self.head.poses[(index // 3 + int(self.phase[0] * POSES)) % POSES]
        height, width = pose.shape[:2]
        x, y = (
            middle + reach * math.sin(2 * math.pi * (pace * index / FPS + phase))
            for middle, reach, pace, phase in zip(self.middle, self.reach, self.pace, self.phase, strict=True)
        )
        left, top = round(x - width / 2), round(y - height / 2)
        below = canvas[top : top + height, left : left + width]
        cv2.multiply(below, self.head.keep, below, 1 / 255)
        cv2.add(below, pose, below)


def _walkers(faces: int, size: tuple[int, int], camera: int) -> list[_Walker]:
    random = np.random.default_rng(camera)
    columns, rows = _grid(faces, size)
    cell = size[0] / columns, size[1] / rows
    width = face_width(faces, size)
    walkers = []
    for place in range(faces):
        person = head(place + 5 * (camera - 1), width)  # 5 and 24 share no factor: cameras differ in whom they see
        tall, wide = person.keep.shape[:2]
        middle = (place % columns + 0.5) * cell[0], (place // columns + 0.5) * cell[1]
        reach = max((cell[0] - wide) / 2 - 1, 0.0), max((cell[1] - tall) / 2 - 1, 0.0)
        across, down = random.uniform(*TURNS_A_SECOND, 2)
        begin_across, begin_down = random.uniform(0, 1, 2)
        walkers.append(_Walker(person, middle, reach, (across, down), (begin_across, begin_down)))
    return walkers


def _grid(faces: int, size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows of cells that leave the faces largest."""
    shapes = [(columns, -(-faces // columns)) for columns in range(1, faces + 1)]
    return max(shapes, key=lambda shape: min(size[0] / shape[0] / WIDE, size[1] / shape[1] / TALL))


def _glide(background: Image, size: tuple[int, int], at: float) -> tuple[int, int]:
    """Left and top of the view over the background at this second."""
    spare = background.shape[1] - size[0], background.shape[0] - size[1]
    across, down = 0.5 + 0.5 * math.sin(2 * math.pi * at / 11), 0.5 + 0.5 * math.sin(2 * math.pi * at / 7)
    return round(across * spare[0]), round(down * spare[1])


@functools.lru_cache(maxsize=2)
def _background(size: tuple[int, int]) -> Image:
    """A table with glasses and chips, above it the same turned over; MARGIN larger than the picture."""
    table = portrait()[TABLE]
    room = np.vstack([table[::-1], table])
    target = math.ceil(size[0] * (1 + MARGIN)), math.ceil(size[1] * (1 + MARGIN))
    grown = cv2.resize(room, target, interpolation=cv2.INTER_AREA if target[0] < room.shape[1] else cv2.INTER_LINEAR)
    return np.asarray(cv2.subtract(grown, np.full_like(grown, NOISE_MEAN)), np.uint8)


@functools.lru_cache(maxsize=2)
def _noise(size: tuple[int, int]) -> Image:
    """(px, 3) somewhat more than a picture's worth of noise about NOISE_MEAN."""
    random = np.random.default_rng(0)
    count = size[0] * size[1] + 8 * NOISE_SHIFTS
    levels = NOISE_MEAN + NOISE_SIGMA * random.standard_normal((count, 3), dtype=np.float32)
    return np.asarray(np.clip(np.rint(levels), 0, 2 * NOISE_MEAN), np.uint8)
