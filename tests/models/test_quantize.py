"""Networks in whole numbers: what the grids hold, what processors add up, and how far FaceNet moves."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from rtface.backends import onnxruntime
from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import facenet
from rtface.models.graph import GraphBuilder
from rtface.models.quantize import WEIGHT_LIMIT, measured, quantize, round_rows, unsigned_grid, weight_grid
from tests.models.given import faces, noise, opened, spec, weights

SIDE, CHANNELS = 12, 8
RANGES = {"first/relu": (0.0, 7.9), "branch/relu": (0.0, 6.6), "up": (-9.6, 5.0), "sum/relu": (0.0, 12.4)}
"""Of ``network()`` on 50 pictures of noise."""


def network() -> onnx.ModelProto:
    """A residual block after a first convolution, flattened: every operator FaceNet has."""
    rng = np.random.default_rng(3)

    def layer(out: int, depth: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values = rng.normal(size=(out, depth, side, side)) / np.sqrt(depth * side * side)
        return values.astype(np.float32), rng.normal(0, 0.1, out).astype(np.float32)

    builder = GraphBuilder("small")
    x = builder.pictures("faces", SIDE, SIDE)
    weight, bias = layer(CHANNELS, 3, 3)
    x = builder.relu(builder.conv(x, "first", weight / 64, bias, stride=2), "first/relu")
    x = builder.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[1, 1])
    branch = builder.relu(builder.conv(x, "branch", *layer(4, CHANNELS, 3), pads=(1, 1, 1, 1)), "branch/relu")
    up = builder.conv(builder.node("Concat", [x, branch], "both", axis=1), "up", *layer(CHANNELS, CHANNELS + 4, 1))
    x = builder.relu(builder.node("Add", [x, up], "sum"), "sum/relu")
    flat = builder.node("Flatten", [x], "flat", axis=1)
    dense = rng.normal(size=(5, CHANNELS * 16)).astype(np.float32)
    builder.output(builder.unit_rows(builder.dense(flat, "end", dense, np.zeros(5)), "embeddings"), ("N", 5))
    return builder.model()


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


@given(low=st.floats(-100, 0), high=st.floats(1e-3, 100))
def test_grid_holds_its_range_and_nothing_exactly(low: float, high: float) -> None:
    scale, zero = unsigned_grid(low, high)
    step = float(scale)
    assert (0 - float(zero)) * step <= low + step * 0.501
    assert (255 - float(zero)) * step >= high - step * 0.501
    if low == 0:
        assert zero == 0  # so that a Relu is nothing but the lower end of the bytes


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 10))
@settings(max_examples=25, deadline=None)
def test_weights_are_a_step_off_at_most_and_kernels_keep_their_sums(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.normal(size=(3, 4, 2, 2)) * spread * np.array([1, 0.01, 30]).reshape(3, 1, 1, 1)).astype(np.float32)
    whole, scales, _ = weight_grid(weight, np.zeros(3, np.float32), 0.02)
    assert np.abs(whole.astype(int)).max() <= WEIGHT_LIMIT
    for channel, row, unit in zip(weight.astype(np.float64), whole, scales.astype(np.float64), strict=True):
        errors = row - channel / unit
        assert np.abs(errors).max() < 1.0001
        assert np.abs(errors.sum(axis=(1, 2))).max() < 0.5001


def best_rounding(row: NDArray[np.float64]) -> float:
    """Least squared error of all ways up or down that keep the row's sum to less than half a unit; none is infinity."""
    errors = []
    for ends in itertools.product((0, 1), repeat=len(row)):
        candidate = np.floor(row) + ends
        if abs((candidate - row).sum()) < 0.5 - 1e-9:
            errors.append(float(((candidate - row) ** 2).sum()))
    return min(errors, default=float("inf"))


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_rounding_together_is_the_best_there_is(row: list[float]) -> None:
    values = np.array(row)
    rounded = round_rows(values[None])[0]
    assert abs((rounded - values).sum()) <= 0.5 + 1e-9
    assert ((rounded - values) ** 2).sum() <= best_rounding(values) + 1e-9


def test_bias_is_kept_to_half_a_step_of_the_sum() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    bias = np.array([0, -3.5, 100, 1e-5], np.float32)
    _, scales, whole = weight_grid(weight, bias, 0.05)
    np.testing.assert_allclose(whole * scales.astype(np.float64) * 0.05, bias, atol=float(scales.max()) * 0.0251)


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_channel_of_next_to_nothing_keeps_its_bias(size: float) -> None:
    bias = np.array([0.75, -2.0], np.float32)
    _, scales, whole = weight_grid(np.full((2, 9), size, np.float32), bias, 0.01)
    np.testing.assert_allclose(whole * scales.astype(np.float64) * 0.01, bias, rtol=1e-2)


def test_no_pair_of_products_leaves_16_bits() -> None:
    extremes = itertools.product((0, 255), (-WEIGHT_LIMIT, WEIGHT_LIMIT), (0, 255), (-WEIGHT_LIMIT, WEIGHT_LIMIT))
    sums = [a * b + c * d for a, b, c, d in extremes]
    assert np.iinfo(np.int16).min <= min(sums)
    assert max(sums) <= np.iinfo(np.int16).max


