"""An engine loaded on the card: TensorRT's objects for it, its memory, and the order in which they come and go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtface.backends import _fitting
from rtface.backends._cuda import CPU_INSTEAD, newest_cuda
from rtface.backends._kernels import Kernels
from rtface.backends._recorder import recorder
from rtface.backends._tensorrt import Library
from rtface.backends._tensors import Place, Tensor, inputs_of, outputs_of
from rtface.engine_files import Flavour
from rtface.errors import BackendError


@dataclass(slots=True)
class Loaded:
    """What has been loaded so far, so that whatever is there can be freed, also when loading fails halfway.

    Attributes:
        recorder, runtime, engine, execution: TensorRT's; ``execution`` is its execution context.
        stream: the one on which everything happens, in order.
        inputs, outputs: by name.
        places: of each.
        kernels: of TensorRT for RTX.
    """

    recorder: Any = None
    runtime: Any = None
    engine: Any = None
    execution: Any = None
    stream: Any = None
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    kernels: Kernels | None = None

    def wait(self) -> None:
        """Returns when all that was begun is done."""
        if self.stream is not None:
            self.stream.synchronize()

    def said(self) -> str:
        """What TensorRT has complained of."""
        return "; ".join(self.recorder.taken()) or "it does not say why"

    def free(self) -> None:
        """Gives everything back, users before what they use."""
        if self.kernels is not None:
            self.kernels.save()
        self.execution = self.kernels = None
        self.engine = None
        self.runtime = None
        while self.places:
            self.places.popitem()[1].free()
        self.stream = None


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads the engine of a graph."""

    graph: Path
    engine: Path
    library: Library
    driver: Any
    cuda_graphs: bool

    def load(self, into: Loaded) -> None:
        """Fills in everything; the CUDA context is current.

        Raises:
            EngineUnready: the engine's file is damaged or not what its name says.
            DriverUnavailable: the driver is too old for this TensorRT.
            BackendError: there is no room for it, or TensorRT cannot do what is asked.
        """
        trt = self.library.trt
        content = _fitting.read(self.engine, self.graph)
        into.recorder = recorder(trt)
        into.runtime = self._runtime(into)
        into.engine = into.runtime.deserialize_cuda_engine(content)
        if into.engine is None:
            raise self._refusal(into, len(content))
        into.engine.error_recorder = into.recorder
        into.inputs = inputs_of(into.engine, trt)
        into.execution = self._execution(into)
        if into.execution is None:
            # TensorRT 10.0 has it by the old name alone.
            wanted = getattr(into.engine, "device_memory_size_v2", None) or into.engine.device_memory_size
            raise self._refusal(into, wanted)
        into.execution.error_recorder = into.recorder
        for name, tensor in into.inputs.items():
            if not into.execution.set_input_shape(name, tensor.largest):
                raise BackendError(f"TensorRT refuses {name} of {self.engine} in {tensor.largest}: {into.said()}.")
        into.outputs = outputs_of(into.engine, trt, into.execution, self.graph.name)
        into.stream = self.driver.Stream()
        self._allocate(into)

    def _runtime(self, into: Loaded) -> Any:
        with self.library.listening() as heard:
            try:
                runtime = self.library.trt.Runtime(self.library.logger)
            except TypeError as error:  # how the bindings tell that there is none
                raise self._refused(heard) from error
        runtime.error_recorder = into.recorder
        return runtime

    def _execution(self, into: Loaded) -> Any:
        """The execution context, with the memory the largest shapes need; None if TensorRT refuses."""
        if self.library.flavour is not Flavour.RTX:
            if self.cuda_graphs:
                raise BackendError(
                    f"{self.library.name} has no CUDA graphs of its own and pycuda records none; tensorrt-rtx has."
                )
            return into.engine.create_execution_context()
        config = into.engine.create_runtime_config()
        into.kernels = Kernels(self.engine, config.create_runtime_cache())
        config.set_runtime_cache(into.kernels.cache)
        if self.cuda_graphs:
            config.cuda_graph_strategy = self.library.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return into.engine.create_execution_context(runtime_config=config)

    def _allocate(self, into: Loaded) -> None:
        """Room for every tensor, whose addresses stay the same from now on."""
        tensors = {**into.inputs, **into.outputs}
        free = self._free()
        for name, tensor in tensors.items():
            try:
                into.places[name] = Place.allocate(self.driver, tensor)
            except self.driver.MemoryError as error:
                wanted = sum(tensor.bytes for tensor in tensors.values())
                raise self._full(into, wanted, free, str(error)) from error
            into.execution.set_tensor_address(name, into.places[name].address)

    def _refusal(self, into: Loaded, wanted: int) -> BackendError:
        """What it means that TensorRT does not load the engine, for which it needs so many bytes."""
        told = into.recorder.taken()
        if "outofmemory" in "".join(told).casefold().replace(" ", ""):
            return self._full(into, wanted, self._free(), "; ".join(told))
        return self._refused(told)

    def _refused(self, told: list[str]) -> BackendError:
        return _fitting.refused(self.engine, self.graph, self.library, told, newest_cuda(self.driver))

    def _free(self) -> int:
        free: int = self.driver.mem_get_info()[0]
        return free

    def _full(self, into: Loaded, wanted: int, free: int, why: str) -> BackendError:
        batch = max((tensor.largest[0] for tensor in into.inputs.values() if tensor.batched), default=1)
        command = f"{_fitting.command(self.graph)} --max-batch {batch // 2}"
        smaller = f", or build it for fewer at once: {command}" if batch > 1 else ""
        return BackendError(
            f"There is no room for the engine {self.engine}: it wants {wanted / 1e6:.1f} MB, {free / 1e6:.1f} MB are "
            f"free on the card ({why}). Close what else uses the card (nvidia-smi){smaller}. {CPU_INSTEAD}"
        )
