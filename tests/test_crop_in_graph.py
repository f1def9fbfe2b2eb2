"""The setting crop_in_graph: faces cut out inside the network, in the same stream, with the same verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.config import load_config
from rtface.demonstration import enroll_demo
from rtface.embedding.in_frame import InFrameEmbedder
from rtface.errors import ConfigError
from rtface.interfaces import FrameEmbedder
from rtface.models.spec import Precision
from rtface.models.store import ModelStore
from rtface.system import System
from rtface.types import FrameResult
from tests.models import own
from tests.models.given import weights

FRAMES = 40


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    own.declare(tmp_path / "engines", own.network())
    return ModelStore(tmp_path / "engines")


def test_graph_is_built_once_and_again_when_the_network_changes(store: ModelStore) -> None:
    (first,) = store.in_frame("own").values()
    written = first.stat().st_mtime_ns
    assert store.in_frame("own") == {"own": first}
    assert first.stat().st_mtime_ns == written
    own.declare(store.engines_dir, own.network(seed=1))
    (second,) = ModelStore(store.engines_dir).in_frame("own").values()
    assert second != first
    assert not first.exists()


def test_each_precision_has_its_own(store: ModelStore) -> None:
    names = {next(iter(store.in_frame("own", precision).values())).name for precision in store.spec("own").precisions}
    assert len(names) == len(store.spec("own").precisions)
    assert Precision.FP16 in store.spec("own").precisions


def test_detector_takes_no_crops(store: ModelStore) -> None:
    with pytest.raises(ConfigError, match="yunet takes no crops"):
        store.in_frame("yunet")


@pytest.mark.parametrize("embedder", ["facenet", "sface"])
def test_stream_says_the_same(embedder: str, tmp_path: Path) -> None:
    weights("yunet")
    weights(embedder)
    told = []
    for inside in (False, True):
        settings = {"embedder": embedder, "precision": "fp32", "gallery": tmp_path / f"{inside}.db"}
        with System(load_config(None, {**settings, "backend": "onnxruntime", "crop_in_graph": inside})) as system:
            assert isinstance(system.embedder, FrameEmbedder) is inside
            assert isinstance(system.embedder, InFrameEmbedder) is inside
            enroll_demo(system)
            told.append(list(system.stream("demo", max_frames=FRAMES)))
    assert people(told[0]) == people(told[1])
    np.testing.assert_allclose(distances(told[1]), distances(told[0]), atol=0.03)
    names = {event.identity.person for result in told[1] for event in result.events if event.identity}
    assert names == {"Left", "Middle", "Right"}


def people(results: list[FrameResult]) -> list[tuple[int, str | None]]:
    """Every track of every frame that has been looked at, with its name."""
    return [(track.id, track.identity.person) for result in results for track in result.tracks if track.identity]


def distances(results: list[FrameResult]) -> list[float]:
    """Of the same tracks."""
    return [track.identity.distance for result in results for track in result.tracks if track.identity]
