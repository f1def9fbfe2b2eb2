"""Engines on this machine's own card, for the tests marked ``gpu``. They skip where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.backends import tensorrt
from rtface.backends._tensorrt import load
from rtface.engine_builder import build, target
from rtface.engine_files import Origin
from rtface.errors import DriverUnavailable, MissingLibrary


def build_on_card(graph: Path, *, max_batch: int = 32) -> Path:
    """The engine of a graph for the card in this machine; skips the test if it has none."""
    try:
        tensorrt.card()
        library = load()
    except (DriverUnavailable, MissingLibrary) as error:
        pytest.skip(f"needs an NVIDIA card: {error}")
    origin = Origin(graph.parent.name, graph.stem, "fp32", "facenet", "0123456789ab", "MIT")
    return build(graph, origin, target(library, max_batch=max_batch)).path
