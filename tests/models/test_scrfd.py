"""Our SCRFD against the same kind of file run by ONNX Runtime as it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import scrfd
from tests.models.given import crowd, noise, opened, spec, weights
from tests.shared import shared

STRIDES = (8, 16, 32)


@pytest.fixture(scope="module")
def file() -> Path:
    return shared("models", "scrfd_500m_bnkps.onnx")


@pytest.fixture(scope="module")
def network(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return opened(scrfd.build({file.name: file}, spec("scrfd"))["scrfd"], tmp_path_factory.mktemp("scrfd"))


def original_at(file: Path, height: int, width: int) -> onnxruntime.InferenceSession:
    """The file, its two feature map sizes made those of another picture size."""
    model = onnx.load(file)
    for node, stride in zip([node for node in model.graph.node if node.op_type == "Resize"], (16, 8), strict=True):
        size = np.array([1, 16, height // stride, width // stride], np.int64)
        next(item for item in model.graph.initializer if item.name == node.input[3]).CopyFrom(
            numpy_helper.from_array(size, node.input[3])
        )
    del model.graph.value_info[:]
    sides = model.graph.input[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = height, width
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "anchors"
    return onnxruntime.InferenceSession(model.SerializeToString())


@pytest.mark.parametrize(("height", "width"), [(640, 640), (256, 416)])
@pytest.mark.parametrize("real", [True, False])
def test_agrees_with_the_original(file: Path, network: Backend, height: int, width: int, real: bool) -> None:
    picture = crowd(height, width) if real else noise(height, width, 3)
    original = original_at(file, height, width)
    names = [item.name for item in original.get_outputs()]
    blob = cv2.dnn.blobFromImage(picture, 1 / 128, (width, height), (127.5, 127.5, 127.5), swapRB=True)
    expected = dict(zip(names, original.run(None, {original.get_inputs()[0].name: blob}), strict=True))
    found = network.run({"images": picture[None]})
    if real:
        assert found["scores"].max() > 0.5
    for mine, theirs in {"scores": "score", "boxes": "bbox", "points": "kps"}.items():
        whole = np.concatenate([expected[f"{theirs}_{stride}"] for stride in STRIDES], axis=1)
        np.testing.assert_allclose(found[mine], whole.reshape(found[mine].shape), atol=1e-4)


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelBroken, match="not the SCRFD"):
        scrfd.build(weights("yunet"), spec("scrfd"))
