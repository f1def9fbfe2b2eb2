"""Reading ONNX files that others made: their weights as plain arrays, their layers replayed into a clean graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtface.errors import ModelBroken
from rtface.models.graph import GraphBuilder, fold_batch_norm, fold_input

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Layer:
    """A node of the file with its attributes as Python values."""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, object]

    def numbers(self, key: str, default: Sequence[int]) -> list[int]:
        """An attribute that is a list of whole numbers."""
        value = self.attributes.get(key)
        return [int(item) for item in value] if isinstance(value, list) else list(default)

    def number(self, key: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(key)
        return float(value) if isinstance(value, int | float) else default


class Network:
    """An ONNX file as constants and the layers between them.

    Attributes:
        constants: every tensor that does not depend on the input, dequantised and reshaped.
        layers: those that do, by the tensor they make, in the file's order.
        inputs: names of the true inputs (some files list their weights there too).
        outputs: names.
    """

    def __init__(self, path: Path) -> None:
        graph = load(path).graph
        self.constants: dict[str, Array] = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        self.inputs = [item.name for item in graph.input if item.name not in self.constants]
        self.outputs = [item.name for item in graph.output]
        self.layers: dict[str, Layer] = {}
        for node in graph.node:
            attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            layer = Layer(node.name or node.output[0], node.op_type, tuple(node.input), node.output[0], attributes)
            value = self._constant(layer)
            if value is None:
                self.layers[layer.output] = layer
            else:
                self.constants[layer.output] = value

    def users(self, tensor: str) -> list[Layer]:
        """Layers that read a tensor."""
        return [layer for layer in self.layers.values() if tensor in layer.inputs]

    def floats(self, name: str) -> NDArray[np.float32]:
        """A constant as float32."""
        return np.asarray(self.constants[name], np.float32)

    def _constant(self, layer: Layer) -> Array | None:
        """What a layer of nothing but constants makes; None for all others."""
        if layer.op == "Constant":
            value = layer.attributes.get("value")
            return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else None
        if not layer.inputs or not all(name in self.constants for name in layer.inputs):
            return None
        given = [self.constants[name] for name in layer.inputs]
        if layer.op == "DequantizeLinear":
            axis, block = int(layer.number("axis", 1)), int(layer.number("block_size", 0))
            return dequantise(given[0], given[1], given[2] if len(given) > 2 else None, axis, block)
        if layer.op == "Reshape":
            return given[0].reshape([int(side) for side in given[1]])
        return None


def load(path: Path) -> onnx.ModelProto:
    """An ONNX file.

    Raises:
        ModelBroken: it is not one.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf has a class of its own for what it cannot decode
        raise ModelBroken(f"{path} is not a readable ONNX file: {error}") from error
    if not model.graph.node:
        raise ModelBroken(f"{path} is an ONNX file without any layer.")
    return model


def dequantise(values: Array, scale: Array, zero: Array | None, axis: int, block: int) -> NDArray[np.float32]:
    """``(values - zero) * scale``, where scale and zero hold for one tensor, one slice or one block along an axis.

    Args:
        values: integers.
        scale: a number, one a slice along ``axis``, or one a block.
        zero: as scale, or None for 0.
        axis: along which scales change.
        block: values a scale; 0 for a scale a slice.
    """

    def spread(part: Array) -> NDArray[np.float32]:
        wide = np.asarray(part, np.float32)
        if block:
            return np.repeat(wide, block, axis)[tuple(slice(side) for side in values.shape)]
        if wide.size == 1:
            return wide.reshape(())
        sides = [1] * values.ndim
        sides[axis] = -1
        return wide.reshape(sides)

    whole = np.asarray(values, np.float32)
    return np.asarray((whole if zero is None else whole - spread(zero)) * spread(scale), np.float32)


@dataclass(frozen=True, slots=True)
class FirstLayer:
    """What the replayed network's first convolution takes over from the input: ``x * scale`` and the colour order."""

    scale: float = 1.0
    swap: bool = False


