"""The same graphs as on the simulated card, on a real one: ``make test-gpu``. Skipped, and so not proved, without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.backends import onnxruntime, tensorrt
from tests.backends import graphs
from tests.backends.on_card import build_on_card

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_faces_give_what_the_cpu_gives(tmp_path: Path, count: int) -> None:
    graph = graphs.embedder(tmp_path)
    build_on_card(graph, max_batch=4)
    faces = {"faces": graphs.pictures(count, 8, 8, 3)}
    backend = tensorrt.open(graph)
    found = backend.run(faces)["embeddings"]
    np.testing.assert_allclose(found, onnxruntime.open(graph).run(faces)["embeddings"], atol=5e-3)
    backend.close()


@pytest.mark.parametrize("size", [(64, 64), (736, 1280), (101, 333)])
def test_pictures_give_what_the_cpu_gives(tmp_path: Path, size: tuple[int, int]) -> None:
    graph = graphs.detector(tmp_path)
    build_on_card(graph)
    images = {"images": graphs.pictures(1, *size, 3)}
    backend = tensorrt.open(graph)
    expected = onnxruntime.open(graph).run(images)
    for name, found in backend.run(images).items():
        # Sums of 48 products of up to 255: TF32, which cards may use for float32, keeps three digits.
        np.testing.assert_allclose(found, expected[name], atol=5, rtol=1e-2)
    backend.close()


def test_engine_is_opened_again_and_again(tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    build_on_card(graph)
    faces = {"faces": graphs.pictures(3, 8, 8, 3)}
    rows = []
    for _ in range(5):
        backend = tensorrt.open(graph)
        rows.append(backend.run(faces)["embeddings"])
        backend.close()
    for row in rows[1:]:
        np.testing.assert_allclose(row, rows[0], atol=1e-5)


def test_two_engines_run_at_once(tmp_path: Path) -> None:
    one, other = graphs.embedder(tmp_path), graphs.detector(tmp_path)
    for graph in (one, other):
        build_on_card(graph)
    faces, images = {"faces": graphs.pictures(8, 8, 8, 3)}, {"images": graphs.pictures(1, 320, 320, 3)}
    embedder, detector = tensorrt.open(one), tensorrt.open(other)
    alone = embedder.run(faces)["embeddings"]
    embedding, looking = embedder.launch(faces), detector.launch(images)
    assert len(looking.collect()["scores"]) == 1
    np.testing.assert_allclose(embedding.collect()["embeddings"], alone, atol=1e-5)
    detector.close()
    np.testing.assert_allclose(embedder.run(faces)["embeddings"], alone, atol=1e-5)
    embedder.close()
