"""FaceNet (Inception-ResNet-v1, weights 20180408-102900) as our own ONNX graph.

The frozen TensorFlow graph gives structure and weights; its convolutions already carry their batch norms. Folded in
here: the input's ``(x - 127.5) / 128`` and colour order (the first convolution does not pad, so this is exact), the
residual blocks' scale factors (0.17, 0.10, 0.20) and the bottleneck's batch norm.

Source: Schroff et al. 2015; Szegedy et al. 2016, "Inception-v4"; weights by D. Sandberg, github.com:
davidsandberg/facenet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from rtface.errors import ModelBroken
from rtface.models.graph import GraphBuilder, fold_batch_norm, fold_input
from rtface.models.graphdef import Node, read_graph
from rtface.models.spec import ModelSpec

MEAN, SCALE = 127.5, 1 / 128
"""The fixed standardisation these weights were trained with (facenet ``--use_fixed_image_standardization``)."""

SIZE = 160


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``faces`` uint8 (N, 160, 160, 3) BGR to ``embeddings`` (N, 512) of norm 1.

    Raises:
        ModelBroken: the graph is not this network.
    """
    (path,) = weights.values()
    network = _Network(read_graph(path), GraphBuilder(spec.name))
    try:
        return {spec.name: network.rebuild()}
    except (KeyError, ValueError) as error:
        raise ModelBroken(f"{path} is not the FaceNet graph expected here ({error!r}).") from error


class _Network:
    """Walks the frozen graph backwards from its bottleneck and emits each operator once."""

    def __init__(self, nodes: Mapping[str, Node], builder: GraphBuilder) -> None:
        self._nodes = nodes
        self._builder = builder
        self._done: dict[str, str] = {}

    def rebuild(self) -> onnx.ModelProto:
        builder = self._builder
        (product,) = (node for node in self._nodes.values() if node.op == "MatMul")
        (norm,) = (node for node in self._nodes.values() if node.op == "FusedBatchNorm")
        flat = builder.node("Flatten", [self._tensor(self._nodes[product.inputs[0]].inputs[0])], "flat", axis=1)
        gamma, beta, mean, variance = (self._values(name) for name in norm.inputs[1:])
        weight = self._values(product.inputs[1]).T
        weight, bias = fold_batch_norm(
            weight, np.zeros(len(weight)), (gamma, beta, mean, variance), norm.real("epsilon")
        )
        bottleneck = builder.dense(flat, "bottleneck", weight, bias)
        # The original divides by sqrt(max(sum of squares, 1e-10)).
        builder.output(builder.unit_rows(bottleneck, "embeddings", smallest=1e-5), ("N", len(bias)))
        return builder.model()

    def _values(self, name: str) -> NDArray[np.float32]:
        return np.asarray(self._nodes[name].values(), np.float32)

    def _tensor(self, name: str) -> str:
        if name not in self._done:
            self._done[name] = self._emit(self._nodes[name])
        return self._done[name]

    def _emit(self, node: Node) -> str:
        name = _short(node.name)
        match node.op:
            case "Placeholder":
                return self._builder.pictures("faces", SIZE, SIZE)
            case "Relu":
                return self._builder.relu(self._tensor(node.inputs[0]), name)
            case "BiasAdd":
                return self._convolution(node, 1.0)
            case "Mul":
                return self._convolution(self._nodes[node.inputs[1]], self._values(node.inputs[0]).item())
            case "Add":
                return self._builder.node("Add", [self._tensor(part) for part in node.inputs], name)
            case "ConcatV2":
                return self._builder.node("Concat", [self._tensor(part) for part in node.inputs[:-1]], name, axis=1)
            case "MaxPool" | "AvgPool":
                return self._pool(node, name)
        raise ValueError(f"operator {node.op} at {node.name}")

    def _pool(self, node: Node, name: str) -> str:
        if node.text("padding") != "VALID":
            raise ValueError(f"padding at {node.name}")
        op = "MaxPool" if node.op == "MaxPool" else "AveragePool"
        kernel, strides = node.numbers("ksize")[1:3], node.numbers("strides")[1:3]
        return self._builder.node(op, [self._tensor(node.inputs[0])], name, kernel_shape=kernel, strides=strides)

    def _convolution(self, bias_add: Node, scale: float) -> str:
        conv = self._nodes[bias_add.inputs[0]]
        if bias_add.op != "BiasAdd" or conv.op != "Conv2D":
            raise ValueError(f"no convolution behind {bias_add.name}")
        weight = self._values(conv.inputs[1]).transpose(3, 2, 0, 1) * np.float32(scale)
        bias = self._values(bias_add.inputs[1]) * np.float32(scale)
        stride, padding = conv.numbers("strides")[1], conv.text("padding")
        if self._nodes[conv.inputs[0]].op == "Placeholder":
            weight, bias = fold_input(weight, bias, mean=MEAN, scale=SCALE, swap=True)
        if padding == "SAME" and stride != 1:
            raise ValueError(f"strided SAME padding at {conv.name}")
        across = [side // 2 if padding == "SAME" else 0 for side in weight.shape[2:]]
        x = self._tensor(conv.inputs[0])
        return self._builder.conv(x, _short(conv.name), weight, bias, stride=stride, pads=across * 2)


def _short(name: str) -> str:
    """The layer's path without the network's name and the operator's repetition of it."""
    return (
        name.removeprefix("InceptionResnetV1/").removesuffix("/Conv2D").removesuffix("/BatchNorm/cond/FusedBatchNorm_1")
    )
