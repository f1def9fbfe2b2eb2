"""Rows that are launched and collected are those that ``embed`` gives, whatever the backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.embedding.embedder import LARGEST_BATCH, ModelEmbedder
from rtface.interfaces import Backend
from rtface.models import catalogue

SPEC = catalogue.load(catalogue.shipped_file().parent)["facenet"]
SIZE = SPEC.embedding_size


class Flat:
    """A network of one random layer, computed at once."""

    name = "flat"
    inputs: Mapping[str, tuple[int | None, ...]] = {"faces": (None, 160, 160, 3)}
    outputs: tuple[str, ...] = ("embeddings",)

    def __init__(self) -> None:
        self.weight = np.random.default_rng(5).normal(size=(300, SIZE)).astype(np.float32)
        self.diary: list[str] = []

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        self.diary.append(f"run {len(arrays['faces'])}")
        return self.rows(arrays["faces"])

    def rows(self, faces: NDArray[np.generic]) -> dict[str, NDArray[np.float32]]:
        rows = faces[:, ::16, ::16].reshape(len(faces), 300).astype(np.float32) @ self.weight
        return {"embeddings": np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)}

    def close(self) -> None:
        pass


class Elsewhere(Flat):
    """The same, computed while the caller goes on; one run at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: NDArray[np.generic] | None = None

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        assert self.waiting is None
        return super().run(arrays)

    def launch(self, arrays: Mapping[str, NDArray[np.generic]]) -> Elsewhere:
        assert self.waiting is None
        self.diary.append(f"launch {len(arrays['faces'])}")
        self.waiting = arrays["faces"].copy()
        return self

    def collect(self) -> dict[str, NDArray[np.float32]]:
        faces, self.waiting = self.waiting, None
        assert faces is not None
        self.diary.append(f"collect {len(faces)}")
        return self.rows(faces)


@pytest.fixture(params=[Flat, Elsewhere])
def backend(request: pytest.FixtureRequest) -> Iterator[Flat]:
    built: Flat = request.param()
    yield built
    assert not isinstance(built, Elsewhere) or built.waiting is None


def embedder(backend: Backend) -> ModelEmbedder:
    return ModelEmbedder(SPEC, backend)


def crops(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 160, 160, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 4, LARGEST_BATCH, LARGEST_BATCH + 1, 2 * LARGEST_BATCH + 6])
def test_launched_rows_are_the_embedded_ones(backend: Flat, count: int) -> None:
    faces = crops(count)
    rows = embedder(backend).launch(faces).collect()
    assert rows.shape == (count, SIZE)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(rows, embedder(backend).embed(faces))


def test_centre_is_taken_from_launched_rows() -> None:
    faces, backend, centre = crops(3), Elsewhere(), np.linspace(0, 0.1, SIZE, dtype=np.float32)
    away = backend.rows(faces)["embeddings"] - centre
    expected = away / np.linalg.norm(away, axis=1, keepdims=True)
    part = ModelEmbedder(replace(SPEC, head=None, centre=centre), backend)
    np.testing.assert_allclose(part.launch(faces).collect(), expected, atol=1e-6)


def test_launched_rows_go_through_the_head() -> None:
    assert SPEC.head is not None
    faces, backend = crops(3), Elsewhere()
    expected = SPEC.head(backend.rows(faces)["embeddings"])
    np.testing.assert_array_equal(embedder(backend).launch(faces).collect(), expected)


def test_the_shipped_head_keeps_128_of_512_numbers() -> None:
    """Along its basis, of norm 1, and a quarter of the numbers."""
    assert SPEC.head is not None
    rows = SPEC.head(np.eye(SIZE, dtype=np.float32)[:40])
    assert SPEC.head.basis.shape == (512, 128)
    np.testing.assert_allclose(np.linalg.norm(rows @ SPEC.head.basis, axis=1), 1, rtol=1e-5)


def test_backend_that_computes_at_once_is_done_when_launch_returns() -> None:
    backend = Flat()
    part = embedder(backend)
    assert not part.asynchronous
    pending = part.launch(crops(40))
    assert backend.diary == ["run 32", "run 8"]
    pending.collect()
    assert backend.diary == ["run 32", "run 8"]


def test_backend_that_computes_elsewhere_is_left_to_it_until_collected() -> None:
    backend = Elsewhere()
    part = embedder(backend)
    assert part.asynchronous
    pending = part.launch(crops(40))
    assert backend.diary == ["launch 32"]
    pending.collect()
    assert backend.diary == ["launch 32", "collect 32", "run 8"]


def test_nothing_is_launched_for_nobody() -> None:
    backend = Elsewhere()
    assert embedder(backend).launch(crops(0)).collect().shape == (0, SIZE)
    assert backend.diary == []
