"""Engines built by a process of their own, for a card that is not in this machine; what it tells, and how it ends."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rtface.config import load_config
from rtface.engine_files import engines_of, read_manifest
from rtface.errors import BackendError
from rtface.pipeline.background_build import BackgroundBuild, Order
from rtface.pipeline.parity import Reference
from tests.models.given import weights

PATIENCE_S = 180


@contextmanager
def building(tmp_path: Path, capability: str = "8.6", **settings: object) -> Iterator[BackgroundBuild]:
    """A build of engines into an empty folder that shares the weights fetched before."""
    if not importlib.util.find_spec("tensorrt_rtx"):
        pytest.skip("needs tensorrt_rtx: pip install 'rtface[rtx]'")
    for name in ("facenet", "yunet"):
        weights(name)
    engines = tmp_path / "engines"
    engines.mkdir(exist_ok=True)
    (engines / "weights").symlink_to(load_config().engines_dir.resolve() / "weights")
    config = load_config(None, {"engines_dir": engines, "backend": "tensorrt", "offline": True, **settings})
    build = BackgroundBuild(Order(config.model_dump(mode="json"), capability, tmp_path / "reference.npz"))
    try:
        yield build
    finally:
        build.close()


def wait(build: BackgroundBuild, *, until: Callable[[], bool]) -> list[str]:
    """What is told until then."""
    told = [build.progress]
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)
        if build.progress != told[-1]:
            told.append(build.progress)
    return told


def test_builds_every_engine_tells_how_far_it_is_and_leaves_the_reference(tmp_path: Path) -> None:
    with building(tmp_path) as build:
        told = wait(build, until=build.finished)
    graphs = [tmp_path / "engines" / name for name in ("yunet/yunet.fp16.onnx", "facenet/facenet.fp16.onnx")]
    for graph in graphs:
        (engine,) = engines_of(graph)
        manifest = read_manifest(engine)
        assert manifest is not None
        assert (manifest.capability, manifest.origin.precision) == ("8.6", "fp16")
    shares = [int(line.split()[-2]) for line in told if line.startswith("Building facenet.fp16 for sm86")]
    assert len(shares) > 3
    assert shares == sorted(shares)
    reference = Reference.load(tmp_path / "reference.npz")
    assert len(reference.boxes) == len(reference.crops) == 24  # six faces in each of four pictures
    np.testing.assert_allclose(np.linalg.norm(reference.embeddings, axis=1), 1, rtol=1e-5)


def test_failure_is_told_in_the_builders_words(tmp_path: Path) -> None:
    with building(tmp_path, capability="3.5") as build, pytest.raises(BackendError, match=r"capability 3\.5"):
        wait(build, until=build.finished)


def test_closing_ends_it_and_leaves_no_engine(tmp_path: Path) -> None:
    with building(tmp_path) as build:
        wait(build, until=lambda: "facenet.fp16" in build.progress)
        build.close()
        with pytest.raises(BackendError, match="ended"):
            build.finished()
    assert engines_of(tmp_path / "engines" / "facenet" / "facenet.fp16.onnx") == []


def test_a_crash_is_told_with_its_last_words(tmp_path: Path) -> None:
    build = BackgroundBuild(Order({"no_such_setting": 1}, None, tmp_path / "reference.npz"))
    try:
        with pytest.raises(BackendError, match=r"The build ended with code 1: .*no_such_setting|extra"):
            wait(build, until=build.finished)
    finally:
        build.close()
