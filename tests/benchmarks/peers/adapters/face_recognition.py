"""face_recognition (dlib): HOG detector, ResNet-29 embedding of every face, as in its ``facerec_from_webcam.py``.

The example that reads every second frame at a quarter of the size is not used: the clips' faces are too small for it,
and everybody here gives a result for every frame.
"""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.protocol import Image, Job, StillPeer, rgb, serve

TITLE = "face_recognition (dlib HOG)"
RULE = "nearest enrolled picture within its tolerance, 0.6 (L2)"
REQUIREMENTS = (
    "dlib-bin==20.0.1.post1",
    "setuptools<81",  # face_recognition_models asks pkg_resources for its files
    "numpy",
    "pillow",
    "click",
    "opencv-python-headless",
)
WITHOUT_DEPENDENCIES = ("face_recognition==1.3.0", "face_recognition_models==0.3.0")

TOLERANCE = 0.6
"""Source: ``compare_faces`` of face_recognition, its default."""


class FaceRecognition(StillPeer):
    """dlib's networks through the package's own functions."""

    def __init__(self) -> None:
        super().__init__(TOLERANCE)
        self._library = importlib.import_module("face_recognition")

    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        picture = rgb(image)
        places = self._library.face_locations(picture)
        rows = self._library.face_encodings(picture, places)
        return [
            ((float(left), float(top), float(right), float(bottom)), np.asarray(row, np.float32))
            for (top, right, bottom, left), row in zip(places, rows, strict=True)
        ]

    def distances(self, rows: NDArray[np.float32], row: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._library.face_distance(rows, row), np.float32)


def open_peer(job: Job) -> FaceRecognition:
    return FaceRecognition()


if __name__ == "__main__":
    serve(open_peer, ["face_recognition", "dlib-bin", "numpy"])
