"""Any ONNX embedder of one picture in and one vector out, given our input and output.

The network itself stays as it is, in its own opset. Put around it: uint8 BGR pictures in, colour order and
normalisation as models.toml says, any number of faces at once, rows of norm 1 out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtface.errors import ModelBroken
from rtface.models.onnx_reader import load
from rtface.models.spec import ModelSpec

OLDEST_OPSET = 9
PREFIX = "rtface/"


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``faces`` uint8 (N, S, S, 3) BGR to ``embeddings`` (N, D) of norm 1.

    Raises:
        ModelBroken: the file has not one float input (N, 3, S, S) and one output (N, D) with S and D as in models.toml.
    """
    (path,) = weights.values()
    model = load(path)
    source, result = _ends(model.graph, spec, path)
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ModelBroken(f"{path} is of opset {opset}; {OLDEST_OPSET} is the oldest that can be wrapped. Convert it.")
    wrapped = _wrap(model, spec, source, result, opset)
    try:
        onnx.checker.check_model(wrapped)
    except onnx.checker.ValidationError as error:
        raise ModelBroken(f"{path} does not make a valid graph: {error}") from error
    return {spec.name: wrapped}


def _ends(graph: onnx.GraphProto, spec: ModelSpec, path: Path) -> tuple[str, str]:
    """Names of the one input and the one output, their shapes checked as far as the file tells them."""
    constants = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    size = spec.crop.size if spec.crop else 0
    ends = [(inputs, (3, size, size)), (list(graph.output), (spec.embedding_size,))]
    for values, wanted in ends:
        shapes = [[side.dim_value for side in value.type.tensor_type.shape.dim] for value in values]
        fits = len(shapes) == 1 and len(shapes[0]) == len(wanted) + 1
        if not fits or any(side not in (0, given) for side, given in zip(shapes[0][1:], wanted, strict=True)):
            raise ModelBroken(
                f"{path} cannot be the embedder {spec.name}: it has {shapes} (0 is free) where (N, {wanted}) is wanted."
            )
    return inputs[0].name, graph.output[0].name


def _wrap(model: onnx.ModelProto, spec: ModelSpec, source: str, result: str, opset: int) -> onnx.ModelProto:
    graph = model.graph
    size = spec.crop.size if spec.crop else 0
    nodes = [*_before(spec, source), *graph.node, *_after(result, opset)]
    weights = [*_free_batch(graph), *_constants(spec)]
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ("N", size, size, 3))
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ("N", spec.embedding_size))
    wrapped = helper.make_graph(nodes, spec.name, [faces], [embeddings], weights)
    return helper.make_model(
        wrapped,
        opset_imports=model.opset_import,
        functions=model.functions,
        producer_name="rtface",
        ir_version=max(model.ir_version, 4),  # before 4 every weight had to be listed as an input too
    )


def _free_batch(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """The weights, with those that say "reshape to one row of ..." saying "keep the rows"."""
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    freed = []
    for item in graph.initializer:
        values = numpy_helper.to_array(item) if item.name in shapes else None
        if values is not None and values.size > 1 and values[0] == 1:
            freed.append(numpy_helper.from_array(np.array([0, *values[1:]], np.int64), item.name))
        else:
            freed.append(item)
    return freed


def _constants(spec: ModelSpec) -> list[onnx.TensorProto]:
    values: dict[str, NDArray[Any]] = {
        "mean": np.array(spec.input.mean, np.float32),
        "scale": np.array(spec.input.scale, np.float32),
        "smallest": np.array(1e-12, np.float32),
        "rgb": np.array([2, 1, 0], np.int64),
        "axis": np.array([1], np.int64),
    }
    return [numpy_helper.from_array(value, PREFIX + name) for name, value in values.items()]


def _before(spec: ModelSpec, source: str) -> list[onnx.NodeProto]:
    """From ``faces`` to the network's own input."""
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if spec.input.colour == "rgb":
        steps.append(("Gather", ["rgb"], {"axis": 3}))
    steps += [("Sub", ["mean"], {}), ("Mul", ["scale"], {}), ("Transpose", [], {"perm": [0, 3, 1, 2]})]
    nodes, tensor = [], "faces"
    for index, (op, extra, attributes) in enumerate(steps):
        made = source if index == len(steps) - 1 else f"{PREFIX}{op.lower()}"
        inputs = [tensor, *(PREFIX + name for name in extra)]
        nodes.append(helper.make_node(op, inputs, [made], name=f"{PREFIX}{op.lower()}_node", **attributes))
        tensor = made
    return nodes


def _after(result: str, opset: int) -> list[onnx.NodeProto]:
    """From the network's own output to ``embeddings``."""
    length, divisor = f"{PREFIX}length", f"{PREFIX}divisor"
    # Axes became an input with opset 18.
    axes: tuple[list[str], dict[str, Any]] = ([f"{PREFIX}axis"], {}) if opset >= 18 else ([], {"axes": [1]})
    return [
        helper.make_node("ReduceL2", [result, *axes[0]], [length], name=f"{length}_node", keepdims=1, **axes[1]),
        helper.make_node("Max", [length, f"{PREFIX}smallest"], [divisor], name=f"{divisor}_node"),
        helper.make_node("Div", [result, divisor], ["embeddings"], name=f"{PREFIX}unit"),
    ]
