"""A network in 8 bits: the same graph and weights, its convolutions in whole numbers.

Activations are bytes without sign on a grid a tensor, weights signed numbers on a grid an output channel, written as
QuantizeLinear and DequantizeLinear around the float operators, which ONNX Runtime fuses into integer ones. Only ranges
of activations are needed for it, which models.toml brings; no picture.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", sections 2.1 to 2.4; Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference",
section 3, for a grid an output channel; Guo et al. 2022, "SQuant: On-the-Fly Data-Free Quantization via Diagonal
Hessian Approximation", for rounding weights together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtface.errors import ModelBroken

Range = tuple[float, float]
"""Lowest and highest value of a tensor that its grid holds; 0 is always between them."""

LEVELS = 255
WEIGHT_LIMIT = 64
"""Largest weight on its grid: 7 bits with a sign.

Processors without VNNI multiply bytes by pairs and add each pair into 16 bits, which stop at 32,767: 2 * 255 * 64 fits,
8 bits do not. There FaceNet with weights to 127 fell to a cosine of 0.89 to its float self (AVX2, ONNX Runtime 1.32);
with these it gives the same numbers on either kind.
"""
LARGEST_BIAS = 2**30
"""On its grid of 32 bits; leaves as much again for the sum it is added to."""

_IN_BYTES = ("Conv", "Relu", "Add", "Concat", "MaxPool")
ONE_GRID = ("Concat", "Flatten", "MaxPool")
"""Operators whose inputs and output share a grid: bytes are then copied or compared as they are."""


def measured(model: onnx.ModelProto) -> list[str]:
    """The tensors whose ranges ``quantize`` wants, in the graph's order."""
    plan = _Plan(model.graph)
    return [name for name in plan.on_grid if plan.maker[name].op_type not in ONE_GRID]


