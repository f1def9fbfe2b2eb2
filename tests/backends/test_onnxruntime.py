"""ONNX Runtime: files it cannot load are named, with the command that mends them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.backends import onnxruntime
from rtface.errors import BackendError
from rtface.models.graph import GraphBuilder
from tests.models.given import noise


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    builder = GraphBuilder("own")
    pictures = builder.pictures("images", "H", "W")
    builder.output(builder.conv(pictures, "maps", np.ones((2, 3, 3, 3), np.float32), np.zeros(2)), ("N", 2, "h", "w"))
    path = tmp_path / "own" / "own.onnx"
    path.parent.mkdir()
    path.write_bytes(builder.model().SerializeToString())
    return path


@pytest.mark.parametrize("harm", ["missing", "empty", "garbage", "cut off"])
def test_broken_file_is_named_with_the_cure(graph: Path, harm: str) -> None:
    content = graph.read_bytes()
    if harm == "missing":
        graph.unlink()
    else:
        graph.write_bytes({"empty": b"", "garbage": b"\x07" * 999, "cut off": content[: len(content) // 2]}[harm])
    with pytest.raises(BackendError, match="rtface models fetch own --force") as raised:
        onnxruntime.open(graph)
    assert str(graph) in str(raised.value)


def test_free_sizes_are_told_as_none(graph: Path) -> None:
    assert dict(onnxruntime.open(graph).inputs) == {"images": (None, None, None, 3)}


def test_one_thread_and_all_give_the_same(graph: Path) -> None:
    pictures = noise(2, 20, 30, 3)
    one, all_of_them = (
        onnxruntime.open(graph, threads=threads).run({"images": pictures})["maps"] for threads in (1, 0)
    )
    np.testing.assert_allclose(one, all_of_them, rtol=1e-6)


def test_picture_too_small_for_the_network_is_a_backend_error(graph: Path) -> None:
    with pytest.raises(BackendError, match=r"own\.onnx"):
        onnxruntime.open(graph).run({"images": noise(1, 2, 2, 3)})
