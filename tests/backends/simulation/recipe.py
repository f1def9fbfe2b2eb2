"""What stands in the file of a simulated engine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import onnxruntime as ort

MAGIC, END = b"SIMULATED ENGINE\n", b"\nEND\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an engine's file says: the graph it computes, and for whom it was built."""

    graph: str
    version: str
    capability: tuple[int, int]
    profile: dict[str, list[list[int]]]

    def pack(self) -> bytes:
        return MAGIC + json.dumps(asdict(self)).encode() + END

    @classmethod
    def unpack(cls, content: bytes) -> Recipe:
        found = json.loads(content[len(MAGIC) : -len(END)])
        return cls(**{**found, "capability": tuple(found["capability"])})


def profile_of(graph: Path, largest: int, pictures: tuple[int, int]) -> dict[str, list[list[int]]]:
    """The shapes an engine of a graph takes, by the rule of ``rtface.engine_builder.network``: batches of 1 to
    ``largest``; pictures one at a time, their sides between these two."""
    found = {}
    for node in ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).get_inputs():
        free = [not isinstance(side, int) for side in node.shape]
        first = (1, 1) if any(free[1:]) else (1, largest)
        low, high = (
            [(pictures if place else first)[end] if free[place] else side for place, side in enumerate(node.shape)]
            for end in (0, 1)
        )
        if any(free):
            found[node.name] = [low, high, high]
    return found
