"""ONNX graphs to TensorRT engines, whole or not at all, each with a manifest that tells how it was built."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from rtface import registry
from rtface.backends._tensorrt import Library
from rtface.engine_builder import network
from rtface.engine_builder.progress import Stop, monitor
from rtface.engine_files import (
    EngineKey,
    EngineManifest,
    Flavour,
    Origin,
    Shapes,
    manifest_of,
    read_manifest,
    sm,
)
from rtface.errors import BackendError, MissingLibrary
from rtface.models.fetch import Report, silent
from rtface.models.files import beside, sha256_of
from rtface.models.spec import Precision
from rtface.models.store import ModelStore

MAX_BATCH = 32
"""Faces an engine takes at once unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine on disk, how it was built, and whether that was now."""

    path: Path
    manifest: EngineManifest
    new: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What engines are built by and for.

    Attributes:
        library: that builds, and that alone will load them.
        capability: compute capability of the card, such as ``8.6``.
        max_batch: most faces at once, at least 1.
    """

    library: Library
    capability: str
    max_batch: int = MAX_BATCH


def target(library: Library, capability: str | None = None, *, max_batch: int = MAX_BATCH) -> Target:
    """A target that this library can build for on this machine.

    Args:
        library: that builds.
        capability: such as ``8.6``; None is the card in this machine.
        max_batch: most faces at once, at least 1.

    Raises:
        BackendError: TensorRT for RTX does not know the capability, the full TensorRT has another card, or there is no
            card where one is needed.
        MissingLibrary: pycuda, where the card has to be asked.
    """
    if library.flavour is Flavour.RTX and capability is not None:
        known = rtx_capabilities(library)
        if capability not in known:
            raise BackendError(
                f"{library.name} does not build for compute capability {capability}; it does for {', '.join(known)}."
            )
        return Target(library, capability, max_batch)
    here = _card_here(library)
    if capability not in (None, here):
        raise BackendError(
            f"{library.name} builds for the card in this machine, which is {sm(here)}, not {sm(str(capability))}. "
            "Build on a machine with that card, or with --flavour tensorrt-rtx for RTX cards."
        )
    return Target(library, here, max_batch)


def _card_here(library: Library) -> str:
    try:
        return str(registry.load("backends", "tensorrt").card().capability)
    except (BackendError, MissingLibrary) as error:
        if library.flavour is Flavour.RTX:
            raise BackendError(
                f"{str(error).rstrip('.')}. To build for a card elsewhere, name its compute capability: --gpu 8.6"
            ) from error
        raise


def rtx_capabilities(library: Library) -> list[str]:
    """Compute capabilities this TensorRT for RTX can build for without a card, such as ``8.6``, in order."""
    names = [name[2:] for name in library.trt.ComputeCapability.__members__ if name.startswith("SM")]
    return [f"{name[:-1]}.{name[-1]}" for name in sorted(names, key=int)]


def build_model(
    models: ModelStore,
    name: str,
    precision: Precision,
    wanted: Target,
    *,
    in_frame: bool = False,
    force: bool = False,
    report: Report = silent,
) -> Iterator[Engine]:
    """The engine of each of a model's graphs, one after the other; the graphs are fetched and made if need be.

    With ``in_frame`` of an embedder that cuts its faces out itself.

    Raises:
        UnknownModel, ModelUnavailable, ModelBroken, ConfigError: as ``ModelStore.graphs``.
        BackendError: as ``build``.
    """
    spec = models.spec(name)
    graphs = models.in_frame if in_frame else models.graphs
    for part, graph in graphs(name, precision).items():
        origin = Origin(name, part, precision, spec.builder, spec.fingerprint, spec.licence)
        yield build(graph, origin, wanted, force=force, report=report)


def build(graph: Path, origin: Origin, wanted: Target, *, force: bool = False, report: Report = silent) -> Engine:
    """A graph's engine, built unless it is there already. Ctrl-C ends it; whatever ends it leaves nothing half-made.

    One engine is built in a folder at a time: a second process waits, and takes what the first has made.

    Args:
        graph: the ONNX file; the engine lies beside it.
        origin: what the graph computes.
        wanted: by what and for what.
        force: build even what is there.
        report: is told how it goes, in hundredths.

    Raises:
        ModelBroken: the graph cannot be read.
        BackendError: TensorRT cannot build it, or the engine cannot be written; says all that TensorRT said.
    """
    with _writing(graph.parent), _alone(graph.parent, report):
        sha256 = sha256_of(graph)
        key = EngineKey(wanted.library.flavour, wanted.library.version, wanted.capability, sha256[:12])
        path = key.path(graph)
        found = None if force else _current(path, wanted.max_batch)
        if found is not None:
            return Engine(path, found, new=False)
        label = f"Building {graph.stem} for {key.card}"
        report(label, 0, 100)
        manifest = _made(path, graph, sha256, origin, wanted, lambda share: report(label, int(share * 100), 100))
        report(label, 100, 100)
    return Engine(path, manifest, new=True)


@contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    """Waits until no other process builds in this folder, and keeps others waiting."""
    lock = filelock.FileLock(folder / ".engines.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        label = f"Waiting for another build in {folder.name}"
        report(label, 0, 1)
        lock.acquire()
        report(label, 1, 1)
    try:
        yield
    finally:
        lock.release()


def _made(
    path: Path, graph: Path, sha256: str, origin: Origin, wanted: Target, told: Callable[[float], None]
) -> EngineManifest:
    """Builds the engine, writes it and then its manifest."""
    started = time.perf_counter()
    with beside(path) as partial:
        partial.touch()  # a folder that cannot be written to is told before the work and not after it
        parsed = network.parse(graph, wanted.library)
        profile = network.shapes(parsed, origin.builder, wanted.max_batch)
        content = _compiled(parsed, profile, wanted, graph, told)
        partial.write_bytes(content)
    manifest = EngineManifest(
        origin=origin,
        graph_sha256=sha256,
        flavour=wanted.library.flavour,
        version=wanted.library.version,
        capability=wanted.capability,
        max_batch=wanted.max_batch,
        profile=profile,
        layers=parsed.definition.num_layers,
        build_seconds=round(time.perf_counter() - started, 3),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    with beside(manifest_of(path)) as partial:
        partial.write_text(manifest.text(), encoding="utf-8")
    return manifest


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"The engine cannot be written into {folder}: {error.strerror or error}. "
            "Make room or permit writing there, or name another folder with --set engines_dir=DIR."
        ) from error


def _current(path: Path, max_batch: int) -> EngineManifest | None:
    """How an engine that is there was built, if it takes such batches and is there at full length."""
    manifest = read_manifest(path)
    if manifest is None or manifest.max_batch != max_batch or not path.is_file():
        return None
    return manifest if path.stat().st_size == manifest.bytes else None


def _compiled(
    parsed: network.Network, profile: Mapping[str, Shapes], wanted: Target, graph: Path, told: Callable[[float], None]
) -> bytes:
    """The engine's bytes.

    Raises:
        BackendError: it cannot be built; says all that TensorRT said.
        KeyboardInterrupt: Ctrl-C.
    """
    library, stop = wanted.library, Stop()
    config = parsed.builder.create_builder_config()
    network.offer(parsed, config, profile)
    if library.flavour is Flavour.RTX:
        config.num_compute_capabilities = 1
        code = sm(wanted.capability).upper()
        config.set_compute_capability(getattr(library.trt.ComputeCapability, code), 0)
    progress = monitor(library.trt, told, stop)  # held here, for TensorRT does not hold it
    config.progress_monitor = progress
    with library.listening() as heard, stop.on_interrupt(), _remembered(config, wanted, graph):
        content = parsed.builder.build_serialized_network(parsed.definition, config)
    if stop.error is not None:
        raise stop.error
    if content is None:
        raise BackendError(f"{library.name} cannot build {graph}: {'; '.join(heard) or 'it does not say why'}.")
    return bytes(content)


@contextmanager
def _remembered(config: Any, wanted: Target, graph: Path) -> Iterator[None]:
    """Keeps what the full TensorRT has timed, for the next build for this card; the one for RTX times nothing."""
    if wanted.library.flavour is Flavour.RTX:
        yield
        return
    file = timings(graph.parent.parent, wanted)
    known = file.read_bytes() if file.is_file() else b""
    # One of another version or card, or damaged, is refused and a new one begun.
    if not config.set_timing_cache(config.create_timing_cache(known), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    yield
    timed = config.get_timing_cache()
    if timed is not None:
        with beside(file) as partial:
            partial.write_bytes(bytes(timed.serialize()))


def timings(engines_dir: Path, wanted: Target) -> Path:
    """The file of what a library has timed on a card."""
    return engines_dir / f"{wanted.library.flavour}-{wanted.library.version}.{sm(wanted.capability)}.timings"
