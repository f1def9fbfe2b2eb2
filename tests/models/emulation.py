"""A card's arithmetic on a CPU: float16 graphs written out in float32, each value rounded where a card stores it.

ONNX Runtime has no float16 on a CPU. It computes such a graph in float32 and does not round between its operators, so
what it gives is better than what a card gives. Here every result of arithmetic goes through float16 and back, in casts
that ONNX Runtime keeps. Products are summed in float32, as tensor cores do; whole numbers are summed exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_MOVES = (
    *("Concat", "DequantizeLinear", "Flatten", "Gather", "MaxPool"),
    *("Reshape", "Resize", "Split", "Squeeze", "Transpose", "Unsqueeze"),
)
"""Operators behind which nothing is rounded: they give values they were given, or go straight into whole numbers."""


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph for ONNX Runtime on a CPU, with the numbers of an engine that follows its types."""
    graph = model.graph
    exact = _to_be_rounded(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        for part in copied.attribute:
            if node.op_type == "Cast" and part.i == TensorProto.FLOAT16:
                part.i = TensorProto.FLOAT
        nodes.append(copied)
        for place, name in enumerate(node.output):
            if name in exact:
                copied.output[place] = f"{name}/exact"
                nodes += _rounding(f"{name}/exact", name)
    constants = [_widened(item) for item in graph.initializer]
    made = helper.make_graph(nodes, graph.name, graph.input, graph.output, constants)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)


def _to_be_rounded(model: onnx.ModelProto) -> set[str]:
    """Results of arithmetic in float16.

    What goes into a Relu alone is rounded behind it, which is the same and leaves ONNX Runtime the two to join.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    half = {item.name for item in inferred if item.type.tensor_type.elem_type == TensorProto.FLOAT16}
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    found: set[str] = set()
    for node in model.graph.node:
        for name in half.intersection(node.output):
            before_relu = readers.get(name) == ["Relu"] and node.op_type not in _MOVES
            if node.op_type == "Relu" or (node.op_type not in _MOVES and not before_relu):
                found.add(name)
    return found


def _rounding(exact: str, name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [exact], [f"{name}/half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT),
    ]


def _widened(item: onnx.TensorProto) -> onnx.TensorProto:
    if item.data_type != TensorProto.FLOAT16:
        return item
    return numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float32), item.name)


class EmulatedBackend:
    """A graph of any precision computed as a card would; fulfils ``interfaces.Backend``."""

    name = "emulation"

    def __init__(self, model: onnx.ModelProto, *, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Fused to whole numbers, signed bytes go through 16 bits on processors without VNNI, which overflow.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self.session = ort.InferenceSession(emulated(model).SerializeToString(), options, ["CPUExecutionProvider"])
        self.inputs: Mapping[str, tuple[int | None, ...]] = {
            node.name: tuple(side if isinstance(side, int) else None for side in node.shape)
            for node in self.session.get_inputs()
        }
        self.outputs = tuple(node.name for node in self.session.get_outputs())

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Every output for these inputs."""
        return dict(zip(self.outputs, self.session.run(None, dict(arrays)), strict=True))

    def close(self) -> None:
        """Nothing to free."""


def open_emulated(path: Path, *, threads: int = 0) -> EmulatedBackend:
    """The graph in a file, as ``open`` of a backend gives it."""
    return EmulatedBackend(onnx.load(path), threads=threads)
