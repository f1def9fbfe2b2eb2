"""Any ONNX embedder behind our input and output, against the same file run by itself, one face at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from rtface.errors import ModelBroken
from rtface.models import catalogue, onnx_embedder
from tests.models import own
from tests.models.given import noise, opened


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_agrees_with_the_network_itself_on_any_number_of_faces(tmp_path: Path, opset: int, colour: str) -> None:
    path = own.declare(tmp_path, own.network(opset=opset), colour=colour)
    spec = catalogue.load(tmp_path)["own"]
    faces = noise(5, own.SIZE, own.SIZE, 3)
    session = onnxruntime.InferenceSession(str(path))
    shown = faces[..., ::-1] if colour == "rgb" else faces
    rows = np.concatenate(
        [session.run(None, {"data": ((face - np.float32(127.5)) / 128).transpose(2, 0, 1)[None]})[0] for face in shown]
    )
    backend = opened(onnx_embedder.build({path.name: path}, spec)["own"], tmp_path)
    for count in (1, 5):
        found = backend.run({"faces": faces[:count]})["embeddings"]
        expected = rows[:count] / np.linalg.norm(rows[:count], axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_network_of_another_size_is_refused(tmp_path: Path) -> None:
    path = own.declare(tmp_path, own.network(height=12))
    with pytest.raises(ModelBroken, match=r"own.*\[1, 3, 12, 12\].*\(3, 8, 8\)"):
        onnx_embedder.build({path.name: path}, catalogue.load(tmp_path)["own"])


def test_network_of_two_outputs_is_refused(tmp_path: Path) -> None:
    model = own.network()
    model.graph.output.append(onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, None))
    path = own.declare(tmp_path, model)
    with pytest.raises(ModelBroken, match="cannot be the embedder own"):
        onnx_embedder.build({path.name: path}, catalogue.load(tmp_path)["own"])


def test_network_too_old_is_refused(tmp_path: Path) -> None:
    path = own.declare(tmp_path, own.network(opset=7))
    with pytest.raises(ModelBroken, match="opset 7"):
        onnx_embedder.build({path.name: path}, catalogue.load(tmp_path)["own"])
