"""Networks in float16: what goes where, what stays in float32, and how far the models of ours move."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtface.errors import ModelBroken
from rtface.models import facenet
from rtface.models.half import behind_weights, halve
from tests.models.emulation import EmulatedBackend
from tests.models.given import faces, noise, opened, spec, weights
from tests.models.test_quantize import network


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {item.name: item.type.tensor_type.elem_type for item in (*inferred.value_info, *inferred.output)}


def made_by(model: onnx.ModelProto, *operators: str) -> list[str]:
    return [node.output[0] for node in model.graph.node if node.op_type in operators]


def test_layers_are_in_float16_and_the_norm_behind_them_in_float32() -> None:
    model = halve(network())
    found = types(model)
    assert {found[name] for name in made_by(model, "Conv", "Gemm", "MatMul")} == {TensorProto.FLOAT16}
    behind = behind_weights(network().graph.node)
    assert behind, "the norm is made of something"
    assert {found[name] for name in behind if name in found} == {TensorProto.FLOAT}


def test_inputs_and_outputs_are_what_they_were() -> None:
    before, after = network().graph, halve(network()).graph
    assert list(before.input) == list(after.input)
    assert list(before.output) == list(after.output)


def test_every_large_constant_is_halved() -> None:
    large = [item for item in halve(network()).graph.initializer if np.prod(item.dims) > 16]
    assert large
    assert {item.data_type for item in large} == {TensorProto.FLOAT16}


def test_a_tensor_is_cast_once_however_many_read_it() -> None:
    casts = [(node.input[0], node.attribute[0].i) for node in halve(network()).graph.node if node.op_type == "Cast"]
    assert max(Counter(casts).values()) == 1


def test_results_move_by_no_more_than_float16_rounds(tmp_path: Path) -> None:
    pictures = noise(9, 12, 12, 3)
    exact = opened(network(), tmp_path).run({"faces": pictures})["embeddings"]
    near = EmulatedBackend(halve(network())).run({"faces": pictures})["embeddings"]
    assert np.abs(near - exact).max() < 4e-3
    assert np.abs(near - exact).max() > 1e-6, "something was rounded"


def one_layer(weight: NDArray[np.float32]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", len(weight)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_weight_beyond_float16_is_named() -> None:
    with pytest.raises(ModelBroken, match=r"one cannot be had in float16: weight goes to 7e\+04.*precision=fp32"):
        halve(one_layer(np.array([[7e4]], np.float32)))


def test_emulation_rounds_as_numpy_does() -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(7, 3)).astype(np.float32)
    x = rng.normal(size=(4, 7)).astype(np.float32)
    half = x.astype(np.float16).astype(np.float32) @ weight.astype(np.float16).astype(np.float32)
    computed = EmulatedBackend(halve(one_layer(weight))).run({"x": x})["y"]
    np.testing.assert_array_equal(computed, half.astype(np.float16).astype(np.float32))


def test_facenet_moves_by_less_than_a_thousandth(tmp_path: Path) -> None:
    model = facenet.build(weights("facenet"), spec("facenet"))["facenet"]
    exact = opened(model, tmp_path).run({"faces": faces(8, 160)})["embeddings"]
    near = EmulatedBackend(halve(model)).run({"faces": faces(8, 160)})["embeddings"]
    assert (exact * near).sum(axis=1).min() > 0.9999
