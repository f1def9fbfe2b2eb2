"""Small graphs and what it takes to build them with the real TensorRT for RTX, which needs no card."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from rtface.backends._tensorrt import Library, load
from rtface.engine_builder import Target, target
from rtface.engine_files import Flavour, Origin

ORIGIN = Origin("own", "own", "fp32", "onnx_embedder", "0123456789ab", "mine")


def rtx() -> Library:
    """TensorRT for RTX; skips where it is not installed."""
    pytest.importorskip("tensorrt_rtx", reason="needs pip install 'rtface[rtx]'")
    return load(Flavour.RTX)


def ampere(max_batch: int = 32) -> Target:
    """A card that need not be here."""
    return target(rtx(), "8.6", max_batch=max_batch)


def chain(path: Path, *operators: str) -> Path:
    """A graph of operators with one input and one output in a row, named ``node 0``, ``node 1`` ..."""
    path.parent.mkdir(exist_ok=True)
    nodes = [
        helper.make_node(operator, [f"t{index}"], [f"t{index + 1}"], name=f"node {index}")
        for index, operator in enumerate(operators)
    ]
    first, last = (
        helper.make_tensor_value_info(f"t{index}", TensorProto.FLOAT, ["N", 3]) for index in (0, len(operators))
    )
    graph = helper.make_graph(nodes, "own", [first], [last])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
