"""Where a TensorRT engine lies and what its file's name says: the graph it was built from, by what, and for which card.

An engine stands beside its graph. ``facenet.fp16.onnx`` becomes, for one card and one TensorRT,
``facenet.fp16.tensorrt-10.13.2.6.sm86.0123456789ab.engine``; beside it a ``.json`` of the same name tells how it was
built. Anything in the name that differs makes another file, so that a stale engine is never taken for a good one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


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
        return "sm" + self.capability.replace(".", "")

    def path(self, graph: Path) -> Path:
        """The engine's file for a graph ``<name>.onnx``."""
        return graph.with_name(f"{graph.stem}.{self.flavour}-{self.version}.{self.card}.{self.digest}.engine")


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


def digest_of(graph: Path) -> str:
    """The first 12 hex digits of a graph's sha256."""
    with graph.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
