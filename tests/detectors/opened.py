"""Detectors on their real weights, and pictures with real faces, for the tests; whatever is absent skips the test."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from rtface import registry
from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.errors import ModelUnavailable
from rtface.interfaces import Detector
from rtface.models import scrfd
from rtface.models.store import ModelStore
from rtface.types import Image

SHARED = Path(__file__).resolve().parents[3] / "shared"
SCRFD_FILE = SHARED / "models" / "scrfd_500m_bnkps.onnx"


def open_detector(name: str, *, min_score: float | None = None, min_face_px: int = 32) -> Detector:
    part = registry.load("detectors", name)
    detector: Detector = part.open(graphs(name), onnxruntime.open, min_score=min_score, min_face_px=min_face_px)
    return detector


def engines_dir() -> Path:
    return load_config().engines_dir


@functools.cache
def graphs(name: str) -> Mapping[str, Path]:
    store = ModelStore(engines_dir(), offline=True)
    try:
        return store.graphs(name)
    except ModelUnavailable:
        if name == "scrfd" and SCRFD_FILE.is_file():
            return scrfd_from_shared()
        pytest.skip(f"the weights of {name} are absent: rtface models fetch {name} brings them")


@functools.cache
def scrfd_from_shared() -> Mapping[str, Path]:
    spec = ModelStore(engines_dir(), offline=True).spec("scrfd")
    folder = Path(tempfile.mkdtemp(prefix="rtface-scrfd-"))
    paths = {}
    for name, model in scrfd.build({SCRFD_FILE.name: shared("models", SCRFD_FILE.name)}, spec).items():
        paths[name] = folder / f"{name}.onnx"
        onnx.save(model, paths[name])
    return paths


def weights(file: str) -> Path:
    """A file as its carrier brings it."""
    path = engines_dir() / "weights" / file
    if not path.is_file():
        pytest.skip(f"{file} is absent: rtface models fetch brings it")
    return path


def shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared/{'/'.join(parts)} is absent")
    return path


def picture(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return np.asarray(image, np.uint8)


@functools.cache
def six_people() -> Image:
    """The group picture in InsightFace's package: six frontal faces about 100 px wide."""
    insightface = pytest.importorskip("insightface")
    return picture(Path(insightface.__file__).parent / "data" / "images" / "t1.jpg")


@functools.cache
def one_person() -> Image:
    """NASA's portrait of an astronaut in scikit-image's package: one frontal face about 100 px wide."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def group_pictures() -> list[Image]:
    """PASCAL VOC pictures of two to seven people, of sizes that 32 does not divide."""
    folder = shared("data", "detection", "dlib_faces")
    return [picture(path) for path in sorted(folder.glob("20*.jpg"))]
