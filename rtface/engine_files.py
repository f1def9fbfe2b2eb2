"""Where a TensorRT engine lies and what its file's name says: the graph it was built from, by what, and for which card.

An engine stands beside its graph. ``facenet.fp16.onnx`` becomes, for one card and one TensorRT,
``facenet.fp16.tensorrt-10.13.2.6.sm86.0123456789ab.engine``; beside it a ``.json`` of the same name tells how it was
built. Anything in the name that differs makes another file, so that a stale engine is never taken for a good one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Flavour(StrEnum):
    """Which TensorRT: the full one, or TensorRT for RTX, which builds for a card without having it."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt-rtx"

    @property
    def package(self) -> str:
        """What is imported."""
        return self.value.replace("-", "_")

    @property
    def extra(self) -> str:
        """The extra of rtface that brings it."""
        return "gpu" if self is Flavour.TENSORRT else "rtx"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What makes an engine fit.

    Attributes:
        flavour: of the library that built it; no other loads it.
        version: of that library, all of its numbers; another one refuses the engine.
        capability: the card's compute capability, such as ``8.6``.
        digest: the first 12 hex digits of the graph's sha256.
    """

    flavour: Flavour
    version: str
    capability: str
    digest: str

    @property
    def card(self) -> str:
        """The capability as NVIDIA writes it of code, such as ``sm86``."""
        return sm(self.capability)

    def path(self, graph: Path) -> Path:
        """The engine's file for a graph ``<name>.onnx``."""
        return graph.with_name(f"{graph.stem}.{self.flavour}-{self.version}.{self.card}.{self.digest}.engine")


class Shapes(NamedTuple):
    """The smallest, the usual and the largest shape of an input; the engine is made for the usual one."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]
    largest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What an engine computes.

    Attributes:
        model: its name in models.toml.
        graph: which of its graphs, such as ``rnet``.
        precision: fp32, fp16 or int8-signed.
        builder: the module of ``rtface.models`` that made the graph.
        fingerprint: of the weights and whatever else decides whether embeddings may be compared.
        licence: of the weights; it holds for the engine too.
    """

    model: str
    graph: str
    precision: str
    builder: str
    fingerprint: str
    licence: str


@dataclass(frozen=True, slots=True)
class EngineManifest:
    """How an engine was built.

    Attributes:
        origin: what it computes.
        graph_sha256: of the ONNX graph.
        flavour, version: of the library.
        capability: of the card it is for, such as ``8.6``.
        max_batch: the largest batch asked for.
        profile: {input: shapes it takes}.
        layers: of the network before TensorRT joins them.
        build_seconds: how long the building took.
        bytes, sha256: of the engine file.
    """

    origin: Origin
    graph_sha256: str
    flavour: Flavour
    version: str
    capability: str
    max_batch: int
    profile: Mapping[str, Shapes]
    layers: int
    build_seconds: float
    bytes: int
    sha256: str

    def text(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


_NAME = re.compile(r"\.(?P<flavour>tensorrt(?:-rtx)?)-(?P<version>[\d.]+)\.sm(?P<card>\d+)\.(?P<digest>[0-9a-f]{12})$")


def key_of(engine: Path) -> EngineKey | None:
    """What an engine's name says; None for a name of no engine of ours."""
    found = _NAME.search(engine.stem) if engine.suffix == ".engine" else None
    if found is None:
        return None
    card = found["card"]
    return EngineKey(Flavour(found["flavour"]), found["version"], f"{card[:-1]}.{card[-1]}", found["digest"])


def engines_of(graph: Path) -> list[Path]:
    """All engines ever built for a graph that are still here, of whatever library, card and state of the graph."""
    return sorted(
        path
        for path in graph.parent.glob(f"{graph.stem}.*.engine")
        if (match := _NAME.search(path.stem)) and path.stem[: match.start()] == graph.stem
    )


def manifest_of(engine: Path) -> Path:
    """The file that tells how an engine was built."""
    return engine.with_name(f"{engine.name}.json")


def read_manifest(engine: Path) -> EngineManifest | None:
    """How an engine was built; None when that is not told or cannot be read."""
    try:
        found = json.loads(manifest_of(engine).read_text(encoding="utf-8"))
        found["origin"] = Origin(**found["origin"])
        found["flavour"] = Flavour(found["flavour"])
        found["profile"] = {
            str(name): Shapes(*(tuple(map(int, shape)) for shape in shapes))
            for name, shapes in found["profile"].items()
        }
        return EngineManifest(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def graph_of(engine: Path) -> Path:
    """The graph an engine of ours was built from, whether it is still there or not."""
    found = _NAME.search(engine.stem)
    assert found, f"{engine} is no engine's name"
    return engine.with_name(f"{engine.stem[: found.start()]}.onnx")


def sm(capability: str) -> str:
    """``sm86`` for ``8.6``."""
    return "sm" + capability.replace(".", "")


def digest_of(graph: Path) -> str:
    """The first 12 hex digits of a graph's sha256."""
    with graph.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
