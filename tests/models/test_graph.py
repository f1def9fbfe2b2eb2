"""What graphs are built of, against ONNX Runtime's own operators and plain arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rtface.models.graph import GraphBuilder, fold_batch_norm, fold_input, kernel_in_rows
from rtface.models.onnx_reader import dequantise
from tests.models.given import noise, opened

Floats = NDArray[np.float32]


def operator(op: str, inputs: dict[str, NDArray[np.generic]], *, opset: int = 21, **attributes: Any) -> Floats:
    """One operator of ONNX Runtime on these inputs."""
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int8): TensorProto.INT8}
    values = [helper.make_tensor_value_info(name, kinds[item.dtype], item.shape) for name, item in inputs.items()]
    node = helper.make_node(op, list(inputs), ["y"], **attributes)
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    found: Floats = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    return found


def drawn(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("steepest", [0.9, 1.4])
def test_prelu_agrees_with_the_operator_for_slopes_of_any_sign(steepest: float, tmp_path: Path) -> None:
    builder = GraphBuilder("bend")
    slope = np.array([-0.6, 0.0, 0.25, 1.0, steepest], np.float32).reshape(-1, 1, 1)
    weight = drawn(5, 3, 1, 1)
    made = builder.conv(builder.pictures("images", "H", "W", subtract=127.5), "mix", weight, np.zeros(5))
    builder.output(builder.prelu(made, "bent", slope), ("N", 5, "H", "W"))
    pictures = noise(2, 9, 7, 3)
    mixed = np.einsum("oi,nhwi->nohw", weight[:, :, 0, 0], pictures.astype(np.float32) - 127.5)
    expected = operator("PRelu", {"x": mixed.astype(np.float32), "slope": slope})
    found = opened(builder.model(), tmp_path).run({"images": pictures})["bent"]
    assert (mixed < 0).any()
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 7)])
def test_pictures_in_rows_give_a_first_convolution_what_sorted_ones_do(height: int, width: int, tmp_path: Path) -> None:
    weight, bias, pictures = drawn(4, 3, 3, 3), drawn(4), noise(2, height, width, 3)
    found = []
    for rows in (False, True):
        builder = GraphBuilder("first")
        if rows:
            images = builder.pictures_in_rows("images", "H", "W")
            made = builder.conv(images, "y", kernel_in_rows(weight), bias, stride=(2, 6), pads=(1, 3, 1, 3))
        else:
            made = builder.conv(builder.pictures("images", "H", "W"), "y", weight, bias, stride=2, pads=(1, 1, 1, 1))
        builder.output(made, ("N", 4, "h", "w"))
        found.append(opened(builder.model(), tmp_path).run({"images": pictures})["y"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-2)


def test_folded_batch_norm_agrees_with_the_operator() -> None:
    x, weight, bias = drawn(4, 6), drawn(5, 6), drawn(5)
    gamma, beta, mean, variance = drawn(5), drawn(1, 5)[0], drawn(2, 5)[0], np.abs(drawn(3, 5)[0]) + 0.1
    plain = x @ weight.T + bias
    parts = {"x": plain, "gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    expected = operator("BatchNormalization", parts, epsilon=1e-3)
    folded, shift = fold_batch_norm(weight, bias, (gamma, beta, mean, variance), 1e-3)
    np.testing.assert_allclose(x @ folded.T + shift, expected, atol=1e-5)


def test_folded_input_takes_raw_pictures_of_the_other_colour_order() -> None:
    weight, bias = drawn(4, 3, 3, 3), drawn(4)
    raw = noise(1, 8, 8, 3).astype(np.float32).transpose(0, 3, 1, 2)
    expected = operator("Conv", {"x": (raw[:, ::-1].copy() - 127.5) / 128, "w": weight, "b": bias})
    folded, shift = fold_input(weight, bias, mean=127.5, scale=1 / 128, swap=True)
    np.testing.assert_allclose(operator("Conv", {"x": raw, "w": folded, "b": shift}), expected, atol=1e-4)


@pytest.mark.parametrize(("axis", "block", "blocks"), [(1, 4, (6, 3)), (0, 2, (3, 12)), (1, 0, (12,)), (0, 0, (6,))])
def test_dequantised_weights_agree_with_the_operator(axis: int, block: int, blocks: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-128, 128, (6, 12)).astype(np.int8)
    zero = rng.integers(-9, 9, blocks).astype(np.int8)
    scale = rng.uniform(0.01, 1, blocks).astype(np.float32)
    parts: dict[str, NDArray[Any]] = {"x": values, "scale": scale, "zero": zero}
    expected = operator("DequantizeLinear", parts, axis=axis, block_size=block)
    np.testing.assert_allclose(dequantise(values, scale, zero, axis, block), expected, rtol=1e-6)


def test_row_of_zeros_stays_finite(tmp_path: Path) -> None:
    builder = GraphBuilder("unit")
    flat = builder.node("Flatten", [builder.pictures("faces", 2, 2)], "flat", axis=1)
    builder.output(builder.unit_rows(flat, "rows"), ("N", 12))
    pictures = np.concatenate([np.zeros((1, 2, 2, 3), np.uint8), noise(1, 2, 2, 3)])
    found = opened(builder.model(), tmp_path).run({"faces": pictures})["rows"]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [0, 1], atol=1e-6)


def test_cells_go_row_by_row_with_a_cells_anchors_side_by_side(tmp_path: Path) -> None:
    builder = GraphBuilder("grid")
    weight = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]].reshape(6, 3, 1, 1)  # two anchors a cell, both the colour
    made = builder.conv(builder.pictures("images", "H", "W"), "copy", weight, np.zeros(6))
    builder.output(builder.cells(made, "rows", 3), ("N", "A", 3))
    picture = noise(1, 2, 5, 3)
    found = opened(builder.model(), tmp_path).run({"images": picture})["rows"]
    np.testing.assert_array_equal(found, np.repeat(picture.reshape(1, 10, 3), 2, axis=1))
