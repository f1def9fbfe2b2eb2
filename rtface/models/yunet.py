"""YuNet as our own ONNX graph, for pictures of any size that 32 divides.

The carrier's weights are block-quantised and its sizes fixed at 640x640: dequantised and freed here. The four heads
of each stride (class, object, box, points) become one pair of convolutions of 16 channels.

Source: Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"; weights from OpenCV Zoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from rtface.errors import ModelBroken
from rtface.models.graph import Floats, GraphBuilder, kernel_in_rows
from rtface.models.onnx_reader import Layer, Network, replay
from rtface.models.spec import ModelSpec

STRIDES = (8, 16, 32)
HEADS = ("cls", "obj", "bbox", "kps")
WIDTHS = (1, 1, 4, 10)


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``images`` uint8 (N, H, W, 3) BGR to scores (N, A), boxes (N, A, 4), points (N, A, 10).

    A counts the cells of strides 8, 16, 32, row by row. scores are sqrt(class * object), 0..1; boxes and points are the
    raw values that OpenCV's FaceDetectorYN decodes. N is at least 1.

    Raises:
        ModelBroken: the file is not this network.
    """
    (path,) = weights.values()
    network, builder = Network(path), GraphBuilder(spec.name)
    try:
        heads = [_Heads(network, stride) for stride in STRIDES]
        features = replay(network, builder, _first(network, builder), [head.feature for head in heads])
        grids = [head.emit(builder, feature) for head, feature in zip(heads, features, strict=True)]
    except (KeyError, ValueError, IndexError) as error:
        raise ModelBroken(f"{path} is not the YuNet expected here ({error!r}).") from error
    raw = builder.node("Concat", grids, "raw", axis=1)
    logits, _, _ = builder.columns(raw, ["logits", "boxes", "points"], [2, 4, 10], axis=2)
    # sqrt(class * object), the sigmoids' values being within 0..1 already.
    chances = builder.columns(builder.node("Sigmoid", [logits], "chances"), ["class", "object"], [1, 1], axis=2)
    joint = builder.node("Sqrt", [builder.node("Mul", chances, "joint")], "joint_root")
    builder.node("Squeeze", [joint, builder.weight("last_axis", np.array([2], np.int64))], "scores")
    for name, shape in {"scores": ("N", "A"), "boxes": ("N", "A", 4), "points": ("N", "A", 10)}.items():
        builder.output(name, shape)
    return {spec.name: builder.model()}


def _first(network: Network, builder: GraphBuilder) -> dict[str, str]:
    """The first convolution, on pictures as they lie in memory: sorting them by colours takes 4 % of the whole."""
    (layer,) = (layer for layer in network.layers.values() if layer.inputs[0] == network.inputs[0])
    weight, bias = (network.floats(name) for name in layer.inputs[1:3])
    down, across = layer.numbers("strides", [1, 1])
    top, left, bottom, right = layer.numbers("pads", [0, 0, 0, 0])
    images = builder.pictures_in_rows("images", "H", "W")
    pads = (top, 3 * left, bottom, 3 * right)
    made = builder.conv(images, layer.name, kernel_in_rows(weight), bias, stride=(down, 3 * across), pads=pads)
    return {layer.output: made}


class _Heads:
    """The four pairs of convolutions (1x1, then 3x3 a channel) at one stride."""

    def __init__(self, network: Network, stride: int) -> None:
        self.stride = stride
        self._network = network
        self._deep = [_convolution_before(network, f"{head}_{stride}") for head in HEADS]
        self._point = [network.layers[layer.inputs[0]] for layer in self._deep]
        (self.feature,) = {layer.inputs[0] for layer in self._point}

    def emit(self, builder: GraphBuilder, feature: str) -> str:
        """(N, cells, 16): class, object, box, points."""
        name = f"heads_{self.stride}"
        mixed = builder.conv(feature, f"{name}/mix", *self._joined(self._point))
        deep = builder.conv(mixed, name, *self._joined(self._deep), pads=(1, 1, 1, 1), group=sum(WIDTHS))
        return builder.cells(deep, f"{name}/cells", sum(WIDTHS))

    def _joined(self, layers: list[Layer]) -> tuple[Floats, Floats]:
        weights = [self._network.floats(layer.inputs[1]) for layer in layers]
        if tuple(len(weight) for weight in weights) != WIDTHS:
            raise ValueError("heads of other widths")
        return np.concatenate(weights), np.concatenate([self._network.floats(layer.inputs[2]) for layer in layers])


def _convolution_before(network: Network, output: str) -> Layer:
    """The convolution whose result is only rearranged on its way to an output."""
    layer = network.layers[output]
    while layer.op in ("Reshape", "Transpose", "Sigmoid"):
        layer = network.layers[layer.inputs[0]]
    if layer.op != "Conv":
        raise ValueError(f"{layer.op} before {output}")
    return layer
