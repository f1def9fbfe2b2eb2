"""What a figure was measured on, for whoever compares it with another machine's."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rtface import __version__

if TYPE_CHECKING:
    from rtface.system import System

PACKAGES = (
    "numpy",
    "opencv-python",
    "onnxruntime",
    "hnswlib",
    "insightface",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
)


def version(package: str) -> str:
    """Of an installed package, or that it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def measure(system: System) -> dict[str, object]:
    """The machine, and faces a second of the embedder by itself at each batch."""
    import numpy as np

    from rtface.pipeline.throughput import faces_a_second
    from rtface.sources.demo import portrait

    crops = np.stack([face.crop for face in system.faces(portrait())])
    rates = {batch: round(rate, 1) for batch, rate in faces_a_second(system.embedder, crops).items()}
    return {"machine": _describe(system), "faces_a_second": rates}


def _describe(system: System) -> dict[str, object]:
    """Machine, packages and engines as JSON holds them; names nobody."""
    from rtface.engines import CARD

    engines = system.engines
    return {
        "rtface": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "card": _card() if engines.backend == CARD else None,
        "packages": {package: version(package) for package in PACKAGES},
        "detector": f"{engines.detector_spec.name} {engines.precision_of(engines.detector_spec)}",
        "embedder": f"{engines.embedder_spec.name} {engines.precision_of(engines.embedder_spec)}",
        "backend": engines.backend,
    }


def _processor() -> str:
    """Its name where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _card() -> dict[str, object]:
    from rtface import registry
    from rtface.engines import CARD

    return asdict(registry.load("backends", CARD).card())
