"""Small graphs for tests of backends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from rtface.models.graph import GraphBuilder


def written(builder: GraphBuilder, folder: Path) -> Path:
    """The graph in a file, in a folder of its own as models have them."""
    path = folder / builder.name / f"{builder.name}.fp16.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(builder.model().SerializeToString())
    return path


def embedder(folder: Path) -> Path:
    """As FaceNet is built: ``faces`` uint8 (N, 8, 8, 3) to ``embeddings`` (N, 5), unit rows."""
    builder = GraphBuilder("embedder")
    rng = np.random.default_rng(5)
    maps = builder.conv(builder.pictures("faces", 8, 8), "maps", rng.normal(size=(4, 3, 3, 3)), np.zeros(4), stride=2)
    flat = builder.node("Flatten", [builder.relu(maps, "bent")], "flat", axis=1)
    builder.dense(flat, "rows", rng.normal(size=(5, 36)), np.zeros(5))
    builder.output(builder.unit_rows("rows", "embeddings"), ("N", 5))
    return written(builder, folder)


def detector(folder: Path) -> Path:
    """As YuNet is built: ``images`` uint8 (N, H, W, 3) of any size to ``scores`` and ``boxes``, a row a cell."""
    builder = GraphBuilder("detector")
    rng = np.random.default_rng(6)
    images = builder.pictures("images", "H", "W")
    for name, depth in (("scores", 1), ("boxes", 4)):
        maps = builder.conv(images, f"{name}/maps", rng.normal(size=(depth, 3, 4, 4)), np.zeros(depth), stride=4)
        builder.output(builder.cells(maps, name, depth), ("N", "cells", depth))
    return written(builder, folder)


def in_frame(folder: Path) -> Path:
    """As embedders that cut their faces out are built: ``frame`` uint8 (1, H, W, 3), of any size, and ``matrices``
    (N, 2, 3), a face each, to ``lit`` (N, 6), the matrices times the frame's mean, and ``same`` (N, 6)."""
    builder = GraphBuilder("in_frame")
    frame = builder.input("frame", TensorProto.UINT8, (1, "H", "W", 3))
    matrices = builder.input("matrices", TensorProto.FLOAT, ("N", 2, 3))
    floats = builder.node("Cast", [frame], "frame/float", to=TensorProto.FLOAT)
    mean = builder.node("ReduceMean", [floats], "frame/mean", keepdims=0)
    builder.node("Flatten", [matrices], "same", axis=1)
    builder.node("Mul", ["same", mean], "lit")
    builder.output("lit", ("N", 6))
    builder.output("same", ("N", 6))
    return written(builder, folder)


def two_batches(folder: Path) -> Path:
    """``one`` and ``other``, float32 (N, 3), to ``sum`` (3,): of all their rows."""
    builder = GraphBuilder("two_batches")
    given = [builder.input(name, TensorProto.FLOAT, ("N", 3)) for name in ("one", "other")]
    both = builder.node("Add", given, "both")
    axes = builder.weight("axes", np.array([0], np.int64))
    builder.node("ReduceSum", [both, axes], "sum", keepdims=0)
    builder.output("sum", (3,))
    return written(builder, folder)


def pictures(*shape: int) -> NDArray[np.uint8]:
    """Noise, the same for the same shape."""
    return np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)
