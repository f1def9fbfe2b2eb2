"""Small stand-ins that fit the joints: a world of invented faces whose truth a test knows.

A face is a brightness: the fake detector reads boxes from a script, the fake embedder turns a crop's brightness into
a unit vector, so that who is who is decided by the pixels a test paints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rtface.interfaces import PendingRows
from rtface.types import Detection, Frame, Image, Neighbor

SIZE = 8


def detection(left: float, top: float, side: float = 80, score: float = 0.9) -> Detection:
    """A frontal face in a square box."""
    box = np.array([left, top, left + side, top + side], np.float32)
    points = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]], np.float32)
    return Detection(box, points * side + box[:2], score)


def direction(brightness: float) -> NDArray[np.float32]:
    """(SIZE,) the unit vector of a person painted with this brightness; people 10 apart are near orthogonal."""
    rng = np.random.default_rng(round(brightness / 10))
    vector = rng.normal(size=SIZE * 8)[:SIZE]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def paint(faces: Mapping[tuple[int, int], float], size: tuple[int, int] = (240, 320), side: int = 80) -> Image:
    """A picture with a textured square for each face: {(left, top): brightness}."""
    image = np.zeros((*size, 3), np.uint8)
    for (left, top), brightness in faces.items():
        texture = np.random.default_rng(int(brightness)).integers(-60, 61, (side // 10, side // 10)).repeat(10, 0)
        square = np.clip(brightness + texture.repeat(10, 1) - texture.mean(), 0, 255)
        image[top : top + side, left : left + side] = square[..., None].astype(np.uint8)
    return image


class FakeDetector:
    """Finds the faces a test says, frame by frame."""

    name = "fake"

    def __init__(self, script: Sequence[Sequence[Detection]]) -> None:
        self.script = list(script)
        self.calls = 0

    def detect(self, image: Image) -> list[Detection]:
        found = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        return list(found)

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def close(self) -> None:
        pass


class Given:
    """Rows that are there already."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows

    def collect(self) -> NDArray[np.float32]:
        return self.rows


class FakeEmbedder:
    """Reads a person from a crop's mean brightness."""

    name = "fake"
    fingerprint = "0123456789ab"
    backend = "fake"
    size = SIZE
    crop_size = 80
    by_landmarks = False
    asynchronous = False

    def __init__(self) -> None:
        self.batches: list[int] = []

    def crop(self, image: Image, detection: Detection) -> Image:
        left, top, right, bottom = detection.box.astype(int)
        return np.ascontiguousarray(image[top:bottom, left:right])

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return np.stack([direction(float(crop.mean())) for crop in crops])

    def launch(self, crops: NDArray[np.uint8]) -> PendingRows:
        return Given(self.embed(crops))

    def close(self) -> None:
        pass


class FakeGallery:
    """A few rows in memory, searched exactly."""

    def __init__(self, people: Mapping[str, float]) -> None:
        self.rows = [(name, direction(brightness)) for name, brightness in people.items()]
        self.revision = 1
        self.refreshed = 0

    def counts(self) -> Mapping[str, int]:
        names = [name for name, _ in self.rows]
        return {name: names.count(name) for name in names}

    def refresh(self) -> bool:
        self.refreshed += 1
        return False

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        return [
            sorted(
                (Neighbor(name, float(np.sum((row - query) ** 2))) for name, row in self.rows),
                key=lambda neighbor: neighbor.distance,
            )[:k]
            for query in embeddings
        ]

    def close(self) -> None:
        pass


class ScriptedSource:
    """Plays frames; may fail at the end."""

    def __init__(
        self, images: Sequence[Image], *, name: str = "script", live: bool = False, error: Exception | None = None
    ) -> None:
        self.name, self.live, self.stills, self.status = name, live, False, "streaming"
        self._images, self._error = images, error
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            yield Frame(image, index, index / 30, 0.0, self.name)
        if self._error:
            raise self._error

    def close(self) -> None:
        self.closed = True
