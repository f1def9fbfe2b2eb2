"""Building ONNX graphs: named nodes, float weights, uint8 pictures in.

Opset 17 is the newest that ONNX Runtime, OpenCV, OpenVINO and TensorRT all read without conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""The IR of opset 17's own time (ONNX 1.12): older engines refuse a newer one, whatever the nodes are."""

Floats = NDArray[np.float32]
Shape = tuple[int | str, ...]


class GraphBuilder:
    """Collects the nodes and weights of one graph. Each tensor bears the name of the node that makes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """The tensor that an operator of one output makes."""
        self._nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        """A constant tensor; float64 is stored as float32."""
        stored = values.astype(np.float32) if values.dtype == np.float64 else values
        self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(stored), name)
        return name

    def input(self, name: str, dtype: int, shape: Shape) -> str:
        """Declares an input of the graph; ``dtype`` is one of onnx.TensorProto."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def pictures(self, name: str, height: int | str, width: int | str, *, subtract: float = 0.0) -> str:
        """The graph's input, uint8 (N, height, width, 3), as float32 (N, 3, height, width).

        Args:
            name: of the input.
            height, width: a number, or a name where the size is free.
            subtract: taken from every value; for a first convolution that pads with zeros *after* the subtraction, and
                therefore cannot swallow it.
        """
        self.input(name, TensorProto.UINT8, ("N", height, width, 3))
        # TensorRT takes uint8 only when the very next node is a cast.
        x = self.node("Cast", [name], f"{name}/float", to=TensorProto.FLOAT)
        if subtract:
            mean = self.weight(f"{name}/mean", np.array(subtract, np.float32))
            x = self.node("Sub", [x, mean], f"{name}/centred")
        return self.node("Transpose", [x], f"{name}/planes", perm=[0, 3, 1, 2])

    def pictures_in_rows(self, name: str, height: int | str, width: int | str) -> str:
        """As ``pictures``, as float32 (N, 1, height, 3 * width): the colours of a pixel side by side, nothing moved.

        A first convolution reads it with kernels of ``kernel_in_rows`` and three times the stride and pads across.
        """
        self.input(name, TensorProto.UINT8, ("N", height, width, 3))
        x = self.node("Cast", [name], f"{name}/float", to=TensorProto.FLOAT)
        flat = self.weight(f"{name}/flat_shape", np.array([0, 0, -1], np.int64))
        x = self.node("Reshape", [x, flat], f"{name}/flat")
        return self.node("Unsqueeze", [x, self.weight(f"{name}/channel", np.array([1], np.int64))], f"{name}/rows")

    def conv(
        self,
        x: str,
        name: str,
        weight: NDArray[np.floating],
        bias: NDArray[np.floating],
        *,
        stride: int | tuple[int, int] = 1,
        pads: Sequence[int] = (0, 0, 0, 0),
        group: int = 1,
    ) -> str:
        """Convolution. weight (O, I/group, kH, kW), bias (O,), pads top, left, bottom, right."""
        inputs = [x, self.weight(f"{name}/weight", weight), self.weight(f"{name}/bias", bias)]
        kernel = list(weight.shape[2:])
        strides = [stride, stride] if isinstance(stride, int) else list(stride)
        return self.node("Conv", inputs, name, kernel_shape=kernel, strides=strides, pads=list(pads), group=group)

    def dense(self, x: str, name: str, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> str:
        """Fully connected. x (N, I), weight (O, I), bias (O,)."""
        inputs = [x, self.weight(f"{name}/weight", weight), self.weight(f"{name}/bias", bias)]
        return self.node("Gemm", inputs, name, transB=1)

    def relu(self, x: str, name: str) -> str:
        """max(x, 0)."""
        return self.node("Relu", [x], name)

    def prelu(self, x: str, name: str, slope: NDArray[np.floating]) -> str:
        """x where positive, slope * x elsewhere, as ``slope * x + max((1 - slope) * x, 0)``.

        ONNX Runtime runs this as two convolutions of one pixel, the one with its Relu and the other with its sum, and
        stays in its blocked layout; its PRelu does not.

        Args:
            x: (N, C, H, W), or (N, C) if ``slope`` is (C,).
            name: of the result.
            slope: (C, 1, 1) or (C,), of any sign; up to 1 where it is to be fast.
        """
        line = self.node("Mul", [x, self.weight(f"{name}/slope", slope)], f"{name}/line")
        rest = self.weight(f"{name}/rest", np.float32(1) - slope)
        if (slope <= 1).all():
            positive = self.node("Relu", [self.node("Mul", [x, rest], f"{name}/above")], f"{name}/positive")
        else:
            positive = self.node("Mul", [self.node("Relu", [x], f"{name}/relu"), rest], f"{name}/positive")
        return self.node("Add", [line, positive], name)

    def twice(self, x: str, name: str) -> str:
        """Twice as high and wide, each value repeated, whatever the size: what feature pyramids do."""
        scales = self.weight(f"{name}/scales", np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize",
            [x, "", scales],
            name,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def cells(self, x: str, name: str, depth: int) -> str:
        """(N, depth * K, H, W) as (N, H * W * K, depth): row-major over the grid, the K of a cell side by side."""
        rows = self.node("Transpose", [x], f"{name}/rows", perm=[0, 2, 3, 1])
        shape = self.weight(f"{name}/shape", np.array([0, -1, depth], np.int64))
        return self.node("Reshape", [rows, shape], name)

    def columns(self, x: str, names: Sequence[str], widths: Sequence[int], *, axis: int) -> list[str]:
        """Cuts a tensor into neighbouring parts of these widths."""
        sizes = self.weight(f"{names[0]}/widths", np.array(widths, np.int64))
        self._nodes.append(helper.make_node("Split", [x, sizes], list(names), name=f"{names[0]}/split", axis=axis))
        return list(names)

    def unit_rows(self, x: str, name: str, *, smallest: float = 1e-5) -> str:
        """(N, D) rows scaled to norm 1; a row shorter than ``smallest`` is divided by that instead."""
        length = self.node("ReduceL2", [x], f"{name}/length", axes=[1], keepdims=1)
        floor = self.weight(f"{name}/smallest", np.array(smallest, np.float32))
        return self.node("Div", [x, self.node("Max", [length, floor], f"{name}/divisor")], name)

    def output(self, tensor: str, shape: Shape) -> None:
        """Declares a float32 tensor an output of the graph."""
        self._outputs.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape))

    def model(self) -> onnx.ModelProto:
        """The finished graph, checked."""
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, list(self._weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="rtface")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def kernel_in_rows(weight: NDArray[np.floating]) -> Floats:
    """A first convolution's (O, 3, kH, kW) for pictures in rows: (O, 1, kH, 3 * kW)."""
    kernels, _, height, width = weight.shape
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1).reshape(kernels, 1, height, 3 * width), np.float32)


