"""A moving video without a camera: InsightFace's group photo under a panning, zooming, noisy lens."""

from __future__ import annotations

import importlib.util
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import SourceUnavailable
from rtface.sources.images import read_picture
from rtface.types import Frame, Image

WIDTH, HEIGHT = 640, 480
FPS = 30
SECONDS = 10.0

JOURNEY = np.array(
    # seconds, left, top, width of the view in the photo's px; the height follows from 4:3
    [
        (0.0, 50.0, 0.0, 1180.0),
        (1.0, 50.0, 0.0, 1180.0),
        (3.0, 20.0, 20.0, 740.0),
        (4.0, 20.0, 30.0, 740.0),
        (6.5, 540.0, 0.0, 740.0),
        (7.5, 540.0, 10.0, 740.0),
        (9.5, 50.0, 0.0, 1180.0),
        (10.0, 50.0, 0.0, 1180.0),
    ]
)
"""All six faces, closer to the left three, over to the right three, back. Chosen by eye on the photo (1280x886)."""

NOISE_SIGMA = 4.0
"""Grey levels; about a webcam's at ordinary room light."""

NOISE_FIELDS = 8
"""Drawn once and shifted about: fresh noise a frame would cost more than everything else here."""


def open(uri: str = "demo", *, paced: bool = False) -> DemoSource:
    """The demonstration.

    Args:
        uri: "demo", which is also the source's name.
        paced: frames come at 30 a second; otherwise as fast as they are taken.

    Raises:
        SourceUnavailable: the photo is not there.
    """
    return DemoSource(uri, portrait(), paced=paced)


def portrait() -> Image:
    """The still photo: (886, 1280, 3) uint8 BGR, six faces, each about 110 px wide.

    Raises:
        SourceUnavailable: the ``insightface`` package, which carries it, is not installed or carries it no more.
    """
    package = importlib.util.find_spec("insightface")  # finds without importing
    folders = (package.submodule_search_locations if package else None) or []
    for folder in folders:
        photo = Path(folder) / "data" / "images" / "t1.jpg"
        if photo.is_file():
            return read_picture(photo)
    raise SourceUnavailable(
        "The demonstration's photo (insightface/data/images/t1.jpg) is not there: pip install insightface, "
        "or give another source."
    )


class DemoSource:
    """640x480, 30 frames a second, 10 s; the same pixels in every run."""

    live = False
    stills = False
    status = "streaming"

    def __init__(self, name: str, photo: Image, *, paced: bool) -> None:
        """Films the photo."""
        self.name = name
        self._photo = photo
        self._paced = paced
        self._closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        """All frames, from the first."""
        noise = _noise_fields()
        began = time.monotonic()
        for index in range(round(FPS * SECONDS)):
            at = index / FPS
            wait = began + at - time.monotonic() if self._paced else 0.0
            if self._closed.wait(max(wait, 0.0)):
                return
            image = _sense(_light(_look(self._photo, at), at), noise, index)
            image.flags.writeable = False
            yield Frame(image, index, at, time.monotonic(), self.name)

    def close(self) -> None:
        """Ends ``frames``, also while it waits for the next frame's time."""
        self._closed.set()


def _look(photo: Image, at: float) -> Image:
    """The part of the photo in view at this second."""
    left, top, width = _view(at)
    scale = WIDTH / width
    window = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
    # Area sampling is not to be had here; at scales of 0.54 and more, linear with a soft photo shows no moire.
    seen = cv2.warpAffine(photo, window, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def _view(at: float) -> tuple[float, float, float]:
    """Left, top and width of the view, gliding from stop to stop without jerks."""
    stops = JOURNEY[:, 0]
    leg = min(max(int(np.searchsorted(stops, at, side="right")) - 1, 0), len(stops) - 2)
    part = min(max((at - stops[leg]) / (stops[leg + 1] - stops[leg]), 0.0), 1.0)
    eased = part * part * (3 - 2 * part)
    left, top, width = JOURNEY[leg, 1:] * (1 - eased) + JOURNEY[leg + 1, 1:] * eased
    return float(left), float(top), float(width)


def _light(image: Image, at: float) -> Image:
    """Brightness and contrast drifting, each with a rhythm of its own."""
    contrast = 1.0 + 0.15 * math.sin(2 * math.pi * at / 3.7)
    brightness = 18.0 * math.sin(2 * math.pi * at / 5.3)
    levels = (np.arange(256) - 128) * contrast + 128 + brightness
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)), np.uint8)


def _noise_fields() -> NDArray[np.int16]:
    """(NOISE_FIELDS, HEIGHT, WIDTH, 3), the same every time."""
    random = np.random.default_rng(0)
    return np.rint(random.normal(0.0, NOISE_SIGMA, (NOISE_FIELDS, HEIGHT, WIDTH, 3))).astype(np.int16)


def _sense(image: Image, noise: NDArray[np.int16], index: int) -> Image:
    field = np.roll(noise[index % NOISE_FIELDS], (index * 37) % HEIGHT, axis=0)  # 37: no short cycle with 480
    return np.asarray(cv2.add(image, field, dtype=cv2.CV_8U), np.uint8)
