"""Our FaceNet against the original frozen graph, which OpenCV's importer runs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import facenet
from tests.models.given import faces, noise, opened, spec, weights


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return opened(facenet.build(weights("facenet"), spec("facenet"))["facenet"], tmp_path_factory.mktemp("facenet"))


@pytest.fixture(scope="module")
def truth() -> NDArray[np.float32]:
    (path,) = weights("facenet").values()
    original = cv2.dnn.readNetFromTensorflow(str(path))
    rows = []
    for face in faces(7, 160):
        original.setInput(cv2.dnn.blobFromImage(face, 1 / 128, (160, 160), (127.5, 127.5, 127.5), swapRB=True))
        rows.append(original.forward().copy())
    return np.concatenate(rows)


@pytest.mark.parametrize("batch", [1, 7])
def test_agrees_with_the_original_graph_on_real_faces(network: Backend, truth: NDArray[np.float32], batch: int) -> None:
    found = network.run({"faces": faces(7, 160)[:batch]})["embeddings"]
    assert found.shape == (batch, 512)
    np.testing.assert_allclose(found, truth[:batch], atol=1e-5)


def test_embeddings_have_norm_one_whatever_is_shown(network: Backend) -> None:
    black, white = np.zeros((1, 160, 160, 3), np.uint8), np.full((1, 160, 160, 3), 255, np.uint8)
    found = network.run({"faces": np.concatenate([black, white, noise(2, 160, 160, 3)])})["embeddings"]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_nobody_in_is_nobody_out(network: Backend) -> None:
    assert network.run({"faces": np.empty((0, 160, 160, 3), np.uint8)})["embeddings"].shape == (0, 512)


def test_graph_cut_off_is_refused(tmp_path: Path) -> None:
    (path,) = weights("facenet").values()
    half = tmp_path / "half.pb"
    half.write_bytes(path.read_bytes()[:1_000_001])
    with pytest.raises(ModelBroken, match=r"half\.pb"):
        facenet.build({"half.pb": half}, spec("facenet"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.pb"
    other.write_bytes(b"")
    with pytest.raises(ModelBroken, match="not the FaceNet"):
        facenet.build({"other.pb": other}, spec("facenet"))
