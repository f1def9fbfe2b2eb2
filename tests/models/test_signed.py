"""Networks in signed bytes: grids without an offset, layers between first and last, and how far FaceNet moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from rtface.errors import ModelBroken
from rtface.models import facenet
from rtface.models.signed import KEPT, LIMIT, measured, on_grid, quantize_signed, signed_scale, signed_weights
from tests.models.emulation import EmulatedBackend
from tests.models.given import faces, noise, opened, spec, weights
from tests.models.test_quantize import RANGES, network

SIGNED = {name: RANGES[name] for name in measured(network())}


@given(low=st.floats(-100, 0), high=st.floats(1e-3, 100))
def test_scale_is_a_number_of_float16_that_holds_what_is_kept(low: float, high: float) -> None:
    scale = signed_scale(low, high)
    assert np.float16(scale) == scale
    assert float(scale) * LIMIT >= KEPT * max(-low, high) * (1 - 1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 10))
@settings(max_examples=25, deadline=None)
def test_weights_are_a_step_off_at_most_and_symmetric(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.normal(size=(3, 4, 2, 2)) * spread * np.array([1, 0.01, 30]).reshape(3, 1, 1, 1)).astype(np.float32)
    whole, steps = signed_weights(weight)
    assert whole.dtype == np.int8
    assert whole.min() >= -LIMIT
    np.testing.assert_array_equal(steps.astype(np.float16).astype(np.float32), steps)
    errors = whole - weight.astype(np.float64) / steps.astype(np.float64).reshape(3, 1, 1, 1)
    assert np.abs(errors).max() < 1.0001
    assert np.abs(errors.sum(axis=(2, 3))).max() < 0.5001


def test_layers_between_the_first_and_the_last_read_bytes() -> None:
    model = quantize_signed(network(), SIGNED)
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    reads = {node.name: makers.get(node.input[0]) for node in model.graph.node if node.op_type in ("Conv", "Gemm")}
    assert reads["first"] != "DequantizeLinear"
    assert reads["branch"] == reads["up"] == "DequantizeLinear"
    assert reads["end"] != "DequantizeLinear"
    assert on_grid(network().graph) == ["pool", "both"]


def test_zero_points_are_zero_and_bytes_are_signed() -> None:
    model = quantize_signed(network(), SIGNED)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    rounding = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(rounding) >= 6
    for node in rounding:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()


def test_all_but_the_bytes_is_float16() -> None:
    model = quantize_signed(network(), SIGNED)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.value_info
    found = {item.name: item.type.tensor_type.elem_type for item in inferred}
    layers = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    assert layers
    assert {found[name] for name in layers} == {TensorProto.FLOAT16}


def test_small_network_agrees_with_its_float_self(tmp_path: Path) -> None:
    pictures = noise(20, 12, 12, 3)
    exact = opened(network(), tmp_path).run({"faces": pictures})["embeddings"]
    near = EmulatedBackend(quantize_signed(network(), SIGNED)).run({"faces": pictures})["embeddings"]
    assert (exact * near).sum(axis=1).min() > 0.99


def test_missing_ranges_are_told() -> None:
    with pytest.raises(ModelBroken, match=r"2 of 2 are missing.*calibration\.py"):
        quantize_signed(network(), {})


@pytest.mark.parametrize("name", ["facenet", "yunet", "mtcnn", "scrfd"])
def test_shipped_ranges_are_those_the_forms_want(name: str) -> None:
    shipped = spec(name)
    assert shipped.ranges
    assert all(low <= 0 < high for low, high in shipped.ranges.values())


def test_facenet_stays_within_two_thousandths(tmp_path: Path) -> None:
    model = facenet.build(weights("facenet"), spec("facenet"))["facenet"]
    exact = opened(model, tmp_path).run({"faces": faces(8, 160)})["embeddings"]
    near = EmulatedBackend(quantize_signed(model, spec("facenet").ranges)).run({"faces": faces(8, 160)})["embeddings"]
    assert (exact * near).sum(axis=1).min() > 0.997
