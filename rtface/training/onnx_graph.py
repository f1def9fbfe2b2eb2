"""A trained network as one of our own ONNX graphs: pictures in, unit rows out, batch normalisations folded in.

The network is traced with ``torch.fx`` and each layer written through ``GraphBuilder``, so that the graph is of the
opset and the operators that every backend and TensorRT read, with a name for every node.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import fx, nn

from rtface.errors import TrainingError
from rtface.models.graph import GraphBuilder, batch_norm_line, fold_input
from rtface.training.networks.catalogue import MEAN, SCALE
from rtface.training.networks.layers import POOL_EPSILON, L2Pool, MaxOut, Scale

FOLDED = (nn.BatchNorm1d, nn.BatchNorm2d, Scale)
SMALLEST = 1e-12
"""As ``rtface.training.triplets.unit`` has it."""


def write(network: nn.Module, name: str, height: int, width: int, embedding_size: int) -> onnx.ModelProto:
    """``faces`` uint8 (N, S, S, 3) BGR to ``embeddings`` (N, D) of norm 1; S is the longer side.

    Args:
        network: trained, on the CPU.
        name: of the graph.
        height, width: of its input; the middle of the square is taken.
        embedding_size: D.

    Raises:
        TrainingError: it has a layer that cannot be written.
    """
    side = max(height, width)
    builder = GraphBuilder(name)
    x = builder.pictures("faces", side, side, subtract=MEAN)
    if (height, width) != (side, side):
        x = _middle(builder, x, side, (height, width))
    rows = _Writer(network.eval(), builder).write(x)
    builder.output(builder.unit_rows(rows, "embeddings", smallest=SMALLEST), ("N", embedding_size))
    return builder.model()


def _middle(builder: GraphBuilder, x: str, side: int, wanted: tuple[int, int]) -> str:
    starts = np.array([(side - length) // 2 for length in wanted], np.int64)
    bounds = {"starts": starts, "ends": starts + np.array(wanted), "axes": np.array([2, 3], np.int64)}
    return builder.node(
        "Slice", [x, *(builder.weight(f"middle/{key}", part) for key, part in bounds.items())], "middle"
    )


class _Traced(fx.Tracer):
    """Layers of ours are written as they are, not looked into."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, L2Pool | MaxOut | Scale) or super().is_leaf_module(m, module_qualified_name)


