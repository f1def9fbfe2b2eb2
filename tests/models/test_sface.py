"""Our SFace against OpenCV's FaceRecognizerSF on the original file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import sface
from tests.models.given import faces, opened, spec, weights


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return opened(sface.build(weights("sface"), spec("sface"))["sface"], tmp_path_factory.mktemp("sface"))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    (path,) = weights("sface").values()
    original = onnx.load(path)
    # The file lists its weights among its inputs, which OpenCV 5 refuses; nothing else of it is touched.
    del original.graph.input[1:]
    cleaned = tmp_path_factory.mktemp("original") / "sface.onnx"
    onnx.save(original, cleaned)
    recognizer = cv2.FaceRecognizerSF.create(str(cleaned), "")
    rows = np.concatenate([recognizer.feature(face).copy() for face in faces(7, 112)])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("batch", [1, 7])
def test_agrees_with_opencv_on_real_faces(network: Backend, truth: NDArray[np.float32], batch: int) -> None:
    found = network.run({"faces": faces(7, 112)[:batch]})["embeddings"]
    assert found.shape == (batch, 128)
    np.testing.assert_allclose(found, truth[:batch], atol=1e-5)


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelBroken, match="not the SFace"):
        sface.build(weights("yunet"), spec("sface"))


def test_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sface.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ModelBroken, match=r"sface\.onnx"):
        sface.build({"sface.onnx": path}, spec("sface"))
