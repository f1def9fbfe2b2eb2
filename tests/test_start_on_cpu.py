"""A stream begins on the CPU and moves to the card between two frames. The card is a simulation: see its package."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rtface.config import load_config
from rtface.demonstration import enroll_demo
from rtface.engine_files import EngineManifest, Flavour, Origin, manifest_of
from rtface.engines import Engines
from rtface.errors import BackendError
from rtface.models.store import ModelStore
from rtface.pipeline import background_build
from rtface.pipeline.background_build import Order
from rtface.pipeline.parity import refer
from rtface.sources.demo import open as open_demo
from rtface.system import System
from rtface.types import FrameResult, Image
from tests.backends.simulation import SimulatedGpu, simulated_gpu
from tests.fakes import ScriptedSource
from tests.models.given import weights

FRAMES = 30
LOOKS = 10
"""Looks after which the build is done."""


@dataclass
class Room:
    """A folder of engines and a simulated card."""

    gpu: SimulatedGpu
    engines_dir: Path
    gallery: Path

    def system(self, *, at_once: bool = True) -> System:
        settings = {"engines_dir": self.engines_dir, "gallery": self.gallery, "backend": "tensorrt", "offline": True}
        return System(load_config(None, settings), at_once=at_once)

    def build(self, graph: Path) -> None:
        """A simulated engine with the manifest that the builder writes."""
        engine = self.gpu.build(graph, pictures=(32, 2048))
        content = engine.read_bytes()
        origin = Origin(graph.parent.name, graph.name.split(".")[0], "fp16", graph.parent.name, "", "")
        manifest = EngineManifest(
            origin=origin,
            graph_sha256="",
            flavour=Flavour.TENSORRT,
            version=self.gpu.version,
            capability=self.gpu.capability,
            max_batch=32,
            profile={},
            layers=1,
            build_seconds=0.1,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        manifest_of(engine).write_text(manifest.text())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every graph these tests need, and no engine."""
    folder = tmp_path_factory.mktemp("engines")
    for name in ("facenet", "yunet"):
        weights(name)
    (folder / "weights").symlink_to(load_config().engines_dir.resolve() / "weights")
    engines = Engines(load_config(None, {"engines_dir": folder, "backend": "tensorrt"}), ModelStore(folder))
    for part in (engines, engines.on_cpu(), engines.on_cpu("fp32")):
        graphs(part)
    return folder


@pytest.fixture
def room(models: Path, tmp_path: Path) -> Iterator[Room]:
    shutil.copytree(models, tmp_path / "engines", symlinks=True)
    with simulated_gpu() as gpu:
        yield Room(gpu, tmp_path / "engines", tmp_path / "gallery.db")


class SimulatedBuild:
    """Stands in for the process that builds: done after so many looks, then engines and reference are there."""

    def __init__(self, room: Room, reference: Path, spoil: Callable[[Path], Path], error: str) -> None:
        self._room, self._reference, self._spoil, self._error = room, reference, spoil, error
        self._looks = 0
        self.progress = "Building facenet.fp16 for sm86 43 %"

    def finished(self) -> bool:
        self._looks += 1
        if self._looks < LOOKS:
            return False
        if self._error:
            raise BackendError(self._error)
        with self._room.system() as system:
            engines = system.engines
            for graph in graphs(engines):
                self._room.build(self._spoil(graph))
            with closing(engines.on_cpu("fp32").parts()) as parts:
                refer(parts.detector, parts.embedder).save(self._reference)
        return True

    def close(self) -> None:
        pass


def graphs(engines: Engines) -> list[Path]:
    """Of detector and embedder, at the precision of the card."""
    specs = (engines.detector_spec, engines.embedder_spec)
    return [path for spec in specs for path in engines._graphs(spec).values()]


def install(
    monkeypatch: pytest.MonkeyPatch, room: Room, *, spoil: Callable[[Path], Path] = lambda path: path, error: str = ""
) -> list[Order]:
    orders: list[Order] = []

    def start(order: Order) -> SimulatedBuild:
        orders.append(order)
        return SimulatedBuild(room, order.reference, spoil, error)

    monkeypatch.setattr(background_build, "BackgroundBuild", start)
    return orders


