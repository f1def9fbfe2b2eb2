"""What these tests are given: fetched weights, opened graphs, real faces. Whatever is absent is skipped by name."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.errors import ModelUnavailable
from rtface.interfaces import Backend
from rtface.models import catalogue
from rtface.models.fetch import Fetcher
from rtface.models.spec import ModelSpec
from tests.shared import shared

Pictures = NDArray[np.uint8]


@cache
def spec(name: str) -> ModelSpec:
    """A model as shipped."""
    return catalogue.load(Path(os.devnull))[name]


@cache
def weights(name: str) -> dict[str, Path]:
    """A model's verified weight files; skips unless they have been fetched (CI fetches)."""
    folder = load_config().engines_dir / "weights"
    try:
        with Fetcher(folder, offline=not os.environ.get("CI")) as fetcher:
            return {weight.file: fetcher.get(weight) for weight in spec(name).weights}
    except ModelUnavailable:
        pytest.skip(f"needs the weights of `rtface models fetch {name}` in {folder.name}/")


def opened(model: onnx.ModelProto, folder: Path) -> Backend:
    """A graph on ONNX Runtime."""
    path = folder / f"{model.graph.name}.onnx"
    path.write_bytes(model.SerializeToString())
    return onnxruntime.open(path, threads=1)


@cache
def faces(count: int, size: int) -> Pictures:
    """(count, size, size, 3) BGR: the middles of LFW pictures, in which the face always lies."""
    paths = sorted(shared("data", "lfw").glob("*/*.jpg"))
    read = [cv2.imread(str(path)) for path in paths[:: len(paths) // count][:count]]
    middles = [picture[60:190, 60:190] for picture in read if picture is not None]
    return np.stack([cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA) for middle in middles]).astype(
        np.uint8
    )


def crowd(height: int, width: int) -> Pictures:
    """(height, width, 3) BGR: real faces of 64 px side by side."""
    tiles = faces(8, 64)
    rows, columns = -(-height // 64), -(-width // 64)
    order = np.arange(rows * columns).reshape(rows, columns) % len(tiles)
    whole = np.concatenate([np.concatenate(list(tiles[row]), axis=1) for row in order], axis=0)
    return np.ascontiguousarray(whole[:height, :width])


def noise(*shape: int) -> Pictures:
    """Random pictures, always the same."""
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
