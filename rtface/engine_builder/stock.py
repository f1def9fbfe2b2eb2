"""The engines on disk: which of them serve, which are stale and why, which are damaged."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rtface import registry
from rtface.backends._tensorrt import Library, load
from rtface.engine_files import (
    EngineKey,
    EngineManifest,
    Flavour,
    Origin,
    digest_of,
    graph_of,
    key_of,
    manifest_of,
    read_manifest,
)
from rtface.errors import BackendError, MissingLibrary
from rtface.models.files import sha256_of
from rtface.models.spec import Precision

Libraries = Mapping[Flavour, Library]


@dataclass(frozen=True, slots=True)
class Stored:
    """An engine on disk.

    Attributes:
        path: its file.
        key: what its name says.
        origin: what it computes; as far as names tell it where the manifest is not there.
        manifest: how it was built; None where that cannot be read.
        bytes: of its file.
        stale: why it does not serve any more; empty when it does.
    """

    path: Path
    key: EngineKey
    origin: Origin
    manifest: EngineManifest | None
    bytes: int
    stale: tuple[str, ...]


def installed() -> dict[Flavour, Library]:
    """The TensorRTs of this machine."""
    found = {}
    for flavour in Flavour:
        with suppress(MissingLibrary):
            found[flavour] = load(flavour)
    return found


def stored(engines_dir: Path, libraries: Libraries) -> list[Stored]:
    """Every engine under a folder of models, by name; those for other cards too, which may be meant for elsewhere."""
    digest = cache(digest_of)
    found = []
    for path in sorted(engines_dir.glob("*/*.engine")):
        key = key_of(path)
        if key is not None:
            manifest = read_manifest(path)
            origin = manifest.origin if manifest else _origin_by_name(path)
            size = path.stat().st_size
            graph = graph_of(path)
            stale = [*_of_its_graph(graph, key, digest(graph) if graph.is_file() else None)]
            stale += [*_of_its_library(key, libraries), *_of_its_file(manifest, size)]
            found.append(Stored(path, key, origin, manifest, size, tuple(stale)))
    return found


def _origin_by_name(engine: Path) -> Origin:
    name, _, precision = graph_of(engine).stem.partition(".")
    return Origin(engine.parent.name, name, precision or Precision.FP32, "", "", "")


def _of_its_graph(graph: Path, key: EngineKey, digest: str | None) -> list[str]:
    if digest is None:
        return [f"its graph {graph.name} is gone"]
    return [] if digest == key.digest else [f"its graph {graph.name} has changed"]


def _of_its_library(key: EngineKey, libraries: Libraries) -> list[str]:
    library = libraries.get(key.flavour)
    return [f"{library.name} is installed"] if library and library.version != key.version else []


def _of_its_file(manifest: EngineManifest | None, size: int) -> list[str]:
    if manifest is None:
        return ["its manifest is missing or cannot be read"]
    return [] if size == manifest.bytes else [f"it has {size} of {manifest.bytes} bytes"]


def complaints(engine: Stored, libraries: Libraries) -> list[str]:
    """What is wrong with an engine, read through, and loaded where this machine has its card; [] if all is well."""
    told = list(engine.stale)
    if engine.manifest and engine.bytes == engine.manifest.bytes and sha256_of(engine.path) != engine.manifest.sha256:
        told.append("it has been changed or damaged")
    if not told and engine.key.flavour in libraries and engine.key.capability == card_here():
        told += _of_the_card(engine)
    return told


@cache
def card_here() -> str | None:
    """Compute capability of the card in this machine, such as ``8.6``; None where there is none to ask."""
    try:
        capability = registry.load("backends", "tensorrt").card().capability
    except (BackendError, MissingLibrary):
        return None
    return str(capability)


def _of_the_card(engine: Stored) -> list[str]:
    try:
        registry.load("backends", "tensorrt").open(graph_of(engine.path), flavour=engine.key.flavour).close()
    except BackendError as error:
        return [str(error)]
    return []


def command(engine: Stored) -> str:
    """What builds an engine anew."""
    precision = engine.origin.precision.removesuffix("-signed")  # as the command line calls it
    card = f"--flavour {engine.key.flavour} --gpu {engine.key.capability}"
    return f"rtface engine build {engine.origin.model} --precision {precision} {card} --force"


def remove(engine: Stored) -> None:
    """Deletes an engine and its manifest.

    Raises:
        BackendError: the folder does not permit it.
    """
    try:
        engine.path.unlink(missing_ok=True)
        manifest_of(engine.path).unlink(missing_ok=True)
    except OSError as error:
        raise BackendError(f"The engine {engine.path} cannot be removed: {error.strerror or error}.") from error
