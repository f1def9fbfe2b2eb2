"""Every backend meets these, on a graph made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface import registry
from rtface.errors import BackendError, MissingLibrary
from rtface.interfaces import Backend
from rtface.models.graph import GraphBuilder


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``faces`` uint8 (N, 4, 4, 3) to ``sums`` (N, 2), twice and minus the sum of its values, and ``same`` (N, 48)."""
    builder = GraphBuilder("tiny")
    flat = builder.node("Flatten", [builder.pictures("faces", 4, 4)], "same", axis=1)
    weight = np.concatenate([np.full((1, 48), 2), np.full((1, 48), -1)]).astype(np.float32)
    builder.dense(flat, "sums", weight, np.zeros(2, np.float32))
    builder.output("sums", ("N", 2))
    builder.output("same", ("N", 48))
    path = tmp_path_factory.mktemp("graph") / "tiny.onnx"
    path.write_bytes(builder.model().SerializeToString())
    return path


@pytest.fixture(params=registry.names("backends"))
def backend(request: pytest.FixtureRequest, graph: Path) -> Iterator[Backend]:
    try:
        module = registry.load("backends", request.param)
    except MissingLibrary as error:
        pytest.skip(str(error))
    opened: Backend = module.open(graph, threads=1)
    assert opened.name == request.param
    yield opened
    opened.close()


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def test_tells_its_inputs_and_outputs(backend: Backend) -> None:
    assert dict(backend.inputs) == {"faces": (None, 4, 4, 3)}
    assert backend.outputs == ("sums", "same")


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_any_number_of_pictures_at_once(backend: Backend, count: int) -> None:
    given = pictures(count)
    found = backend.run({"faces": given})
    totals = given.reshape(count, 48).sum(axis=1, dtype=np.float32)
    np.testing.assert_allclose(found["sums"], np.stack([2 * totals, -totals], axis=1), rtol=1e-6)
    assert found["same"].shape == (count, 48)
    assert all(array.dtype == np.float32 for array in found.values())


def test_batch_may_grow_and_shrink(backend: Backend) -> None:
    assert [len(backend.run({"faces": pictures(count)})["same"]) for count in (3, 1, 8, 2)] == [3, 1, 8, 2]


def test_results_belong_to_the_caller(backend: Backend) -> None:
    first = backend.run({"faces": pictures(2)})["same"]
    kept = first.copy()
    backend.run({"faces": 255 - pictures(2)})
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(backend.run({"faces": pictures(2)})["same"], kept)


def test_pictures_are_left_alone_and_may_be_views(backend: Backend) -> None:
    given = pictures(2)
    view = given[:, ::-1, :, ::-1]
    kept = given.copy()
    found = backend.run({"faces": view})["same"]
    np.testing.assert_array_equal(given, kept)
    np.testing.assert_array_equal(found, view.transpose(0, 3, 1, 2).reshape(2, 48))


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({}, "faces"),
        ({"images": np.zeros((1, 4, 4, 3), np.uint8)}, r"faces.*images"),
        ({"faces": np.zeros((1, 4, 4, 3), np.uint8), "more": np.zeros(1, np.uint8)}, "more"),
        ({"faces": np.zeros((1, 4, 5, 3), np.uint8)}, r"\(1, 4, 5, 3\)"),
        ({"faces": np.zeros((4, 4, 3), np.uint8)}, r"\(4, 4, 3\)"),
        ({"faces": np.zeros((1, 4, 4, 3), np.float32)}, r"float32.*uint8"),
    ],
)
def test_wrong_input_is_refused_by_name_shape_and_type(
    backend: Backend, arrays: dict[str, NDArray[np.generic]], complaint: str
) -> None:
    with pytest.raises(BackendError, match=complaint):
        backend.run(arrays)


def test_closed_engine_refuses_to_run_and_may_be_closed_again(backend: Backend) -> None:
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run({"faces": pictures(1)})
