"""A network in signed bytes and float16: the same graph and weights, in the form that TensorRT makes 8-bit kernels of.

What goes into a convolution or a dense layer is rounded to a grid of -127..127 with 0 in its middle, weights to a grid
an output channel; QuantizeLinear and DequantizeLinear say so around the operators, and all else is float16. Biases and
results of layers are not rounded to bytes, so that TensorRT rounds once, behind the bend or the sum that it joins to a
layer. The first layer reads pictures, whose bytes go to 255, and the last ones decide: both stay in float16.

Sources: NVIDIA, "Working with Quantized Types" of the TensorRT documentation, for where the rounding stands; Wu et al.
2020, "Integer quantization for deep learning inference", section 3, for grids without an offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from rtface.errors import ModelBroken
from rtface.models.half import behind_weights, halve
from rtface.models.quantize import ONE_GRID, Range, joined_ranges, round_rows

OPSET, IR_VERSION = 19, 9
"""The first in which a grid's scale may be float16."""
LIMIT = 127
KEPT = 0.9
"""Part of a range that the grid holds. Ranges are chosen for the 256 levels of the form for CPUs; behind a bend half as
many are left here, which lose least on a tighter grid. FaceNet's worst cosine to its float self on 95 faces is 0.9982
with this, 0.9976 with 1, 0.9980 with 0.8 and 0.9964 with 0.7."""
_ROUNDED = ("Conv", "Gemm")


def measured(model: onnx.ModelProto) -> list[str]:
    """The tensors whose ranges ``quantize_signed`` wants, in the graph's order."""
    maker = {node.output[0]: node for node in model.graph.node}
    wanted = set(on_grid(model.graph))
    for node in reversed(model.graph.node):
        if node.op_type in ONE_GRID and node.output[0] in wanted:
            wanted.update(node.input)
    return [name for name in maker if name in wanted and maker[name].op_type not in ONE_GRID]


def quantize_signed(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """The graph with its layers between the first and the last in signed bytes; inputs and outputs unchanged.

    Args:
        model: in float32, of opset 19 at most.
        ranges: of the tensors that ``measured`` names; those of others, which the form for CPUs wants, are not used.

    Raises:
        ModelBroken: ranges are missing, or a weight is beyond float16.
    """
    wanted = measured(model)
    missing = [name for name in wanted if name not in ranges]
    if missing:
        raise ModelBroken(
            f"The ranges of {model.graph.name} do not fit its graph: {len(missing)} of {len(wanted)} are missing, such "
            f"as {missing[0]!r}. Take the ranges that came with this version of rtface, or measure them "
            "(tests/benchmarks/calibration.py)."
        )
    newer = version_converter.convert_version(model, OPSET)
    newer.ir_version = IR_VERSION
    return halve(_Quantizer(newer, ranges).rebuild())


def signed_scale(low: float, high: float) -> np.float32:
    """The step of a grid of -127..127 that holds ``KEPT`` of low..high; a number of float16."""
    return np.float32(_half_above(np.array([KEPT * max(-low, high) / LIMIT]))[0])


def signed_weights(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A layer's weights (O, ...) on a grid an output channel, and the steps (O,), numbers of float16."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1)
    steps = _half_above(np.where(largest > 0, largest / LIMIT, 1.0))
    exact = (rows / steps[:, None]).reshape(weight.shape)
    # As for CPUs: neighbouring pixels are alike, so that a kernel's errors should cancel.
    together = weight[0, 0].size if weight.ndim > 2 and weight[0, 0].size > 1 else weight[0].size
    whole = round_rows(exact.reshape(-1, together), limit=LIMIT).reshape(weight.shape)
    return whole.astype(np.int8), steps.astype(np.float32)


def _half_above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The next numbers of float16 that are not below: a grid rounded down would cut off what it was made for."""
    near = values.astype(np.float16)
    return np.where(near < values, np.nextafter(near, np.float16(np.inf)), near).astype(np.float64)


def on_grid(graph: onnx.GraphProto) -> list[str]:
    """The tensors that become bytes: what goes into the layers between the first and the last, in the graph's order."""
    constants = {item.name for item in graph.initializer}
    behind = behind_weights(graph.node)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    raw = {item.name for item in graph.input}
    found: dict[str, None] = {}
    for node in graph.node:
        if node.op_type in _ROUNDED:
            last = all(reader.output[0] in behind for reader in readers.get(node.output[0], ()))
            if node.input[0] not in raw and not last and _by_channel(node, constants):
                found[node.input[0]] = None
        elif raw.union(constants).issuperset(node.input):
            raw.update(node.output)
    return list(found)


def _by_channel(node: onnx.NodeProto, constants: set[str]) -> bool:
    """Whether the weights are constant and the output channels are their first axis."""
    across = any(part.name == "transB" and part.i == 1 for part in node.attribute)
    return node.input[1] in constants and (node.op_type == "Conv" or across)


class _Quantizer:
    """Copies a graph in float32 node by node. ``T/bytes`` is a tensor T on its grid, ``T/grid`` what it stands for."""

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, Range]) -> None:
        self._model = model
        self._graph = model.graph
        self._on_grid = on_grid(model.graph)
        self._ranges = joined_ranges(model.graph.node, self._on_grid, ranges)
        self._constants = {item.name: item for item in model.graph.initializer}
        self._nodes: list[onnx.NodeProto] = []

    def rebuild(self) -> onnx.ModelProto:
        for node in self._graph.node:
            self._copy(node)
        return self._finish()

    def _finish(self) -> onnx.ModelProto:
        graph = self._graph
        used = {name for node in self._nodes for name in node.input}
        constants = [item for name, item in self._constants.items() if name in used]
        made = helper.make_graph(self._nodes, graph.name, graph.input, graph.output, constants)
        model = helper.make_model(made, opset_imports=self._model.opset_import, producer_name="rtface")
        model.ir_version = self._model.ir_version
        return model

    def _copy(self, node: onnx.NodeProto) -> None:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        del copied.input[:]
        copied.input.extend(f"{name}/grid" if name in self._ranges else name for name in node.input)
        if node.op_type in _ROUNDED and node.input[0] in self._on_grid:
            copied.input[1] = self._weights(node.input[1])
        self._nodes.append(copied)
        for name in node.output:
            if name in self._ranges:
                step = self._grid(name, np.asarray(signed_scale(*self._ranges[name])))
                self._node("QuantizeLinear", [name, *step], f"{name}/bytes")
                self._node("DequantizeLinear", [f"{name}/bytes", *step], f"{name}/grid")

    def _weights(self, name: str) -> str:
        whole, steps = signed_weights(numpy_helper.to_array(self._constants[name]))
        inputs = [self._constant(f"{name}/bytes", whole), *self._grid(name, steps)]
        return self._node("DequantizeLinear", inputs, f"{name}/grid", axis=0)

    def _grid(self, name: str, step: NDArray[np.float32]) -> list[str]:
        zero = np.zeros(step.shape, np.int8)
        return [self._constant(f"{name}/step", step), self._constant(f"{name}/zero", zero)]

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def _node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name