@cache
def film() -> tuple[Image, ...]:
    """The first second of the demonstration."""
    with closing(open_demo()) as source:
        return tuple(frame.image for frame in islice(source.frames(), FRAMES))


def demo(system: System, frames: int = FRAMES) -> list[FrameResult]:
    """Results of the demonstration, three of six people enrolled."""
    enroll_demo(system)
    return list(system.stream_from([ScriptedSource(film()[:frames])]))


def test_serves_at_once_and_moves_to_the_card_between_two_frames(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    orders = install(monkeypatch, room)
    with caplog.at_level(logging.INFO), room.system() as system:
        results = demo(system)
        assert system.embedder.backend == "tensorrt fp16"
    told = [result for result in results if not result.repeated]
    assert [result.frame.index for result in told] == list(range(FRAMES))
    assert [order.capability for order in orders] == [None]
    assert orders[0].settings["backend"] == "tensorrt"
    notices = [result.notice for result in told]
    assert notices[1:LOOKS] == ["Building facenet.fp16 for sm86 43 %"] * (LOOKS - 1)
    assert notices[LOOKS : LOOKS + 3] == ["Opening engines", "Comparing engines", ""]
    assert "the card takes over: worst cosine" in caplog.text
    engines = [event.backend for result in results for event in result.events]
    assert engines[0] == "onnxruntime int8"
    assert engines[-1] == "tensorrt fp16"
    # A track that has a name keeps it over the change.
    named = [{track.id: track.identity.person for track in r.tracks if track.identity} for r in told]
    assert {name for name in named[-1].values() if name} == {"Left", "Middle", "Right"}
    for number, name in named[LOOKS].items():
        if name is not None:
            assert {later.get(number) for later in named[LOOKS:]} == {name}
    assert room.gpu.machine.left_over() == []


def test_the_next_start_takes_the_proved_engines_and_builds_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = install(monkeypatch, room)
    with room.system() as system:
        demo(system, frames=20)
    with room.system() as system:
        results = demo(system, frames=5)
        assert system.embedder.backend == "tensorrt fp16"
    assert {result.notice for result in results} == {""}
    assert {event.backend for result in results for event in result.events} == {"tensorrt fp16"}
    assert len(orders) == 1


def noisy(graph: Path) -> Path:
    """The embedder's graph replaced by one whose weights are off by a fifth."""
    if "facenet" in graph.name:
        model, rng = onnx.load(graph), np.random.default_rng(3)
        for item in model.graph.initializer:
            values = numpy_helper.to_array(item)
            if values.ndim == 4:
                off = values + 0.2 * values.std() * rng.normal(size=values.shape)
                item.CopyFrom(numpy_helper.from_array(off.astype(values.dtype), item.name))
        onnx.save(model, graph)
    return graph


@pytest.mark.parametrize(
    ("spoil", "error", "reason"),
    [
        (noisy, "", r"does not compute what its network should: worst cosine 0\.\d+ of 24 faces"),
        (lambda path: path, "The parser stopped at node X.", r"The parser stopped at node X\."),
    ],
    ids=["another network", "no engine"],
)
def test_what_fails_keeps_the_cpu_and_says_why(
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], Path],
    error: str,
    reason: str,
) -> None:
    install(monkeypatch, room, spoil=spoil, error=error)
    with room.system() as system:
        results = demo(system)
        assert system.embedder.backend == "onnxruntime int8"
    assert {event.backend for result in results for event in result.events} == {"onnxruntime int8"}
    assert results[-1].notice == results[20].notice == "on the CPU: no engine for the card"
    (record,) = [record for record in caplog.records if "the CPU goes on" in record.message]
    assert re.search(reason, record.getMessage())
    with room.system() as system:
        assert not system.engines.ready()  # and what was not proved is not taken next time either


def test_without_at_once_nothing_runs_before_the_engines_are_there(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(self: Engines, *, capability: str | None = None) -> None:
        for graph in graphs(self):
            room.build(graph)
            built.append(graph.name)

    monkeypatch.setattr(Engines, "build", build)
    with room.system(at_once=False) as system:
        assert system.embedder.backend == "tensorrt fp16"
    assert built == ["yunet.fp16.onnx", "facenet.fp16.onnx"]
