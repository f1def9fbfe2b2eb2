"""OpenCV alone: YuNet (``FaceDetectorYN``) and FaceNet through OpenCV's DNN, every face of every frame.

The detector looks at frames as they are, as OpenCV's ``face_detect.py`` sample does; the embedding network runs once a
face. It is read from ONNX, which OpenCV 5 runs a little faster than the frozen TensorFlow graph.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.faces import box_crop
from tests.benchmarks.peers.protocol import FACENET_LIMIT, Image, Job, StillPeer, serve

TITLE = "YuNet + FaceNet (OpenCV DNN)"
RULE = "nearest enrolled picture within squared distance 1.1"
REQUIREMENTS = ("opencv-python==5.0.0.93", "numpy")
WITHOUT_DEPENDENCIES: tuple[str, ...] = ()

MIN_SCORE, NMS, TOP = 0.9, 0.3, 5000
"""Source: the defaults of OpenCV's sample ``samples/dnn/face_detect.py``."""


class OpenCv(StillPeer):
    """OpenCV's own classes with their defaults."""

    def __init__(self, job: Job) -> None:
        super().__init__(FACENET_LIMIT)
        self._detector = cv2.FaceDetectorYN.create(job.files["yunet"], "", (320, 320), MIN_SCORE, NMS, TOP)
        self._embedder = cv2.dnn.readNetFromONNX(job.files["facenet_onnx"])

    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        self._detector.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._detector.detect(image)
        found = []
        for left, top, width, height in () if rows is None else rows[:, :4].tolist():
            box = (left, top, left + width, top + height)
            self._embedder.setInput(box_crop(image, box)[None])
            found.append((box, np.array(self._embedder.forward()[0], np.float32)))
        return found


def open_peer(job: Job) -> OpenCv:
    return OpenCv(job)


if __name__ == "__main__":
    serve(open_peer, ["opencv-python", "numpy"])
