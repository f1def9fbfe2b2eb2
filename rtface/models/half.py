"""A network in floats of 16 bits: the same graph and weights with every type written out, for engines that follow them.

TensorRT's strongly typed networks compute in the types that the graph names. So pictures become float16 at once, what
leads to layers with weights is float16, and what follows the last of them (scores, the scaling to norm 1) is float32,
as the outputs are. Bytes and centred bytes are exact in float16.

Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.3, for what is left in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from rtface.errors import ModelBroken

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose work is worth another type."""
LARGEST = float(np.finfo(np.float16).max)

_ALWAYS_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs, by their place, that are float32 whatever the data are."""


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in float16 to its last layers with weights, in float32 behind them; inputs and outputs unchanged.

    Weights below 6e-5 keep fewer digits and those below 3e-8 none: beside the others of a kernel they are nothing.

    Raises:
        ModelBroken: a weight is beyond float16, or an operator is not to be had in it.
    """
    refused = f"The network {model.graph.name} cannot be had in float16:"
    if model.functions or any(part.HasField("g") for node in model.graph.node for part in node.attribute):
        raise ModelBroken(f"{refused} it has graphs within its graph. Use it with --set precision=fp32.")
    try:
        made = _Halver(model).rebuild()
        onnx.checker.check_model(made, full_check=True)
    except (OverflowError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelBroken(f"{refused} {error}. Use it with --set precision=fp32.") from error
    return made


def behind_weights(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """The tensors made behind the last layers with weights: nothing weighted comes of them any more."""
    leading: set[str] = set()
    behind: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in WEIGHTED or not leading.isdisjoint(node.output):
            leading.update(node.input)
        else:
            behind.update(node.output)
    return behind


class _Halver:
    """Copies a graph node by node.

    A float tensor T is called T in float16 and ``T/float`` in float32; one that is given, given out
    or made behind the last weights is T in float32 and ``T/half`` in float16.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._floats = _floats(model)
        self._outputs = {item.name for item in model.graph.output}
        self._behind = behind_weights(model.graph.node)
        self._wide = self._behind | self._outputs | {item.name for item in model.graph.input}
        self._constants = {item.name: item for item in model.graph.initializer}
        self._kept: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._made: set[str] = set()

    def rebuild(self) -> onnx.ModelProto:
        graph = self._model.graph
        for node in graph.node:
            half = self._behind.isdisjoint(node.output)
            fixed = _ALWAYS_FLOAT32.get(node.op_type, ())
            inputs = [self._typed(name, half and place not in fixed) for place, name in enumerate(node.input)]
            outputs = [self._name(name, half) if name in self._floats else name for name in node.output]
            self._made.update(outputs)
            self._nodes.append(_copy(node, inputs, outputs, half=half))
        for name in self._outputs & self._floats:
            self._typed(name, False)
        made = helper.make_graph(self._nodes, graph.name, graph.input, graph.output, list(self._kept.values()))
        model = helper.make_model(made, opset_imports=self._model.opset_import, producer_name="rtface")
        model.ir_version = self._model.ir_version
        return model

    def _name(self, tensor: str, half: bool) -> str:
        return tensor if half is not (tensor in self._wide) else f"{tensor}/{'half' if half else 'float'}"

    def _typed(self, tensor: str, half: bool) -> str:
        """A tensor in the type wanted, made of the other one if need be."""
        if tensor in self._constants:
            return self._constant(self._constants[tensor], half)
        if tensor not in self._floats:
            return tensor
        name = self._name(tensor, half)
        if name not in self._made:
            self._made.add(name)
            to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self._nodes.append(
                helper.make_node("Cast", [self._name(tensor, not half)], [name], name=f"{name}/cast", to=to)
            )
        return name

    def _constant(self, item: onnx.TensorProto, half: bool) -> str:
        name = f"{item.name}/half" if half and item.data_type == TensorProto.FLOAT else item.name
        self._kept[name] = _halved(item, name) if name != item.name else item
        return name


def _floats(model: onnx.ModelProto) -> set[str]:
    """The float32 tensors that a graph's nodes make or are given."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    typed = (*graph.input, *graph.output, *graph.value_info)
    return {item.name for item in typed if item.type.tensor_type.elem_type == TensorProto.FLOAT}


def _copy(node: onnx.NodeProto, inputs: Sequence[str], outputs: Sequence[str], *, half: bool) -> onnx.NodeProto:
    """A node with other names; in float16 also what it says of types itself."""
    attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
    if half:
        for part in node.attribute:
            if part.type == AttributeProto.TENSOR and part.t.data_type == TensorProto.FLOAT:
                attributes[part.name] = _halved(part.t, part.t.name)
        if node.op_type == "Cast" and attributes["to"] == TensorProto.FLOAT:
            attributes["to"] = TensorProto.FLOAT16
    return helper.make_node(node.op_type, inputs, outputs, name=node.name, domain=node.domain, **attributes)


def _halved(item: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """A constant in float16.

    Raises:
        OverflowError: a value of it is beyond float16.
    """
    values: NDArray[Any] = numpy_helper.to_array(item)
    largest = float(np.abs(values).max(initial=0))
    if largest > LARGEST:
        raise OverflowError(f"{item.name} goes to {largest:.4g}, and float16 to {LARGEST:.0f}")
    return numpy_helper.from_array(values.astype(np.float16), name)
