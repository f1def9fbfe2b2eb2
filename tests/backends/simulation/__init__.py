"""A simulated NVIDIA card, driver, pycuda and TensorRT, for tests of what rtface does with them.

It is a simulation: nothing here runs on a GPU, and what it proves is the order and the arguments of rtface's calls, and
that results come through them unchanged. The graph itself is computed by ONNX Runtime.

::

    with simulated_gpu() as gpu:
        gpu.build(graph)
        backend = registry.load("backends", "tensorrt").open(graph)
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from rtface.backends import _tensorrt
from rtface.engine_files import EngineKey, Flavour, digest_of
from tests.backends.simulation.driver import driver_on
from tests.backends.simulation.library import library_on
from tests.backends.simulation.machine import Machine, Misuse
from tests.backends.simulation.recipe import Recipe, profile_of

__all__ = ["Misuse", "SimulatedGpu", "simulated_gpu"]

VERSIONS = {Flavour.TENSORRT: "10.13.2.6", Flavour.RTX: "1.7.1.116"}


class SimulatedGpu:
    """The simulated card and library; ``machine`` tells what was asked of it and takes faults."""

    def __init__(self, capability: str, flavour: Flavour, version: str) -> None:
        major, minor = capability.split(".")
        self.machine = Machine((int(major), int(minor)))
        self.capability, self.flavour, self.version = capability, flavour, version

    def key(self, graph: Path) -> EngineKey:
        """What an engine of a graph has to be for to serve here."""
        return EngineKey(self.flavour, self.version, self.capability, digest_of(graph))

    def build(
        self,
        graph: Path,
        *,
        largest: int = 32,
        pictures: tuple[int, int] = (12, 256),
        capability: str | None = None,
        version: str | None = None,
    ) -> Path:
        """The file of a simulated engine, written where the builder would write it.

        Args:
            graph: ONNX.
            largest: batch.
            pictures: smallest and largest side of a picture of free size, px.
            capability, version: which the content is for, where that is not what the name says.
        """
        major, minor = (capability or self.capability).split(".")
        profile = profile_of(graph, largest, pictures)
        recipe = Recipe(str(graph), version or self.version, (int(major), int(minor)), profile)
        path = self.key(graph).path(graph)
        path.write_bytes(recipe.pack())
        return path


@contextmanager
def simulated_gpu(
    capability: str = "8.6", *, flavour: Flavour = Flavour.TENSORRT, version: str | None = None
) -> Iterator[SimulatedGpu]:
    """A simulated card and TensorRT, for as long as the block lasts, in place of any that are installed.

    Raises:
        Misuse: at the end, for what was done wrong and for what was not given back.
    """
    gpu = SimulatedGpu(capability, flavour, version or VERSIONS[flavour])
    modules: dict[str, Any] = {other.package: None for other in Flavour}
    modules[flavour.package] = library_on(gpu.machine, flavour, gpu.version)
    finder = _Pycuda(gpu.machine)
    _tensorrt._imported.cache_clear()
    gone = [name for name in sys.modules if name.split(".")[0] == "pycuda"]
    try:
        with mock.patch.dict(sys.modules, modules), mock.patch.object(sys, "meta_path", [finder, *sys.meta_path]):
            for name in gone:
                del sys.modules[name]
            yield gpu
    finally:
        _tensorrt._imported.cache_clear()
    wrong = [*gpu.machine.misuses, *(f"left over: {what}" for what in gpu.machine.left_over())]
    if wrong:
        raise Misuse("; ".join(wrong))


class _Pycuda(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the simulation where pycuda is asked for; fails as the real one does without a driver's library."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname not in ("pycuda", "pycuda.driver"):
            return None
        return ModuleSpec(fullname, self, is_package=fullname == "pycuda")

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if spec.name == "pycuda":
            return None
        if self._machine.faults.no_library:
            raise ImportError(self._machine.faults.no_library)
        return driver_on(self._machine)

    def exec_module(self, module: ModuleType) -> None:
        pass
