"""SFace as our own ONNX graph.

The carrier's weights are block-quantised and its batch norms run at every call: dequantised and folded here, those
around the last layer too. The input's scale and colour order go into the first convolution; its subtraction stays,
since that convolution pads with zeros.

Source: Zhong et al. 2021, "SFace: Sigmoid-Constrained Hypersphere Loss"; weights from OpenCV Zoo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from rtface.errors import ModelBroken
from rtface.models.graph import Floats, GraphBuilder, batch_norm_line, fold_batch_norm
from rtface.models.onnx_reader import FirstLayer, Layer, Network, epsilon_of, norm_of, replay
from rtface.models.spec import ModelSpec

SIZE = 112


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``faces`` uint8 (N, 112, 112, 3) BGR to ``embeddings`` (N, 128) of norm 1.

    Raises:
        ModelBroken: the file is not this network.
    """
    (path,) = weights.values()
    network, builder = Network(path), GraphBuilder(spec.name)
    try:
        embeddings, size = _emit(network, builder)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelBroken(f"{path} is not the SFace expected here ({error!r}).") from error
    builder.output(embeddings, ("N", size))
    return {spec.name: builder.model()}


def _emit(network: Network, builder: GraphBuilder) -> tuple[str, int]:
    subtract, multiply = _one(network, "Sub"), _one(network, "Mul")
    faces = builder.pictures("faces", SIZE, SIZE, subtract=network.floats(subtract.inputs[1]).item())
    first = FirstLayer(scale=network.floats(multiply.inputs[1]).item(), swap=True)
    last = network.layers[network.outputs[0]]
    dense = network.layers[last.inputs[0]]
    before = _before(network, dense, "BatchNormalization")
    (features,) = replay(network, builder, {multiply.output: faces}, [before.inputs[0]], first)
    weight, bias = _dense_layer(network, before, dense, last)
    # As one convolution over the whole map, for which ONNX Runtime reads the 26 MB of weights in 0.75 ms, not 1.0.
    side = math.isqrt(weight.shape[1] // len(norm_of(network, before)[0]))
    points = builder.conv(features, "fc", weight.reshape(len(weight), -1, side, side), bias)
    return builder.unit_rows(builder.node("Flatten", [points], "flat", axis=1), "embeddings"), len(bias)


def _dense_layer(network: Network, before: Layer, dense: Layer, after: Layer) -> tuple[Floats, Floats]:
    """The fully connected layer with the batch norm of its input maps and that of its results folded in."""
    scale, shift = batch_norm_line(norm_of(network, before), epsilon_of(before))
    weight, bias = network.floats(dense.inputs[1]), network.floats(dense.inputs[2])
    cells = weight.shape[1] // len(scale)  # each map is flattened into so many neighbouring columns
    bias = bias + weight @ np.repeat(shift, cells)
    weight = weight * np.repeat(scale, cells)
    return fold_batch_norm(weight, bias, norm_of(network, after), epsilon_of(after))


def _one(network: Network, op: str) -> Layer:
    (layer,) = (layer for layer in network.layers.values() if layer.op == op)
    return layer


def _before(network: Network, layer: Layer, op: str) -> Layer:
    """The nearest layer of a kind upstream, along first inputs."""
    while layer.op != op:
        layer = network.layers[layer.inputs[0]]
    return layer
