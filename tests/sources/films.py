"""Small films painted for the tests: each picture's grey tells its number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from rtface.sources._capture import settle_opencv
from rtface.types import Image

STEP = 8


def picture(number: int, size: tuple[int, int] = (64, 48)) -> Image:
    """A grey (height, width) picture whose level is ``STEP`` times its number."""
    return np.full((size[1], size[0], 3), STEP * number, np.uint8)


def number(image: Image) -> int:
    """Which picture it was, lossy coding notwithstanding."""
    return round(float(image.mean()) / STEP)


def film(path: Path, count: int, *, fps: float = 25, codec: str = "MJPG", size: tuple[int, int] = (64, 48)) -> Path:
    """A film of ``count`` pictures."""
    settle_opencv()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
    assert writer.isOpened()
    for place in range(count):
        writer.write(picture(place, size))
    writer.release()
    return path


def jpegs(numbers: Sequence[int]) -> list[bytes]:
    """The pictures as JPEG files."""
    return [cv2.imencode(".jpg", picture(place))[1].tobytes() for place in numbers]
