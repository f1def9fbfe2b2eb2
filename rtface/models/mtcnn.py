"""MTCNN's three stages as our own ONNX graphs, upright and in NCHW.

The carrier's weights come from MATLAB by way of TensorFlow, so they want pictures with width and height swapped, in
NHWC. Here the kernels are transposed and the dense layers' columns reordered instead.

Source: Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from rtface.errors import ModelBroken
from rtface.models.graph import Floats, GraphBuilder, Shape, fold_input
from rtface.models.onnx_reader import Layer, Network
from rtface.models.spec import ModelSpec

MEAN, SCALE = 127.5, 1 / 128
"""The input's normalisation, RGB; every first convolution runs without padding, so it can swallow it."""

STAGES = ("pnet", "rnet", "onet")

BLOCK = 16
"""Channels come in whole blocks, filled up with zeros: ONNX Runtime's blocked layout has blocks of 16 (AVX-512) or 8
(AVX2) and is left and entered again around every layer that has others. R-Net takes 7.7 instead of 11.9 ms so (210
crops, 2-core AMD EPYC, AVX-512)."""


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``pnet``, ``rnet``, ``onet``.

    ``pnet``: ``images`` uint8 (N, H, W, 3) BGR, H and W from 12, to ``scores`` (N, h, w) and ``boxes`` (N, h, w, 4).
    ``rnet``: ``crops`` uint8 (N, 24, 24, 3) to ``scores`` (N,) and ``boxes`` (N, 4).
    ``onet``: ``crops`` uint8 (N, 48, 48, 3) to the same and ``points`` (N, 10).
    scores are the face's probability; boxes corrections of left, top, right, bottom in parts of the window's width and
    height; points x, y five times, image-left eye first, in parts of the window from its left top corner.

    Args:
        weights: three files whose names end in pnet.onnx, rnet.onnx, onet.onnx.
        spec: not needed here.

    Raises:
        ModelBroken: a file is missing or not that stage.
    """
    del spec
    return {stage: _stage(stage, weights) for stage in STAGES}


def _stage(stage: str, weights: Mapping[str, Path]) -> onnx.ModelProto:
    path = next((path for name, path in weights.items() if name.endswith(f"{stage}.onnx")), None)
    if path is None:
        raise ModelBroken(f"No weights for {stage} among {', '.join(weights)}.")
    rebuilt = _Stage(stage, Network(path))
    try:
        return rebuilt.grid() if stage == "pnet" else rebuilt.crops(24 if stage == "rnet" else 48)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelBroken(f"{path} is not the {stage} expected here ({error!r}).") from error


class _Stage:
    """Follows one file's single chain of layers."""

    def __init__(self, name: str, network: Network) -> None:
        self._network = network
        self._builder = GraphBuilder(name)

    def grid(self) -> onnx.ModelProto:
        """P-Net: its two heads are convolutions over the whole picture."""
        builder = self._builder
        x, _ = self._trunk(builder.pictures("images", "H", "W"))
        heads = [layer for layer in self._network.layers.values() if layer.op == "Conv"][-2:]
        boxes, face = sorted(heads, key=lambda head: -len(self._network.floats(head.inputs[1])))
        face_weight, face_bias = self._difference(*self._upright(face))
        box_weight, box_bias = self._upright(boxes)
        weight = np.concatenate([face_weight, box_weight])[:, :, 0, 0]
        bias = np.concatenate([face_bias, box_bias])
        shaped = weight.reshape(*weight.shape, 1, 1)
        cells = builder.node("Transpose", [builder.conv(x, "heads", shaped, bias)], "rows", perm=[0, 2, 3, 1])
        logit, _ = builder.columns(cells, ["logit", "boxes"], [1, 4], axis=3)
        flat = builder.node("Squeeze", [logit, builder.weight("last_axis", np.array([3], np.int64))], "flat_logit")
        builder.node("Sigmoid", [flat], "scores")
        return self._finish({"scores": ("N", "h", "w"), "boxes": ("N", "h", "w", 4)})

    def crops(self, size: int) -> onnx.ModelProto:
        """R-Net and O-Net: convolutions, a dense layer, then one dense layer a head."""
        builder = self._builder
        x, last = self._trunk(builder.pictures("crops", size, size))
        dense = [layer for layer in self._network.layers.values() if layer.op == "MatMul"]
        weight, bias = self._dense(dense[0])
        weight = self._columns(weight, len(self._network.floats(last.inputs[1])))
        hidden = builder.dense(builder.node("Flatten", [x], "flat", axis=1), "dense", weight, bias)
        slope = next(layer for layer in self._network.layers.values() if layer.op == "PRelu" and self._is_flat(layer))
        hidden = builder.prelu(hidden, "bend", self._network.floats(slope.inputs[1]).ravel())
        heads = {len(bias): (weight, bias) for weight, bias in map(self._dense, dense[1:])}
        logit = builder.dense(hidden, "logit", *self._difference(*heads[2]))
        flat = builder.node("Squeeze", [logit, builder.weight("last_axis", np.array([1], np.int64))], "flat_logit")
        builder.node("Sigmoid", [flat], "scores")
        builder.dense(hidden, "boxes", *heads[4])
        outputs: dict[str, Shape] = {"scores": ("N",), "boxes": ("N", 4)}
        if 10 in heads:
            # From five x and five y to x, y five times.
            order = np.arange(10).reshape(2, 5).T.ravel()
            builder.dense(hidden, "points", heads[10][0][order], heads[10][1][order])
            outputs["points"] = ("N", 10)
        return self._finish(outputs)

    def _finish(self, outputs: Mapping[str, Shape]) -> onnx.ModelProto:
        for name, shape in outputs.items():
            self._builder.output(name, shape)
        return self._builder.model()

    def _trunk(self, x: str) -> tuple[str, Layer]:
        """Convolutions with their PReLU and pooling; also gives the last of the convolutions."""
        network = self._network
        last: Layer | None = None
        sign = np.ones(3, np.float32)
        for layer in network.layers.values():
            following = network.users(layer.output)
            if layer.op != "Conv" or following[0].op != "PRelu":
                continue
            weight, bias = self._upright(layer)
            if last is None:
                weight, bias = fold_input(weight, bias, mean=MEAN, scale=SCALE, swap=True)
            whole = in_blocks(weight, bias, network.floats(following[0].inputs[1]).ravel(), sign)
            pool = next((user for user in network.users(following[0].output) if user.op == "MaxPool"), None)
            x, sign = self._bent(x, layer.name, whole, pool)
            last = layer
        if last is None:
            raise ValueError("no convolution")
        return x, last

    def _bent(self, x: str, name: str, layer: Bent, pool: Layer | None) -> tuple[str, Floats]:
        """A convolution with its PReLU and the pooling behind it; also what the next layer has to multiply it by."""
        builder = self._builder
        behind = None if pool is None else bent_behind_pooling(layer)
        if pool is not None and behind is not None:
            nothing = np.zeros(len(behind.sign), np.float32)
            x = self._pool(builder.conv(x, name, behind.weight, behind.bias), pool)
            bend = builder.relu(builder.conv(x, f"{name}/bend", behind.bend, nothing), f"{name}/bent")
            line = builder.conv(x, f"{name}/line", behind.line, nothing)
            return builder.node("Add", [line, bend], f"{name}/prelu"), behind.sign
        x = builder.conv(x, name, layer.weight, layer.bias)
        x = builder.prelu(x, f"{name}/prelu", layer.slope.reshape(-1, 1, 1))
        return x if pool is None else self._pool(x, pool), np.ones(len(layer.slope), np.float32)

    def _pool(self, x: str, layer: Layer) -> str:
        # The file's SAME_UPPER and VALID come to the same here: windows that hang over the right and bottom edges.
        ceiling = int(layer.attributes.get("auto_pad") == b"SAME_UPPER")
        kernel, strides = layer.numbers("kernel_shape", []), layer.numbers("strides", [])
        name = f"pool_{layer.name.partition('/')[0]}"
        return self._builder.node("MaxPool", [x], name, kernel_shape=kernel, strides=strides, ceil_mode=ceiling)

    def _upright(self, layer: Layer) -> tuple[Floats, Floats]:
        """A convolution's weights for upright pictures."""
        weight, bias = (self._network.floats(name) for name in layer.inputs[1:3])
        return weight.transpose(0, 1, 3, 2), bias

    def _dense(self, layer: Layer) -> tuple[Floats, Floats]:
        """(O, I) and (O,), with the addition behind the product."""
        (add,) = self._network.users(layer.output)
        return self._network.floats(layer.inputs[1]).T, self._network.floats(add.inputs[1])

    def _columns(self, weight: Floats, channels: int) -> Floats:
        """From columns by width, height, channel to channel, height, width."""
        side = round((weight.shape[1] / channels) ** 0.5)
        cube = weight.reshape(len(weight), side, side, channels)
        return np.ascontiguousarray(cube.transpose(0, 3, 2, 1).reshape(len(weight), -1))

    def _is_flat(self, bend: Layer) -> bool:
        return self._network.floats(bend.inputs[1]).ndim == 1

    @staticmethod
    def _difference(weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """A softmax over (no face, face) as one logit."""
        return weight[1:2] - weight[0:1], bias[1:2] - bias[0:1]


@dataclass(frozen=True, slots=True, eq=False)
class Bent:
    """A convolution and the slopes of its PReLU: weight (O, I, kH, kW), bias (O,), slope (O,)."""

    weight: Floats
    bias: Floats
    slope: Floats


@dataclass(frozen=True, slots=True, eq=False)
class BentBehindPooling:
    """The same with the PReLU behind a pooling: conv, pool, then ``sign * prelu = line x + max(bend x, 0)``.

    Attributes:
        weight, bias: of the convolution.
        line, bend: (O, O, 1, 1), convolutions of one pixel.
        sign: (O,), 1 or -1.
    """

    weight: Floats
    bias: Floats
    line: Floats
    bend: Floats
    sign: Floats


def in_blocks(weight: Floats, bias: Floats, slope: Floats, sign: Floats) -> Bent:
    """A layer filled up to whole blocks of channels.

    Args:
        weight: (O, I, kH, kW).
        bias, slope: (O,).
        sign: (J,), J at least I: what each channel of the input has to be multiplied by.
    """
    used, inputs = weight.shape[:2]
    channels = -(-used // BLOCK) * BLOCK
    whole = np.zeros((channels, len(sign), *weight.shape[2:]), np.float32)
    whole[:used, :inputs] = weight * sign[:inputs].reshape(-1, 1, 1)
    filled = [np.concatenate([values, np.zeros(channels - used, np.float32)]) for values in (bias, slope)]
    return Bent(whole, *filled)


def bent_behind_pooling(layer: Bent) -> BentBehindPooling | None:
    """A layer whose greatest values are taken before they are bent: a quarter of the work, the same result.

    Of slope a from 0 PReLU rises, so the greatest value stays the greatest: a v + max((1 - a) v, 0), and for a above 1
    the negative of that with its sign turned. Of slope a below 0 PReLU is max(v, a v): a channel that only fills its
    block holds a v, and the greater of the two greatest is the result.

    Returns:
        None when too few channels are free for that.
    """
    free = np.flatnonzero(~layer.weight.any(axis=(1, 2, 3)))
    falling = np.flatnonzero(layer.slope < 0)
    if len(free) < len(falling):
        return None
    twins = free[: len(falling)]
    weight, bias, slope = layer.weight.copy(), layer.bias.copy(), layer.slope
    weight[twins] = weight[falling] * slope[falling].reshape(-1, 1, 1, 1)
    bias[twins] = bias[falling] * slope[falling]
    sign = np.where(slope > 1, -1, 1).astype(np.float32)
    line, bend = np.diag(slope * sign), np.diag((1 - slope) * sign)
    line[falling, falling], bend[falling, falling], bend[falling, twins] = 1, -1, 1
    bend[free] = 0
    return BentBehindPooling(weight, bias, line[:, :, None, None], bend[:, :, None, None], sign)
