"""A simulation of ``tensorrt`` and ``tensorrt_rtx``: what rtface's backend uses of them, by the same names.

An engine names an ONNX graph, and ONNX Runtime computes it on the CPU. ``test_simulation.py`` compares names and
parameters with the real bindings.
"""

from __future__ import annotations

import json
import math
import weakref
from enum import Enum, IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from rtface.engine_files import Flavour
from tests.backends.simulation.machine import Machine
from tests.backends.simulation.network import TYPES, DataType, Network
from tests.backends.simulation.recipe import END, MAGIC, Recipe

INSUFFICIENT = (
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at checkMacros.cpp:250 "
    "(cudaError 35: CUDA driver version is insufficient for CUDA runtime version))"
)
"""What TensorRT for RTX 1.7.1 says on a machine without a driver."""


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class ErrorCodeTRT(IntEnum):
    UNSPECIFIED_ERROR = 1
    INTERNAL_ERROR = 2
    INVALID_ARGUMENT = 3
    FAILED_EXECUTION = 7


class CudaGraphStrategy(Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class ILogger:
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3

    INTERNAL_ERROR, ERROR, WARNING, INFO = Severity


class IErrorRecorder:
    pass


def library_on(machine: Machine, flavour: Flavour, version: str) -> ModuleType:
    """A module ``tensorrt`` or ``tensorrt_rtx`` for this card."""
    trt = ModuleType(flavour.package)
    trt.__spec__ = ModuleSpec(flavour.package, None)
    trt.__version__ = version  # type: ignore[attr-defined]
    parts: list[Any] = [DataType, TensorIOMode, ErrorCodeTRT, ILogger, IErrorRecorder]
    parts += [_runtime(machine, flavour, version), _nptype]
    if flavour is Flavour.RTX:
        parts.append(CudaGraphStrategy)
    for part in parts:
        setattr(trt, part.__name__.lstrip("_"), part)
    return trt


def _nptype(trt_type: DataType) -> type[np.generic]:
    found: type[np.generic] = trt_type.value.type
    return found


class Told:
    """Anything that has an error recorder."""

    error_recorder: Any = None

    def complain(self, code: ErrorCodeTRT, text: str) -> None:
        self.error_recorder.report_error(code, text)


def _runtime(machine: Machine, flavour: Flavour, version: str) -> type:
    class Runtime(Told):
        def __init__(self, logger: ILogger) -> None:
            machine.call("Runtime")
            if machine.faults.no_runtime:
                logger.log(ILogger.ERROR, "CUDA initialization failure with error: 35")  # type: ignore[attr-defined]
                raise TypeError("pybind11::init(): factory function returned nullptr")
            weakref.finalize(self, machine.calls.append, "runtime destroyed")

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            machine.call("deserialize_cuda_engine")
            for complaint in _complaints(machine, serialized_engine, version):
                self.complain(ErrorCodeTRT.UNSPECIFIED_ERROR, complaint)
                return None
            return ICudaEngine(machine, Recipe.unpack(serialized_engine), flavour)

    return Runtime


def _complaints(machine: Machine, content: bytes, version: str) -> list[str]:
    """What is wrong with an engine's file, in the words of TensorRT 10 and TensorRT for RTX 1.7.1."""
    if not content.startswith(MAGIC):
        return ["Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed."]
    if not content.endswith(END):
        return ["Serialization assertion plan.header.size == blobSize failed. In parsePlan at runtime.cpp:780"]
    if machine.faults.old_driver:
        return [INSUFFICIENT]
    if machine.faults.full_for_engine == "engine":
        return ["Error Code 2: OutOfMemory (Requested size was 123456789 bytes.)"]
    if machine.faults.refuse_engine:
        return [machine.faults.refuse_engine]
    recipe = Recipe.unpack(content)
    if recipe.version != version:
        return [
            "The engine plan file is not compatible with this version of TensorRT, expecting library version "
            f"{version} got {recipe.version}, please rebuild."
        ]
    if recipe.capability != machine.capability:
        return ["The engine plan file is generated on an incompatible device, please rebuild."]
    return []


class ICudaEngine(Told):
    """Computes a graph through ONNX Runtime."""

    def __init__(self, machine: Machine, recipe: Recipe, flavour: Flavour) -> None:
        self.network = Network(recipe)
        self._machine = machine
        self.device_memory_size_v2 = 55_000_000
        self._flavour = flavour
        weakref.finalize(self, machine.calls.append, "engine destroyed")

    @property
    def num_io_tensors(self) -> int:
        return len(self.network.tensors)

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = list(self.network.tensors)
        return names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.network.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[self.network.tensors[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(side if isinstance(side, int) else -1 for side in self.network.tensors[name].shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(shape) for shape in self.network.recipe.profile[name]]

    def create_runtime_config(self) -> IRuntimeConfig:
        if self._flavour is not Flavour.RTX:
            raise self._machine.misuse("TensorRT 10.0 has no runtime configuration")
        return IRuntimeConfig()

    def create_execution_context(self, runtime_config: Any = None) -> IExecutionContext | None:
        self._machine.call("create_execution_context")
        if runtime_config is not None:
            self._machine.calls.append(f"cuda graphs: {runtime_config.cuda_graph_strategy.name}")
        if self._machine.faults.full_for_engine == "context":
            self.complain(ErrorCodeTRT.INTERNAL_ERROR, "Error Code 2: OutOfMemory (no further information)")
            return None
        return IExecutionContext(self._machine, self.network, runtime_config)


class IRuntimeConfig:
    """Of TensorRT for RTX."""

    cuda_graph_strategy = CudaGraphStrategy.DISABLED
    cache: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self.cache = cache
        return True


class IRuntimeCache:
    """Of TensorRT for RTX: kernels compiled so far, here a list of shapes."""

    MAGIC = b"SIMULATED KERNELS"

    def __init__(self) -> None:
        self.kernels: set[str] = set()

    def serialize(self) -> bytes:
        return self.MAGIC + json.dumps(sorted(self.kernels)).encode()

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(self.MAGIC):
            return False
        self.kernels = set(json.loads(blob[len(self.MAGIC) :]))
        return True


class IExecutionContext(Told):
    """One use of an engine."""

    def __init__(self, machine: Machine, network: Network, config: IRuntimeConfig | None) -> None:
        self._machine, self._network, self._config = machine, network, config
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        weakref.finalize(self, machine.calls.append, "execution context destroyed")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._machine.call(f"set_input_shape {name}")
        low, _, high = self._network.recipe.profile.get(name, [shape] * 3)
        if len(low) != len(shape) or not all(a <= side <= b for a, side, b in zip(low, shape, high, strict=True)):
            self.complain(ErrorCodeTRT.INVALID_ARGUMENT, f"setInputShape: {name} {shape} is outside the profile")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._machine.call(f"set_tensor_address {name}")
        self._machine.find(memory, 1)
        self._addresses[name] = memory
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if self._machine.faults.unknown_sizes or self._shapes.keys() != self._network.inputs.keys():
            return (-1,) * len(self._network.tensors[name].shape)
        return self._network.shapes(self._shapes)[name]

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._machine.call("execute_async_v3")
        if self._machine.faults.refuse:
            self.complain(ErrorCodeTRT.FAILED_EXECUTION, self._machine.faults.refuse)
            return False
        if stream_handle not in self._machine.queues:
            raise self._machine.misuse(f"{stream_handle} is no stream")
        given, addresses = dict(self._shapes), dict(self._addresses)
        if missing := self._network.tensors.keys() - addresses.keys():
            raise self._machine.misuse(f"no address for {', '.join(sorted(missing))}")
        if given.keys() != self._network.inputs.keys():
            raise self._machine.misuse("executed before all input shapes were set")
        if self._config is not None and self._config.cache is not None:
            self._config.cache.kernels.add(str(given))
        self._machine.queues[stream_handle].append(lambda: self._compute(given, addresses))
        return True

    def _compute(self, given: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
        arrays = {}
        for name, shape in given.items():
            dtype = TYPES[self._network.inputs[name].type].value
            content = self._machine.read(addresses[name], math.prod(shape) * dtype.itemsize)
            arrays[name] = content.view(dtype).reshape(shape)
        for name, array in self._network.run(arrays).items():
            self._machine.write(addresses[name], np.frombuffer(array.tobytes(), np.uint8))