def test_every_weight_of_a_graph_is_within_the_limit() -> None:
    found = constants(quantize(network(), RANGES))
    kinds = [values for name, values in found.items() if name.endswith("weight/whole")]
    assert len(kinds) == 3
    assert all(values.dtype == np.int8 for values in kinds)
    assert max(int(np.abs(values.astype(int)).max()) for values in kinds) == WEIGHT_LIMIT


def test_small_network_agrees_with_its_float_self(tmp_path: Path) -> None:
    pictures = noise(5, SIDE, SIDE, 3)
    exact = opened(network(), tmp_path).run({"faces": pictures})["embeddings"]
    found = opened(quantize(network(), RANGES), tmp_path).run({"faces": pictures})["embeddings"]
    assert (exact * found).sum(axis=1).min() > 0.99
    assert np.abs(exact - found).max() > 1e-6  # it is not the float graph


def test_whole_numbers_are_computed_as_numpy_would(tmp_path: Path) -> None:
    """One convolution of pictures, its result read before it is scaled: sum of integers, one rounding."""
    rng = np.random.default_rng(5)
    weight, bias = rng.normal(size=(4, 3, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    builder = GraphBuilder("one")
    made = builder.relu(builder.conv(builder.pictures("faces", 3, 3), "conv", weight, bias), "relu")
    builder.output(builder.node("Flatten", [made], "embeddings", axis=1), ("N", 4))
    pictures = noise(50, 3, 3, 3)
    found = opened(quantize(builder.model(), {"relu": (0.0, 500.0)}), tmp_path).run({"faces": pictures})["embeddings"]

    whole, scales, offset = weight_grid(weight, bias, 1.0)
    planes = pictures.transpose(0, 3, 1, 2).reshape(50, -1).astype(np.int64)
    sums = planes @ whole.reshape(4, -1).T.astype(np.int64) + offset
    step = 500 / 255
    expected = np.clip(np.rint(sums * scales.astype(np.float64) / step), 0, 255) * step
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_tensors_that_meet_in_a_concatenation_share_a_grid() -> None:
    found = constants(quantize(network(), RANGES))
    together = [float(found[f"{name}/scale"]) for name in ("first/relu", "pool", "branch/relu", "both")]
    assert together == [pytest.approx(7.9 / 255)] * 4


def test_nothing_between_the_convolutions_is_left_in_float(tmp_path: Path) -> None:
    """What ONNX Runtime makes of it: one step back to float, behind the last sum, none before."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(quantize(network(), RANGES).SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == 3
    assert kinds.count("DequantizeLinear") == 1
    assert not {"Conv", "FusedConv", "Add", "Concat", "Relu", "QuantizeLinear"} & set(kinds)


def test_ranges_that_do_not_fit_the_graph_are_named() -> None:
    with pytest.raises(ModelBroken, match=r"1 of 4 are missing.*'up'"):
        quantize(network(), {name: value for name, value in RANGES.items() if name != "up"})
    with pytest.raises(ModelBroken, match=r"1 are of no tensor.*'elsewhere'"):
        quantize(network(), {**RANGES, "elsewhere": (0.0, 1.0)})


def test_network_that_changes_its_pictures_first_is_refused() -> None:
    builder = GraphBuilder("centred")
    x = builder.pictures("faces", 4, 4, subtract=127.5)
    builder.output(builder.conv(x, "conv", np.ones((1, 3, 1, 1)), np.zeros(1)), ("N", 1, 4, 4))
    with pytest.raises(ModelBroken, match="centred"):
        quantize(builder.model(), {"conv": (0.0, 1.0)})


@cache
def facenets() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """In float and in whole numbers."""
    exact = facenet.build(weights("facenet"), spec("facenet"))["facenet"]
    return exact, quantize(exact, spec("facenet").ranges)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backend, Backend]:
    exact, small = facenets()
    return opened(exact, tmp_path_factory.mktemp("fp32")), opened(small, tmp_path_factory.mktemp("int8"))


def test_shipped_ranges_are_of_every_tensor_of_facenet() -> None:
    assert measured(facenets()[0]) == list(spec("facenet").ranges)


def test_facenet_hardly_moves_on_real_faces(engines: tuple[Backend, Backend]) -> None:
    """A cosine of 0.997 is a distance of 0.006, where strangers begin at 0.6."""
    exact, small = (engine.run({"faces": faces(9, 160)})["embeddings"] for engine in engines)
    assert small.shape == (9, 512)
    assert (exact * small).sum(axis=1).min() > 0.997


def test_a_face_alone_is_as_in_a_batch(engines: tuple[Backend, Backend]) -> None:
    pictures, small = faces(9, 160), engines[1]
    together = small.run({"faces": pictures})["embeddings"]
    alone = np.concatenate([small.run({"faces": pictures[[row]]})["embeddings"] for row in range(9)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_nobody_in_is_nobody_out(engines: tuple[Backend, Backend]) -> None:
    empty = np.empty((0, 160, 160, 3), np.uint8)
    assert engines[1].run({"faces": empty})["embeddings"].shape == (0, 512)


def test_int8_facenet_is_under_a_third_of_the_size() -> None:
    exact, small = facenets()
    assert small.ByteSize() < exact.ByteSize() / 3


def test_graph_of_whole_numbers_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (quantize(network(), RANGES).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    (tmp_path / "graph.onnx").write_bytes(first)
    onnxruntime.open(tmp_path / "graph.onnx").close()
