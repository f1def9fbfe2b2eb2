"""InsightFace's SCRFD-500M and FaceNet through ONNX Runtime, in the manner of InsightFace's ``FaceAnalysis.get``.

Detection at 640x640 with its own class and defaults, then the embedding network once a face, every face of every frame.
FaceNet's crop is the one these weights want (``faces.box_crop``), not InsightFace's landmark warp.
"""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.faces import box_crop
from tests.benchmarks.peers.protocol import FACENET_LIMIT, Image, Job, StillPeer, serve

TITLE = "SCRFD-500M + FaceNet (ONNX Runtime)"
RULE = "nearest enrolled picture within squared distance 1.1"
REQUIREMENTS = ("insightface==2.1", "onnxruntime==1.32.0", "opencv-python==5.0.0.93", "numpy")
WITHOUT_DEPENDENCIES: tuple[str, ...] = ()

INPUT_SIZE = (640, 640)
"""Source: InsightFace's README, ``app.prepare(ctx_id=0, det_size=(640, 640))``."""
PROVIDERS = ["CPUExecutionProvider"]


class ScrfdFaceNet(StillPeer):
    """One session each, as ONNX Runtime opens them by default."""

    def __init__(self, job: Job) -> None:
        super().__init__(FACENET_LIMIT)
        model_zoo = importlib.import_module("insightface.model_zoo")
        self._detector = model_zoo.get_model(job.files["scrfd"], providers=PROVIDERS)
        self._detector.prepare(ctx_id=-1, input_size=INPUT_SIZE)
        runtime = importlib.import_module("onnxruntime")
        self._embedder = runtime.InferenceSession(job.files["facenet_onnx"], providers=PROVIDERS)

    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        boxes, _ = self._detector.detect(image, max_num=0, metric="default")
        found = []
        for left, top, right, bottom in boxes[:, :4].tolist():
            crop = box_crop(image, (left, top, right, bottom))
            (rows,) = self._embedder.run(["embeddings"], {"faces": crop[None]})
            found.append(((left, top, right, bottom), np.asarray(rows[0], np.float32)))
        return found


def open_peer(job: Job) -> ScrfdFaceNet:
    return ScrfdFaceNet(job)


if __name__ == "__main__":
    serve(open_peer, ["insightface", "onnxruntime", "opencv-python", "numpy"])
