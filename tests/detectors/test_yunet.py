"""YuNet against OpenCV's own FaceDetectorYN on the same weights and the same input."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rtface.backends.onnxruntime import open as open_backend
from rtface.detectors import yunet
from rtface.detectors._single_shot import SingleShot
from rtface.types import Detection, Image
from tests.detectors.opened import graphs, group_pictures, one_person, shared, six_people, weights

WHOLE = dataclasses.replace(yunet.FAMILY, largest_px=np.inf)
"""One look only, as OpenCV's."""


class OriginalFile:
    """OpenCV Zoo's file as it is, its answers put together as rtface's graph gives them."""

    name = "original"
    inputs: Mapping[str, tuple[int | None, ...]] = {"images": (None, None, None, 3)}
    outputs: tuple[str, ...] = ("scores", "boxes", "points")

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        planes = np.asarray(arrays["images"], np.float32).transpose(0, 3, 1, 2)
        names = [output.name for output in self.session.get_outputs()]
        raw = dict(zip(names, self.session.run(None, {"input": planes}), strict=True))
        head = {
            kind: np.concatenate([raw[f"{kind}_{stride}"] for stride in (8, 16, 32)], axis=1)
            for kind in ("cls", "obj", "bbox", "kps")
        }
        scores = np.sqrt(np.clip(head["cls"], 0, 1) * np.clip(head["obj"], 0, 1))[..., 0]
        return {"scores": scores, "boxes": head["bbox"], "points": head["kps"]}

    def close(self) -> None:
        pass


def by_opencv(path: Path, image: Image, min_score: float) -> NDArray[np.float32]:
    """(N, 15) left, top, width, height, ten landmark numbers, score."""
    size = (image.shape[1], image.shape[0])
    detector = cv2.FaceDetectorYN.create(str(path), "", size, min_score, WHOLE.overlap, 5000)
    faces = detector.detect(image)[1]
    return np.zeros((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)


def assert_equal(found: list[Detection], truth: NDArray[np.float32], pixels: float = 0.5) -> None:
    assert len(found) == len(truth)
    truth = truth[np.argsort(-truth[:, 14], kind="stable")]
    for face, row in zip(found, truth, strict=True):
        assert np.abs(face.box - [*row[:2], *(row[:2] + row[2:4])]).max() < pixels
        assert np.abs(face.landmarks.ravel() - row[4:14]).max() < pixels
        assert abs(face.score - row[14]) < 1e-3


def test_finds_what_opencv_finds_in_pictures_of_any_size() -> None:
    path = shared("models", "face_detection_yunet_2026may.onnx")
    detector = SingleShot(WHOLE, OriginalFile(path), min_score=0.5, min_face_px=1)
    faces = 0
    for image in [*group_pictures(), six_people(), one_person()[:131, 150:301], one_person()[:33, :65]]:
        truth = by_opencv(path, image, 0.5)
        assert_equal(detector.detect(image), truth)
        faces += len(truth)
    assert faces > 40


def test_own_graph_finds_what_opencv_finds_with_the_carriers_weights() -> None:
    path = weights("face_detection_yunet_2023mar_int8bq.onnx")
    detector = SingleShot(WHOLE, open_backend(graphs("yunet")["yunet"]), min_score=0.5, min_face_px=1)
    # The carrier's file is fixed to 640x640.
    for image in (six_people()[:640, :640], six_people()[-640:, -640:]):
        truth = by_opencv(path, np.ascontiguousarray(image), 0.5)
        assert len(truth) >= 2
        assert_equal(detector.detect(image), truth)


def test_reduced_pictures_come_back_in_their_own_pixels() -> None:
    path = shared("models", "face_detection_yunet_2026may.onnx")
    image = six_people()
    detector = SingleShot(WHOLE, OriginalFile(path), min_score=0.6, min_face_px=40)
    truth = by_opencv(path, np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5), np.uint8), 0.6)
    truth[:, :14] *= 2
    assert len(truth) == 6
    assert_equal(detector.detect(image), truth)


def test_corners_are_a_centre_and_a_logarithmic_size() -> None:
    raw = np.array([[0.5, 0.25, np.log(2), np.log(4)]], np.float32)
    assert yunet.corners(raw)[0].tolist() == pytest.approx([-0.5, -1.75, 1.5, 2.25])
