"""Graphs whose embeddings are the pixels of the crops, to look at what a graph cuts out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from rtface.embedding.placement import placement
from rtface.interfaces import Backend
from rtface.models.cropping import with_crops
from rtface.models.graph import GraphBuilder
from rtface.models.spec import CropSpec
from rtface.types import Detection, Image
from tests.models.given import opened


def pixel_network(size: int) -> onnx.ModelProto:
    """``faces`` uint8 (N, size, size, 3) to ``embeddings`` (N, 3 * size * size): their pixels, plane by plane."""
    builder = GraphBuilder("pixels")
    builder.output(builder.node("Flatten", [builder.pictures("faces", size, size)], "embeddings"), ("N", "D"))
    return builder.model()


def cutter(crop: CropSpec, folder: Path) -> Backend:
    """The engine that cuts out such crops and gives their pixels."""
    return opened(with_crops(pixel_network(crop.size), crop), folder)


def cut(engine: Backend, image: Image, faces: Sequence[Detection], crop: CropSpec) -> NDArray[np.float32]:
    """(N, size, size, 3) what it cuts out."""
    matrices = np.stack([placement(face, crop) for face in faces])
    rows = engine.run({"frame": image[None], "matrices": matrices})["embeddings"]
    return rows.reshape(len(faces), 3, crop.size, crop.size).transpose(0, 2, 3, 1)