def fold_batch_norm(
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
    norm: tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]],
    epsilon: float,
) -> tuple[Floats, Floats]:
    """A layer and the batch norm behind it as one layer.

    Args:
        weight: (O, ...), output channels first.
        bias: (O,).
        norm: gamma, beta, mean, variance, each (O,).
        epsilon: added to the variance.
    """
    scale, shift = batch_norm_line(norm, epsilon)
    columns = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return (weight * columns).astype(np.float32), (bias * scale + shift).astype(np.float32)


def batch_norm_line(
    norm: tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]], epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A batch norm as scale and shift, each (C,) float64. ``norm`` is gamma, beta, mean, variance."""
    gamma, beta, mean, variance = (np.asarray(part, np.float64) for part in norm)
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def fold_input(
    weight: NDArray[np.floating], bias: NDArray[np.floating], *, mean: float, scale: float, swap: bool
) -> tuple[Floats, Floats]:
    """A first convolution that takes raw values instead of ``(x - mean) * scale``.

    Exact only where the convolution does not pad, unless mean is 0.

    Args:
        weight: (O, 3, kH, kW) for the network's own colour order.
        bias: (O,).
        mean, scale: the network's normalisation.
        swap: the pictures come in the other colour order (BGR for RGB).
    """
    scaled = np.asarray(weight, np.float64) * scale
    shifted = bias - mean * scaled.sum(axis=(1, 2, 3))
    return (scaled[:, ::-1] if swap else scaled).astype(np.float32), shifted.astype(np.float32)
