"""A tiny embedder of one's own, as a user would have it: a fixed batch of one, float pictures in, any length out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE, WIDTH = 8, 4


def network(*, opset: int = 11, seed: int = 0, height: int = SIZE) -> onnx.ModelProto:
    """Convolution, PRelu, reshape to one row, dense layer."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {
        "kernel": rng.normal(size=(2, 3, 3, 3)).astype(np.float32),
        "slope": np.array([0.25, -0.1], np.float32).reshape(2, 1, 1),
        "row": np.array([1, -1], np.int64),
        "matrix": rng.normal(size=(2 * (height - 2) ** 2, WIDTH)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["data", "kernel"], ["a"]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Reshape", ["b", "row"], ["c"]),
        helper.make_node("MatMul", ["c", "matrix"], ["feature"]),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, (1, 3, height, height))],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, (1, WIDTH))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def declare(engines_dir: Path, model: onnx.ModelProto, *, colour: str = "rgb", more: str = "") -> Path:
    """Writes the file and an entry ``[own]`` of models.toml for it; gives the file."""
    engines_dir.mkdir(exist_ok=True)
    path = engines_dir / "own-network.onnx"
    onnx.save(model, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (engines_dir / "models.toml").write_text(
        f"""
[own]
task = "embedder"
title = "my own"
licence = "mine"
builder = "onnx_embedder"
embedding_size = {WIDTH}
crop = {{ kind = "warp", size = {SIZE}, template = "arcface_112" }}
input = {{ colour = "{colour}", mean = 127.5, scale = 0.0078125 }}
weights = [{{ file = "own.bin", sha256 = "{digest}", sources = [{{ path = "{path.name}" }}] }}]
{more}
""",
        encoding="utf-8",
    )
    return path
