"""The networks of one system on engines: which backend serves, at what precision; opened, built and proved."""

from __future__ import annotations

import importlib.util
import logging
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rtface import registry
from rtface.backends import _tensorrt
from rtface.config import Config
from rtface.engine_files import EngineKey, Flavour, digest_of
from rtface.errors import BackendError, MissingLibrary
from rtface.models.fetch import silent
from rtface.models.spec import ModelSpec, Precision, Task

if TYPE_CHECKING:
    from rtface.interfaces import Backend, Detector, Embedder
    from rtface.models.fetch import Report
    from rtface.models.store import ModelStore
    from rtface.pipeline.parity import Parity, Reference
    from rtface.pipeline.upgrade import Parts

log = logging.getLogger(__name__)

CPU, CARD = "onnxruntime", "tensorrt"
VERIFY_FAR = 1e-3
"""False accept rate at which two pictures count as one person. Source: FaceNet paper, section 4."""


class Engines:
    """Detector and embedder of the settings, on whichever engines the settings and this machine want."""

    def __init__(self, config: Config, models: ModelStore, *, report: Report | None = None) -> None:
        """Args: ``report`` is told how building goes: (label, done, total)."""
        self._config = config
        self._models = models
        self._report = report

    @cached_property
    def backend(self) -> str:
        """What runs the networks; ``auto`` is the card where its libraries are installed and it answers, or the CPU."""
        if self._config.backend != "auto":
            return self._config.backend
        if not importlib.util.find_spec("pycuda") or not any(
            importlib.util.find_spec(flavour.package) for flavour in Flavour
        ):
            return CPU
        try:
            registry.load("backends", CARD).card()
        except (BackendError, MissingLibrary) as error:
            log.warning("TensorRT is installed, but the CPU serves: %s", error)
            return CPU
        return CARD

    def on_cpu(self, precision: Literal["auto", "fp32"] = "auto") -> Engines:
        """The same networks on the CPU."""
        config = self._config.model_copy(update={"backend": CPU, "precision": precision, "crop_in_graph": False})
        return Engines(config, self._models, report=self._report)

    def precision_of(self, spec: ModelSpec) -> Precision:
        """What a model computes in here: as the settings want it, where the model and the engine have it."""
        wanted, detects = self._config.precision, spec.task is Task.DETECTOR
        if self.backend == CARD:
            if detects and wanted == "int8":
                return Precision.FP16  # in bytes detectors miss one face in 200 that they find in float16
            able = Precision({"auto": "fp16", "int8": "int8-signed"}.get(wanted, wanted))
            return able if not detects or able in spec.precisions else Precision.FP16
        if detects:
            return Precision.FP32
        if wanted == "auto":
            return Precision.INT8 if Precision.INT8 in spec.precisions else Precision.FP32
        return Precision(wanted)

    @cached_property
    def detector_spec(self) -> ModelSpec:
        """What models.toml says of the detector."""
        return self._spec(self._config.detector, Task.DETECTOR)

    @cached_property
    def embedder_spec(self) -> ModelSpec:
        """What models.toml says of the embedding model."""
        return self._spec(self._config.embedder, Task.EMBEDDER)

    def _spec(self, name: str, task: Task) -> ModelSpec:
        from rtface.models.catalogue import find

        return find({key: spec for key, spec in self._models.models.items() if spec.task is task}, name, kind=task)

    def detector(self) -> Detector:
        """The detector, opened; the caller closes it."""
        config, spec = self._config, self.detector_spec
        detector: Detector = registry.load("detectors", spec.builder).open(
            self._graphs(spec),
            self._open,
            min_score=None if config.min_score == "auto" else config.min_score,
            min_face_px=config.min_face_px,
        )
        return detector

    def embedder(self) -> Embedder:
        """The embedding model, opened; the caller closes it."""
        from rtface.embedding.embedder import ModelEmbedder
        from rtface.embedding.in_frame import InFrameEmbedder

        spec = self.embedder_spec
        (graph,) = self._graphs(spec).values()
        kind = InFrameEmbedder if self._config.crop_in_graph else ModelEmbedder
        return kind(spec, self._open(graph), precision=self.precision_of(spec))

    def parts(self) -> Parts:
        """Both of them."""
        from rtface.pipeline.upgrade import Parts

        detector = self.detector()
        try:
            return Parts(detector, self.embedder())
        except BaseException:
            detector.close()
            raise

    def files(self) -> list[Path]:
        """The engine files for the card in this machine, one a graph, whether they are there or not.

        Raises:
            BackendError: there is no card that answers.
            MissingLibrary: pycuda or TensorRT is not installed.
        """
        library = _tensorrt.load()
        capability = registry.load("backends", CARD).card().capability
        return [
            EngineKey(library.flavour, library.version, capability, digest_of(graph)).path(graph)
            for spec in (self.detector_spec, self.embedder_spec)
            for graph in self._graphs(spec).values()
        ]

    def ready(self) -> bool:
        """Whether every engine for the card is there and has been found right."""
        from rtface.pipeline.parity import proved

        return all(proved(engine) for engine in self.files())

    def build(self, *, capability: str | None = None) -> None:
        """Builds the engines that are not there; for the card in this machine if no compute capability is named."""
        from rtface.engine_builder import build_model, target

        wanted = target(_tensorrt.load(), capability)
        for spec in (self.detector_spec, self.embedder_spec):
            inside, precision = self.in_frame(spec), self.precision_of(spec)
            for _ in build_model(
                self._models, spec.name, precision, wanted, in_frame=inside, report=self._report or silent
            ):
                pass

    def prepare(self) -> Parity:
        """Builds what is missing and compares all of it, so that ``parts`` may serve.

        Raises:
            BackendError: it cannot be built, or does not compute what its networks should.
        """
        from rtface.pipeline.parity import refer

        self.build()
        with closing(self.on_cpu("fp32").parts()) as plain:
            reference = refer(plain.detector, plain.embedder)
        with closing(self.parts()) as parts:
            return self.prove(reference, parts)

    def prove(self, reference: Reference, parts: Parts) -> Parity:
        """Compares opened engines with their networks in float32, and notes it.

        Raises:
            BackendError: they do not agree.
        """
        from rtface.pipeline.parity import compare, demand, record

        spec = self.embedder_spec
        limit = spec.limits[VERIFY_FAR]
        parity = compare(reference, parts.detector, parts.embedder, limit=limit, precision=self.precision_of(spec))
        demand(parity, f"{self._config.detector} and {spec.name} on {parts.embedder.backend}")
        for engine in self.files():
            record(engine, parity)
        return parity

    def in_frame(self, spec: ModelSpec) -> bool:
        """Whether a model's network cuts the faces out itself."""
        return self._config.crop_in_graph and spec.task is Task.EMBEDDER

    def _graphs(self, spec: ModelSpec) -> dict[str, Path]:
        graphs = self._models.in_frame if self.in_frame(spec) else self._models.graphs
        return graphs(spec.name, self.precision_of(spec))

    def _open(self, graph: Path) -> Backend:
        backend: Backend = registry.load("backends", self.backend).open(graph, threads=self._config.threads)
        return backend
