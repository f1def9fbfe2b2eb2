"""SCRFD against InsightFace's own class on the same file."""

import dataclasses

import cv2
import numpy as np
import pytest

from rtface.backends.onnxruntime import open as open_backend
from rtface.detectors import scrfd
from rtface.detectors._single_shot import SingleShot
from rtface.types import Image
from tests.detectors.opened import SCRFD_FILE, group_pictures, one_person, scrfd_from_shared, shared, six_people

SIDE = 640


def letterboxed(image: Image) -> tuple[Image, float]:
    """As InsightFace fits a picture into its square, and the scale it takes."""
    tall = image.shape[0] > image.shape[1]
    height, width = image.shape[:2]
    size = (int(SIDE * width / height), SIDE) if tall else (SIDE, int(SIDE * height / width))
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    square[: size[1], : size[0]] = cv2.resize(image, size)
    return square, size[1] / height


def test_finds_what_insightface_finds_in_its_square() -> None:
    original = pytest.importorskip("insightface.model_zoo.scrfd")
    file = shared("models", SCRFD_FILE.name)
    truth_detector = original.SCRFD(str(file))
    truth_detector.prepare(-1, det_thresh=0.5)
    family = dataclasses.replace(scrfd.FAMILY, largest_px=np.inf)
    detector = SingleShot(family, open_backend(scrfd_from_shared()["scrfd"]), min_score=0.5, min_face_px=1)
    faces = 0
    for image in [*group_pictures(), six_people(), one_person()]:
        truth, landmarks = truth_detector.detect(image, input_size=(SIDE, SIDE))
        square, scale = letterboxed(image)
        found = detector.detect(square)
        assert len(found) == len(truth)
        faces += len(truth)
        for face, row, points in zip(found, truth, landmarks, strict=True):
            assert np.abs(face.box / scale - row[:4]).max() < 0.5
            assert np.abs(face.landmarks / scale - points).max() < 0.5
            assert abs(face.score - row[4]) < 1e-3
    assert faces > 40


def test_corners_are_distances_to_the_four_sides() -> None:
    assert scrfd.corners(np.array([[1, 2, 3, 4]], np.float32)).tolist() == [[-1, -2, 3, 4]]
