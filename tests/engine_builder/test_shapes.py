"""An engine takes every shape that a part of rtface asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rtface import registry
from rtface.backends._tensorrt import Library
from rtface.detectors._settings import MAX_INPUT_PX
from rtface.engine_builder.network import LARGEST_SIDE_PX, parse, shapes
from rtface.interfaces import Backend
from tests.engine_builder.given import rtx

SIZES = [(720, 1280), (1080, 1920), (1920, 1080), (2160, 3840), (3840, 2160), (2160, 4096)]
SMALL = [(12, 12), (13, 40), (20, 20), (33, 64), (96, 97), (12, 400)]


@pytest.fixture(scope="module")
def library() -> Library:
    return rtx()


def given(path: Path, sides: list[str | int]) -> Path:
    """A graph of one input ``x`` with these sides."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "own", tensors[:1], tensors[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_batch_has_one_usual_and_largest_number(library: Library, tmp_path: Path) -> None:
    network = parse(given(tmp_path / "own.onnx", ["N", 112, 112, 3]), library)
    assert shapes(network, "sface", 32) == {"x": ((1, 112, 112, 3), (8, 112, 112, 3), (32, 112, 112, 3))}
    assert shapes(network, "sface", 4) == {"x": ((1, 112, 112, 3), (4, 112, 112, 3), (4, 112, 112, 3))}


def test_graph_without_free_sides_needs_none(library: Library, tmp_path: Path) -> None:
    assert shapes(parse(given(tmp_path / "own.onnx", [1, 3]), library), "onnx_embedder", 32) == {}


@pytest.mark.parametrize("first", ["N", 1])
def test_picture_comes_alone_in_any_size(library: Library, tmp_path: Path, first: str | int) -> None:
    network = parse(given(tmp_path / "own.onnx", [first, "H", "W", 3]), library)
    smallest, usual, largest = shapes(network, "mtcnn", 32)["x"]
    assert (smallest, largest) == ((1, 12, 12, 3), (1, LARGEST_SIDE_PX, LARGEST_SIDE_PX, 3))
    assert smallest < usual < largest


class Asked:
    """A backend that finds nobody and remembers what it was shown."""

    name = "asked"
    inputs: Mapping[str, tuple[int | None, ...]] = {}
    outputs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        (array,) = arrays.values()
        self.shapes.add(array.shape)
        height, width = int(array.shape[1]), int(array.shape[2])
        if "pnet" in self.name:
            grid: tuple[int, ...] = (1, (height - 12) // 2 + 1, (width - 12) // 2 + 1)
        else:
            grid = (1, sum((height // stride) * (width // stride) for stride in (8, 16, 32)) * 2)
        none = np.zeros(grid, np.float32)
        return {"scores": none, "boxes": none[..., None].repeat(4, -1), "points": none[..., None].repeat(10, -1)}

    def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize("detector", ["yunet", "scrfd", "mtcnn"])
@pytest.mark.parametrize("min_face_px", [8, 40])
def test_every_size_a_detector_asks_for_fits(library: Library, tmp_path: Path, detector: str, min_face_px: int) -> None:
    asked: dict[str, Asked] = {}

    def opened(graph: Path) -> Backend:
        asked[graph.stem] = Asked()
        asked[graph.stem].name = graph.stem
        return asked[graph.stem]

    graphs = {name: Path(f"{name}.onnx") for name in (detector, "pnet", "rnet", "onet")}
    opened_detector = registry.load("detectors", detector).open(graphs, opened, min_face_px=min_face_px)
    for height, width in SIZES + SMALL:
        opened_detector.detect(np.zeros((height, width, 3), np.uint8))
    seen = asked["pnet" if detector == "mtcnn" else detector].shapes
    assert max(shape[1] * shape[2] for shape in seen) > MAX_INPUT_PX / 20, "or else nothing was tried"
    network = parse(given(tmp_path / "own.onnx", ["N", "H", "W", 3]), library)
    smallest, _, largest = shapes(network, detector, 32)["x"]
    for shape in seen:
        assert all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True)), shape