def quantize(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """The graph with its convolutions, sums and maxima in whole numbers; what follows them stays float32.

    Args:
        model: from the ``GraphBuilder``, pictures going unchanged into the first convolution.
        ranges: of exactly the tensors that ``measured`` names.

    Raises:
        ModelBroken: ranges are missing, or are of tensors that the graph has not.
    """
    wanted = measured(model)
    missing, strange = sorted(set(wanted) - set(ranges)), sorted(set(ranges) - set(wanted))
    if missing or strange:
        raise ModelBroken(
            f"The ranges of {model.graph.name} do not fit its graph: {len(missing)} of {len(wanted)} are missing and "
            f"{len(strange)} are of no tensor of it, such as {(missing + strange)[0]!r}. Take the ranges that came "
            "with this version of rtface, or measure them (tests/benchmarks/calibration.py)."
        )
    return _Quantizer(model, _grids(_Plan(model.graph), ranges)).rebuild()


def unsigned_grid(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of bytes that hold low..high, with 0 exactly on the grid: what suits a CPU."""
    scale = np.float32((max(high, 0.0) - min(low, 0.0)) / LEVELS)
    return scale, np.uint8(round(-min(low, 0.0) / float(scale)))


def weight_grid(
    weight: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """A convolution on its grids: weights within ``WEIGHT_LIMIT``, scales (O,), bias in units of both scales.

    Args:
        weight: (O, ...).
        bias: (O,).
        input_scale: of the activations that come in.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1).astype(np.float64)
    # A channel of tiny weights keeps a bias that 32 bits can hold.
    scale = np.maximum(largest / WEIGHT_LIMIT, np.abs(bias) / (LARGEST_BIAS * input_scale))
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    exact = weight.astype(np.float64) / scale.reshape(-1, *(1,) * (weight.ndim - 1))
    # Neighbouring pixels are alike, so a kernel's errors should cancel; where it is one weight, its channel's do.
    together = weight[0, 0].size if weight.ndim > 2 and weight[0, 0].size > 1 else weight[0].size
    whole = round_rows(exact.reshape(-1, together)).reshape(weight.shape).astype(np.int8)
    return whole, scale, np.rint(bias / (scale.astype(np.float64) * input_scale)).astype(np.int32)


def round_rows(values: NDArray[np.float64], *, limit: int = WEIGHT_LIMIT) -> NDArray[np.float64]:
    """(R, K) numbers rounded up or down so that each row keeps its sum to half a unit, none beyond the limit.

    To the nearest first; then those of a row that were nearest to going the other way do so, as many as it takes.
    FaceNet's cosine to its float self rises by this from 0.9992 to 0.9996, as another bit would raise it.
    """
    rounded = np.rint(values)
    errors = rounded - values
    excess = np.rint(errors.sum(axis=1))
    rows = np.flatnonzero(excess)
    direction = np.sign(excess[rows])[:, None]
    order = np.argsort(-direction * errors[rows], axis=1, kind="stable")
    turned = np.arange(values.shape[1]) < np.abs(excess[rows])[:, None]
    moved = rounded[rows]
    np.put_along_axis(moved, order, np.take_along_axis(moved, order, axis=1) - direction * turned, axis=1)
    rounded[rows] = moved
    return np.clip(rounded, -limit, limit)


class _Plan:
    """Which tensors of a graph become bytes.

    Attributes:
        maker: each tensor's node.
        pictures: the float tensor that the uint8 pictures become.
        on_grid: tensors rounded to a grid, in the graph's order; what goes into a Relu alone is rounded behind it.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.maker = {node.output[0]: node for node in graph.node}
        self.pictures = _pictures(graph)
        constants = {item.name for item in graph.initializer}
        followers: dict[str, list[str]] = {}
        for node in graph.node:
            for name in node.input:
                followers.setdefault(name, []).append(node.op_type)
        in_bytes = {self.pictures}
        self.on_grid: list[str] = []
        for node in graph.node:
            data = [name for name in node.input if name not in constants]
            if node.op_type in _IN_BYTES and in_bytes.issuperset(data):
                in_bytes.add(node.output[0])
                if set(followers.get(node.output[0], ())) != {"Relu"}:
                    self.on_grid.append(node.output[0])


def _pictures(graph: onnx.GraphProto) -> str:
    """The tensor of ``GraphBuilder.pictures``: the input, cast and transposed and nothing else."""
    steps = [node.op_type for node in graph.node[:2]]
    if len(graph.input) != 1 or steps != ["Cast", "Transpose"] or graph.node[0].input[0] != graph.input[0].name:
        raise ModelBroken(f"{graph.name} does not begin with pictures as they are; such a graph is not quantised.")
    return str(graph.node[1].output[0])


def _grids(plan: _Plan, ranges: Mapping[str, Range]) -> dict[str, tuple[np.float32, np.uint8]]:
    """Each tensor's grid; those that meet in a concatenation share one."""
    shared = joined_ranges(plan.maker.values(), plan.on_grid, ranges)
    return {name: unsigned_grid(*found) for name, found in shared.items()}


def joined_ranges(
    nodes: Iterable[onnx.NodeProto], names: Iterable[str], ranges: Mapping[str, Range]
) -> dict[str, Range]:
    """The range of each tensor named; tensors that are copied or compared with one another have one together.

    Args:
        nodes: in the graph's order.
        names: tensors that are to have a grid.
        ranges: of all that is not made of others by an operator of ``ONE_GRID``.
    """
    wanted = list(names)
    groups: dict[str, list[str]] = {}
    for node in nodes:
        groups.setdefault(node.output[0], [node.output[0]])
        if node.op_type in ONE_GRID:
            joined = _unique(member for part in (*node.input, node.output[0]) for member in groups.get(part, [part]))
            groups.update(dict.fromkeys(joined, joined))
    found = {}
    for name in wanted:
        known = [ranges[member] for member in groups[name] if member in ranges]
        found[name] = min(low for low, _ in known), max(high for _, high in known)
    return found


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


class _Quantizer:
    """Copies a graph node by node. ``T/bytes`` is a tensor T on its grid, ``T/grid`` the float tensor it stands for."""

    def __init__(self, model: onnx.ModelProto, grids: Mapping[str, tuple[np.float32, np.uint8]]) -> None:
        self._model = model
        self._pictures = _pictures(model.graph)
        self._grids = {**grids, self._pictures: (np.float32(1), np.uint8(0))}
        self._floats = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def rebuild(self) -> onnx.ModelProto:
        graph = self._model.graph
        self._take_pictures(graph)
        for node in graph.node[2:]:
            self._copy(node)
        made = helper.make_graph(
            self._nodes, graph.name, list(graph.input), list(graph.output), list(self._constants.values())
        )
        model = helper.make_model(made, opset_imports=self._model.opset_import, producer_name="rtface")
        model.ir_version = self._model.ir_version
        onnx.checker.check_model(model)
        return model

    def _take_pictures(self, graph: onnx.GraphProto) -> None:
        """Pictures are bytes already, on the grid of scale 1."""
        perm = next(helper.get_attribute_value(part) for part in graph.node[1].attribute if part.name == "perm")
        self._node("Transpose", [graph.input[0].name], f"{self._pictures}/bytes", perm=perm)
        self._from_grid(self._pictures)

    def _copy(self, node: onnx.NodeProto) -> None:
        name = node.output[0]
        if node.op_type == "Conv" and node.input[0] in self._grids:
            inputs = self._convolution(*node.input)
        else:
            inputs = [f"{part}/grid" if part in self._grids else self._float(part) for part in node.input]
        attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
        self._node(node.op_type, inputs, name, **attributes)
        if name in self._grids:
            self._node("QuantizeLinear", [name, *self._grid(name)], f"{name}/bytes")
            self._from_grid(name)

    def _convolution(self, x: str, weight: str, bias: str) -> list[str]:
        scale = float(self._grids[x][0])
        whole, scales, offset = weight_grid(self._floats[weight], self._floats[bias], scale)
        self._whole(weight, whole, scales)
        self._whole(bias, offset, (scales.astype(np.float64) * scale).astype(np.float32))
        return [f"{x}/grid", f"{weight}/grid", f"{bias}/grid"]

    def _whole(self, name: str, values: NDArray[np.signedinteger[Any]], units: NDArray[np.float32]) -> None:
        """A constant in whole numbers, with the size of one for each output channel."""
        zero = self._constant(f"{name}/zero", np.zeros(len(units), values.dtype))
        inputs = [self._constant(f"{name}/whole", values), self._constant(f"{name}/scale", units), zero]
        self._node("DequantizeLinear", inputs, f"{name}/grid", axis=0)

    def _from_grid(self, name: str) -> None:
        self._node("DequantizeLinear", [f"{name}/bytes", *self._grid(name)], f"{name}/grid")

    def _grid(self, name: str) -> list[str]:
        scale, zero = self._grids[name]
        return [self._constant(f"{name}/scale", scale), self._constant(f"{name}/zero", zero)]

    def _float(self, name: str) -> str:
        if name in self._floats:
            self._constant(name, self._floats[name])
        return name

    def _constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