def replay(
    network: Network,
    builder: GraphBuilder,
    known: Mapping[str, str],
    goals: Sequence[str],
    first: FirstLayer | None = None,
) -> list[str]:
    """Emits the layers that lead from known tensors to the goals, batch norms folded, names as in the file.

    Args:
        network: where the layers come from.
        builder: where they go.
        known: {tensor of the file: tensor of the builder}; nothing before these is emitted.
        goals: tensors of the file.
        first: changes to convolutions that read a known tensor.

    Returns:
        The builder's tensors for the goals.

    Raises:
        ModelBroken: a layer of a kind not known here.
    """
    return _Replay(network, builder, known, first).run(goals)


class _Replay:
    def __init__(
        self, network: Network, builder: GraphBuilder, known: Mapping[str, str], first: FirstLayer | None
    ) -> None:
        self._network = network
        self._builder = builder
        self._start = set(known)
        self._first = first
        self._done = dict(known)

    def run(self, goals: Sequence[str]) -> list[str]:
        needed = self._needed(goals)
        for tensor, layer in self._network.layers.items():
            if tensor in needed and tensor not in self._done:
                self._emit(layer)
        return [self._done[goal] for goal in goals]

    def _needed(self, goals: Sequence[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(goals)
        while waiting:
            tensor = waiting.pop()
            if tensor not in found and tensor not in self._done and tensor in self._network.layers:
                found.add(tensor)
                layer = self._network.layers[tensor]
                # What a Resize is told about sizes is replaced by its factor of two.
                waiting.extend(layer.inputs[:1] if layer.op == "Resize" else layer.inputs)
        return found

    def _emit(self, layer: Layer) -> None:
        match layer.op:
            case "Conv":
                self._conv(layer)
            case "Relu" | "Add" | "Sigmoid" | "Mul":
                self._done[layer.output] = self._builder.node(layer.op, self._inputs(layer), layer.name)
            case "PRelu":
                slope = self._network.floats(layer.inputs[1]).reshape(-1, 1, 1)
                self._done[layer.output] = self._builder.prelu(self._done[layer.inputs[0]], layer.name, slope)
            case "MaxPool":
                self._done[layer.output] = self._builder.node(
                    "MaxPool",
                    self._inputs(layer),
                    layer.name,
                    kernel_shape=layer.numbers("kernel_shape", []),
                    strides=layer.numbers("strides", [1, 1]),
                    pads=layer.numbers("pads", [0, 0, 0, 0]),
                )
            case "Resize":
                self._done[layer.output] = self._builder.twice(self._done[layer.inputs[0]], layer.name)
            case _:
                raise ModelBroken(f"The layer {layer.name!r} is of the kind {layer.op}, which is not expected here.")

    def _inputs(self, layer: Layer) -> list[str]:
        """The layer's inputs in the new graph; constants become weights named after the layer."""
        return [
            self._done[name] if name in self._done else self._builder.weight(name, self._network.constants[name])
            for name in layer.inputs
        ]

    def _conv(self, layer: Layer) -> None:
        weight = self._network.floats(layer.inputs[1])
        bias = self._network.floats(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(len(weight), np.float32)
        if self._first is not None and layer.inputs[0] in self._start:
            weight, bias = fold_input(weight, bias, mean=0.0, scale=self._first.scale, swap=self._first.swap)
        output = layer.output
        users = self._network.users(output)
        if len(users) == 1 and users[0].op == "BatchNormalization":
            weight, bias = fold_batch_norm(weight, bias, norm_of(self._network, users[0]), epsilon_of(users[0]))
            output = users[0].output
        strides = layer.numbers("strides", [1, 1])
        made = self._builder.conv(
            self._done[layer.inputs[0]],
            layer.name,
            weight,
            bias,
            stride=strides[0],
            pads=layer.numbers("pads", [0, 0, 0, 0]),
            group=int(layer.number("group", 1)),
        )
        self._done[layer.output] = self._done[output] = made


def norm_of(
    network: Network, layer: Layer
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gamma, beta, mean, variance of a batch norm."""
    gamma, beta, mean, variance = (network.floats(name) for name in layer.inputs[1:5])
    return gamma, beta, mean, variance


def epsilon_of(layer: Layer) -> float:
    """What a batch norm adds to the variance."""
    return layer.number("epsilon", 1e-5)
