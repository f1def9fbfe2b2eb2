"""Which engine of a graph serves here, and what to say when none does."""

from __future__ import annotations

from pathlib import Path

from rtface.backends._tensorrt import Library
from rtface.engine_files import EngineKey, digest_of, engines_of, key_of, read_manifest
from rtface.errors import BackendError, DriverUnavailable, EngineBroken, EngineMissing, EngineStale


def fitting(graph: Path, library: Library, capability: str) -> Path:
    """The engine of a graph for a library and a card of this compute capability.

    Raises:
        EngineMissing: the graph has none.
        EngineStale: it has some, of other versions, cards or states of the graph.
    """
    key = EngineKey(library.flavour, library.version, capability, digest_of(graph))
    engine = key.path(graph)
    if engine.is_file():
        return engine
    wanted = f"for {library.name} and this card ({key.card})"
    others = [other for path in engines_of(graph) if (other := key_of(path))]
    if not others:
        raise EngineMissing(f"{graph.name} has no engine {wanted} yet. Build it: {command(graph)}")
    told = "; ".join(sorted({_difference(other, key) for other in others}))
    raise EngineStale(f"{graph.name} has no engine {wanted}, only {told}. Build it anew: {command(graph)}")


def read(engine: Path, graph: Path) -> bytes:
    """An engine's file, whole.

    Raises:
        EngineBroken: it is not as long as it was when it was built, or cannot be read.
    """
    try:
        content = engine.read_bytes()
    except OSError as error:
        raise EngineBroken(f"The engine {engine} cannot be read ({error}). Build it anew: {command(graph)}") from error
    manifest = read_manifest(engine)
    if manifest is not None and len(content) != manifest.bytes:
        raise EngineBroken(
            f"The engine {engine} is damaged: {len(content)} bytes instead of {manifest.bytes}. "
            f"Build it anew: {command(graph)}"
        )
    return content


def refused(engine: Path, graph: Path, library: Library, reasons: list[str], cuda: str) -> BackendError:
    """What it means that TensorRT does not load an engine.

    Args:
        engine, graph, library: which.
        reasons: what TensorRT says.
        cuda: the newest CUDA that the driver serves, such as ``12.4``.
    """
    said = "; ".join(reasons) or "it does not say why"
    known = said.casefold()
    # A damaged header is told as a wrong version too, and every failure of a library whose driver is too old ends
    # with that: hence this order.
    if "magictag" in known or "blobsize" in known or not reasons:
        return EngineBroken(f"The engine {engine} is damaged ({said}). Build it anew: {command(graph)}")
    if "insufficient" in known or "failure with error: 35" in known:  # cudaErrorInsufficientDriver
        return DriverUnavailable(
            f"The NVIDIA driver is too old for {library.name}: it serves CUDA up to {cuda}. "
            f"Install a newer driver ({said})"
        )
    if "compatible" in known or "mismatch" in known or "does not match" in known:
        return EngineStale(
            f"The engine {engine} is of another version or card than its name says ({said}). "
            f"Build it anew: {command(graph)}"
        )
    return EngineBroken(f"The engine {engine} cannot be loaded ({said}). Build it anew: {command(graph)}")


def command(graph: Path) -> str:
    """What builds a graph's engine."""
    precision = graph.stem.partition(".")[2] or "fp32"
    return f"rtface engine build {graph.parent.name} --precision {precision}"


def _difference(other: EngineKey, wanted: EngineKey) -> str:
    if other.digest != wanted.digest:
        return "one of an older graph"
    if (other.flavour, other.version) != (wanted.flavour, wanted.version):
        return f"one for {other.flavour} {other.version}"
    return f"one for another card ({other.card})"
