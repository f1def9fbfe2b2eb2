"""SCRFD as our own ONNX graph, for pictures of any size that 32 divides.

Reads the files of InsightFace's packs whatever size they were exported for. The three heads of each stride become one
convolution.

Source: Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection"; weights from InsightFace.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from rtface.errors import ModelBroken
from rtface.models.graph import Floats, GraphBuilder
from rtface.models.onnx_reader import FirstLayer, Layer, Network, replay
from rtface.models.spec import ModelSpec

STRIDES = (8, 16, 32)
ANCHORS = 2
WIDTHS = (1, 4, 10)
"""Score, box, points of an anchor."""

MEAN, SCALE = 127.5, 1 / 128
"""Source: ``input_mean`` and ``input_std`` of InsightFace's model_zoo/scrfd.py; RGB."""


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``images`` uint8 (N, H, W, 3) BGR to scores (N, A), boxes (N, A, 4), points (N, A, 10).

    A counts the anchors of strides 8, 16, 32, row by row, two a cell. scores are 0..1; boxes are distances from the
    cell's corner to the four sides and points offsets from it, both in strides. N is at least 1.

    Raises:
        ModelBroken: the file is not such a network, or one without landmarks.
    """
    (path,) = weights.values()
    network, builder = Network(path), GraphBuilder(spec.name)
    images = builder.pictures("images", "H", "W", subtract=MEAN)
    try:
        heads = [_Heads(network, index) for index in range(len(STRIDES))]
        goals = [head.feature for head in heads]
        features = replay(network, builder, {network.inputs[0]: images}, goals, FirstLayer(SCALE, swap=True))
        grids = [head.emit(builder, feature) for head, feature in zip(heads, features, strict=True)]
    except (KeyError, ValueError, IndexError) as error:
        raise ModelBroken(f"{path} is not the SCRFD with landmarks expected here ({error!r}).") from error
    raw = builder.node("Concat", grids, "raw", axis=1)
    logits, _, _ = builder.columns(raw, ["logits", "boxes", "points"], WIDTHS, axis=2)
    flat = builder.node("Squeeze", [logits, builder.weight("last_axis", np.array([2], np.int64))], "flat_logits")
    builder.node("Sigmoid", [flat], "scores")
    for name, shape in {"scores": ("N", "A"), "boxes": ("N", "A", 4), "points": ("N", "A", 10)}.items():
        builder.output(name, shape)
    return {spec.name: builder.model()}


class _Heads:
    """Score, box and point convolutions at one stride; the outputs stand as three scores, three boxes, three points."""

    def __init__(self, network: Network, index: int) -> None:
        self.index = index
        self._network = network
        outputs = [network.outputs[index + len(STRIDES) * part] for part in range(len(WIDTHS))]
        self._heads = [_Head(network, output) for output in outputs]
        (self.feature,) = {head.layer.inputs[0] for head in self._heads}

    def emit(self, builder: GraphBuilder, feature: str) -> str:
        """(N, cells * 2, 15): score, box, points of an anchor."""
        parts = [head.weights(width) for head, width in zip(self._heads, WIDTHS, strict=True)]
        # From all scores, all boxes, all points to anchor by anchor.
        weight = np.concatenate([part for part, _ in parts], axis=1)
        bias = np.concatenate([part for _, part in parts], axis=1)
        pad = weight.shape[-1] // 2
        name = f"heads_{STRIDES[self.index]}"
        made = builder.conv(feature, name, weight.reshape(-1, *weight.shape[2:]), bias.ravel(), pads=(pad,) * 4)
        return builder.cells(made, f"{name}/cells", sum(WIDTHS))


class _Head:
    """One convolution before an output, with the learned factor that some files apply to boxes."""

    def __init__(self, network: Network, output: str) -> None:
        self._network = network
        self._factor = 1.0
        layer = network.layers[output]
        while layer.op in ("Reshape", "Transpose", "Sigmoid", "Mul"):
            moving = [name for name in layer.inputs if name in network.layers]
            if layer.op == "Mul":
                (factor,) = (name for name in layer.inputs if name not in network.layers)
                self._factor *= network.floats(factor).item()
            layer = network.layers[moving[0]]
        if layer.op != "Conv":
            raise ValueError(f"{layer.op} before {output}")
        self.layer: Layer = layer

    def weights(self, width: int) -> tuple[Floats, Floats]:
        """(2, width, I, kH, kW) and (2, width): anchors first."""
        weight, bias = (self._network.floats(name) * np.float32(self._factor) for name in self.layer.inputs[1:3])
        return weight.reshape(ANCHORS, width, *weight.shape[1:]), bias.reshape(ANCHORS, width)
