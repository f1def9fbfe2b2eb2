"""Every backend meets these, on a graph made here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface import registry
from rtface.errors import BackendError, MissingLibrary
from rtface.interfaces import AsyncBackend, Backend
from rtface.models.graph import GraphBuilder
from tests.backends.on_card import build_on_card
from tests.backends.simulation import simulated_gpu


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


SIMULATED, ON_CARD = "tensorrt on a simulated card", "tensorrt on this machine's card"
KINDS = [
    *(name for name in registry.names("backends") if name != "tensorrt"),
    SIMULATED,
    pytest.param(ON_CARD, marks=pytest.mark.gpu),
]


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, graph: Path) -> Iterator[Backend]:
    name = request.param.split()[0]
    with simulated_gpu() if request.param == SIMULATED else nullcontext() as gpu:
        if gpu is not None:
            gpu.build(graph, largest=4)
        elif request.param == ON_CARD:
            build_on_card(graph, max_batch=4)
        try:
            module = registry.load("backends", name)
        except MissingLibrary as error:
            pytest.skip(str(error))
        opened: Backend = module.open(graph, threads=1)
        assert opened.name == name
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


def test_launched_run_is_collected_later(backend: Backend) -> None:
    if not isinstance(backend, AsyncBackend):
        pytest.skip(f"{backend.name} computes while its caller waits")
    given = pictures(9)
    expected = backend.run({"faces": given})
    running = backend.launch({"faces": given})
    given[:] = 0
    for name, found in running.collect().items():
        np.testing.assert_array_equal(found, expected[name])
    with pytest.raises(BackendError, match="collected"):
        running.collect()


def test_one_run_is_under_way_at_a_time(backend: Backend) -> None:
    if not isinstance(backend, AsyncBackend):
        pytest.skip(f"{backend.name} computes while its caller waits")
    running = backend.launch({"faces": pictures(2)})
    with pytest.raises(BackendError, match="still running"):
        backend.launch({"faces": pictures(1)})
    assert len(running.collect()["same"]) == 2


def test_closing_ends_a_run_under_way(backend: Backend) -> None:
    if not isinstance(backend, AsyncBackend):
        pytest.skip(f"{backend.name} computes while its caller waits")
    running = backend.launch({"faces": pictures(2)})
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        running.collect()
