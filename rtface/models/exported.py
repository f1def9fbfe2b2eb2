"""Graphs that are ours already, as ``rtface train export`` writes them: looked at and taken as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from rtface.errors import ModelBroken
from rtface.models.onnx_reader import load
from rtface.models.spec import ModelSpec


def build(weights: Mapping[str, Path], spec: ModelSpec) -> dict[str, onnx.ModelProto]:
    """``{spec.name: graph}``, ``faces`` uint8 (N, S, S, 3) BGR to ``embeddings`` (N, D) of norm 1.

    Raises:
        ModelBroken: the file is no such graph, or S and D are not those of models.toml.
    """
    (path,) = weights.values()
    model = load(path)
    size = spec.crop.size if spec.crop else 0
    takes, gives = _ends(model.graph.input), _ends(model.graph.output)
    pictures, rows = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    if takes != [["faces", pictures, size, size, 3]] or gives != [["embeddings", rows, spec.embedding_size]]:
        raise ModelBroken(
            f"{path} cannot be the embedder {spec.name}: it takes {takes} and gives {gives} (name, type, sides). "
            "Export it again with rtface train export, and use the entry that it prints."
        )
    model.graph.name = spec.name
    return {spec.name: model}


def _ends(values: Iterable[onnx.ValueInfoProto]) -> list[list[object]]:
    """Name, type and all sides but the first of inputs or outputs."""
    types = [(value.name, value.type.tensor_type) for value in values]
    return [[name, kind.elem_type, *(side.dim_value for side in kind.shape.dim[1:])] for name, kind in types]