@dataclass(slots=True, eq=False)
class _Layer:
    """A convolution or fully connected layer with what is folded into it."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def times(self, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
        self.weight = self.weight * scale.reshape(-1, *(1,) * (self.weight.ndim - 1))
        self.bias = self.bias * scale + shift


class _Writer:
    """Walks the traced network from front to back."""

    def __init__(self, network: nn.Module, builder: GraphBuilder) -> None:
        self._layers = dict(network.named_modules())
        self._graph = _Traced().trace(network)
        self._builder = builder
        self._tensors: dict[fx.Node, str] = {}
        self._first = True

    def write(self, pictures: str) -> str:
        """The tensor that comes out."""
        for node in self._graph.nodes:
            if node.op == "placeholder":
                self._tensors[node] = pictures
            elif node.op == "output":
                return self._tensor(node.args[0])
            elif node not in self._tensors:
                self._tensors[node] = self._module(node) if node.op == "call_module" else self._function(node)
        raise AssertionError("a traced network has an output")

    def _tensor(self, argument: object) -> str:
        assert isinstance(argument, fx.Node)
        return self._tensors[argument]

    def _function(self, node: fx.Node) -> str:
        if node.target is torch.cat:
            parts = node.args[0]
            assert isinstance(parts, list | tuple)
            return self._builder.node("Concat", [self._tensor(part) for part in parts], node.name, axis=1)
        if node.target is operator.add:
            return self._builder.node("Add", [self._tensor(part) for part in node.args], node.name)
        raise TrainingError(f"The network cannot be exported: it computes {node.target} at {node.name}.")

    def _module(self, node: fx.Node) -> str:
        layer, x, name = self._layers[str(node.target)], self._tensor(node.args[0]), node.name
        builder = self._builder
        match layer:
            case nn.Conv2d() | nn.Linear():
                return self._weighted(node, layer, x)
            case nn.ReLU():
                return builder.relu(x, name)
            case nn.MaxPool2d() | nn.AvgPool2d():
                return self._pool(layer, x, name)
            case L2Pool():
                mean = self._pool(layer.pool, builder.node("Mul", [x, x], f"{name}/squares"), f"{name}/mean")
                epsilon = builder.weight(f"{name}/epsilon", np.array(POOL_EPSILON, np.float32))
                return builder.node("Sqrt", [builder.node("Add", [mean, epsilon], f"{name}/raised")], name)
            case nn.AdaptiveAvgPool2d(output_size=1):
                return builder.node("GlobalAveragePool", [x], name)
            case nn.LocalResponseNorm():
                how = {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
                return builder.node("LRN", [x], name, **how)
            case nn.Flatten():
                return builder.node("Flatten", [x], name, axis=1)
            case MaxOut():
                width = self._widths(node)
                return builder.node("Max", builder.columns(x, [f"{name}/a", f"{name}/b"], [width, width], axis=1), name)
            case nn.Identity() | nn.Dropout():
                return x
        raise TrainingError(f"The network cannot be exported: no way is known to write {layer} at {name}.")

    def _widths(self, node: fx.Node) -> int:
        """Half the numbers that the fully connected layer before a maxout gives."""
        before = node.args[0]
        assert isinstance(before, fx.Node)
        layer = self._layers[str(before.target)]
        assert isinstance(layer, nn.Linear)
        return layer.out_features // 2

    def _pool(self, layer: nn.MaxPool2d | nn.AvgPool2d, x: str, name: str) -> str:
        kernel, stride, padding = (_pair(side) for side in (layer.kernel_size, layer.stride, layer.padding))
        how = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
        if isinstance(layer, nn.MaxPool2d):
            return self._builder.node("MaxPool", [x], name, **how)
        return self._builder.node("AveragePool", [x], name, count_include_pad=1, **how)

    def _weighted(self, node: fx.Node, layer: nn.Conv2d | nn.Linear, x: str) -> str:
        """The layer with what stands directly behind it and is linear too."""
        weight = layer.weight.detach().double().numpy()
        bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().double().numpy()
        folded = _Layer(weight, bias)
        last = node
        while (behind := self._foldable(last)) is not None:
            folded.times(*_line(self._layers[str(behind.target)], len(bias)))
            last = behind
        made = self._write_layer(folded, layer, x, node.name)
        self._tensors[last] = made
        return made

    def _foldable(self, node: fx.Node) -> fx.Node | None:
        users = list(node.users)
        if len(users) != 1 or users[0].op != "call_module":
            return None
        return users[0] if isinstance(self._layers[str(users[0].target)], FOLDED) else None

    def _write_layer(self, folded: _Layer, layer: nn.Conv2d | nn.Linear, x: str, name: str) -> str:
        if isinstance(layer, nn.Linear):
            return self._builder.dense(x, name, folded.weight, folded.bias)
        weight: NDArray[np.floating] = folded.weight
        bias: NDArray[np.floating] = folded.bias
        if self._first:  # the mean is subtracted before it, so that its padding is of zeros
            weight, bias = fold_input(weight, bias, mean=0.0, scale=SCALE, swap=True)
            self._first = False
        pads = _pair(layer.padding if not isinstance(layer.padding, str) else 0)
        strides = _pair(layer.stride)
        return self._builder.conv(x, name, weight, bias, stride=(strides[0], strides[1]), pads=pads * 2)


def _line(layer: nn.Module, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(layer, Scale):
        return np.full(count, layer.factor), np.zeros(count)
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    gamma, beta, mean, variance = (np.asarray(part.detach().numpy(), np.float32) for part in parts if part is not None)
    scale, shift = batch_norm_line((gamma, beta, mean, variance), layer.eps)
    return np.asarray(scale, np.float64), np.asarray(shift, np.float64)


def _pair(sides: int | tuple[int, ...]) -> list[int]:
    return [sides, sides] if isinstance(sides, int) else list(sides)
