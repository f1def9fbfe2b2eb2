"""What TensorRT's backend says when something is not as it should be, word for word. The card is simulated."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rtface.backends import tensorrt
from rtface.engine_files import EngineKey, EngineManifest, Flavour, Origin, digest_of, manifest_of
from rtface.errors import (
    BackendError,
    DriverUnavailable,
    EngineBroken,
    EngineMissing,
    EngineStale,
    EngineUnready,
    MissingLibrary,
)
from tests.backends import graphs
from tests.backends.simulation import SimulatedGpu, simulated_gpu
from tests.backends.simulation.library import INSUFFICIENT

BUILD = "rtface engine build embedder --precision fp16"
ON_CPU = "--set backend=onnxruntime runs on the CPU."
NO_LIBRARY = "libcuda.so.1: cannot open shared object file: No such file or directory"
OLD_LIBRARY = "_driver.cpython-311-x86_64-linux-gnu.so: undefined symbol: cuCtxCreate_v4"
NO_CARD = "no CUDA-capable device is detected"


@pytest.fixture
def gpu() -> Iterator[SimulatedGpu]:
    with simulated_gpu() as simulated:
        yield simulated


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return graphs.embedder(tmp_path)


def refusal(graph: Path, kind: type[BackendError] = BackendError) -> str:
    with pytest.raises(BackendError) as raised:
        tensorrt.open(graph)
    assert type(raised.value) is kind
    return str(raised.value)


def said(call: Callable[[], object]) -> str:
    """What a failing call says; nothing of it is held on to, as an error's traceback would the driver's objects."""
    with pytest.raises(BackendError) as raised:
        call()
    return str(raised.value)


def test_without_a_driver(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.machine.faults.no_library = NO_LIBRARY
    told = (
        f"There is no NVIDIA driver ({NO_LIBRARY}). Install it, and look with nvidia-smi; a container needs "
        f"--gpus all. {ON_CPU}"
    )
    assert refusal(graph, DriverUnavailable) == told
    assert said(tensorrt.card) == told


def test_driver_older_than_pycuda(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.machine.faults.no_library = OLD_LIBRARY
    assert refusal(graph, DriverUnavailable) == (
        f"The NVIDIA driver is older than the CUDA that pycuda was built with ({OLD_LIBRARY}). Install a newer driver, "
        f"or build pycuda again: pip install --force-reinstall --no-cache-dir --no-deps pycuda. {ON_CPU}"
    )


def test_without_a_card(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.machine.faults.no_card = NO_CARD
    assert refusal(graph, DriverUnavailable) == (
        f"CUDA sees no NVIDIA card (cuInit failed: {NO_CARD}). Look with nvidia-smi and at CUDA_VISIBLE_DEVICES; a "
        f"container needs --gpus all. {ON_CPU}"
    )


def test_driver_that_does_not_answer(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.machine.faults.no_card = "system has unsupported display driver / cuda driver combination"
    assert refusal(graph, DriverUnavailable) == (
        "The NVIDIA driver does not answer (cuInit failed: system has unsupported display driver / cuda driver "
        "combination). Look with nvidia-smi; after an update of the driver the machine has to be restarted. " + ON_CPU
    )


def test_driver_too_old_for_tensorrt(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.build(graph)
    gpu.machine.faults.old_driver = True
    assert refusal(graph, DriverUnavailable) == (
        "The NVIDIA driver is too old for tensorrt 10.13.2.6: it serves CUDA up to 12.4. Install a newer driver "
        f"({INSUFFICIENT})"
    )


def test_tensorrt_that_does_not_start(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.build(graph)
    gpu.machine.faults.no_runtime = True
    assert refusal(graph, DriverUnavailable) == (
        "The NVIDIA driver is too old for tensorrt 10.13.2.6: it serves CUDA up to 12.4. Install a newer driver "
        "(CUDA initialization failure with error: 35)"
    )


def test_engine_that_tensorrt_refuses_for_another_reason(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph)
    gpu.machine.faults.refuse_engine = "Error Code 4: Internal Error (a plugin is missing)"
    assert refusal(graph, EngineBroken) == (
        f"The engine {engine} cannot be loaded (Error Code 4: Internal Error (a plugin is missing)). "
        f"Build it anew: {BUILD}"
    )


def test_pycuda_not_installed(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_gpu():
        monkeypatch.setitem(sys.modules, "pycuda", None)
        with pytest.raises(MissingLibrary) as raised:
            tensorrt.open(graph)
        monkeypatch.undo()
    assert str(raised.value) == (
        "The backend 'tensorrt' needs pycuda, which is not installed: pip install 'rtface[gpu]'"
    )


def test_graph_without_an_engine(gpu: SimulatedGpu, graph: Path) -> None:
    told = f"embedder.fp16.onnx has no engine for tensorrt 10.13.2.6 and this card (sm86) yet. Build it: {BUILD}"
    assert refusal(graph, EngineMissing) == told


def test_engines_of_others_are_told(gpu: SimulatedGpu, graph: Path) -> None:
    digest = digest_of(graph)
    for key in (
        EngineKey(Flavour.TENSORRT, "10.0.1", "8.6", digest),
        EngineKey(Flavour.RTX, "1.7.1.116", "8.6", digest),
        EngineKey(Flavour.TENSORRT, "10.13.2.6", "8.9", digest),
        EngineKey(Flavour.TENSORRT, "10.13.2.6", "8.6", "0123456789ab"),
    ):
        key.path(graph).touch()
    assert refusal(graph, EngineStale) == (
        "embedder.fp16.onnx has no engine for tensorrt 10.13.2.6 and this card (sm86), only one for another card "
        "(sm89); one for tensorrt 10.0.1; one for tensorrt-rtx 1.7.1.116; one of an older graph. "
        f"Build it anew: {BUILD}"
    )


def test_whatever_a_build_mends_is_one_kind_of_error() -> None:
    assert all(issubclass(kind, EngineUnready) for kind in (EngineMissing, EngineStale, EngineBroken))
    assert not issubclass(DriverUnavailable, EngineUnready)


def test_engine_whose_content_is_for_another_version(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph, version="10.0.1")
    assert refusal(graph, EngineStale) == (
        f"The engine {engine} is of another version or card than its name says (The engine plan file is not "
        "compatible with this version of TensorRT, expecting library version 10.13.2.6 got 10.0.1, please rebuild.). "
        f"Build it anew: {BUILD}"
    )


def test_engine_whose_content_is_for_another_card(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph, capability="7.5")
    assert refusal(graph, EngineStale) == (
        f"The engine {engine} is of another version or card than its name says (The engine plan file is generated on "
        f"an incompatible device, please rebuild.). Build it anew: {BUILD}"
    )


def test_engine_cut_off_is_told_by_its_manifest(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph)
    whole = engine.read_bytes()
    origin = Origin("embedder", "embedder", "fp16", "facenet", "0123456789ab", "MIT")
    key = gpu.key(graph)
    made = (key.flavour, key.version, key.capability)
    manifest = EngineManifest(origin, "ab" * 32, *made, 32, {}, 4, 1.0, len(whole), "cd" * 32)
    manifest_of(engine).write_text(manifest.text())
    tensorrt.open(graph).close()
    engine.write_bytes(whole[:-9])
    assert refusal(graph, EngineBroken) == (
        f"The engine {engine} is damaged: {len(whole) - 9} bytes instead of {len(whole)}. Build it anew: {BUILD}"
    )
    assert "deserialize_cuda_engine" not in gpu.machine.calls[gpu.machine.calls.index("detach") :]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (slice(0, -9), "Serialization assertion plan.header.size == blobSize failed. In parsePlan at runtime.cpp:780"),
        (slice(9, None), "Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed."),
    ],
)
def test_engine_cut_off_is_told_by_tensorrt(gpu: SimulatedGpu, graph: Path, content: slice, said: str) -> None:
    engine = gpu.build(graph)
    engine.write_bytes(engine.read_bytes()[content])
    assert refusal(graph, EngineBroken) == f"The engine {engine} is damaged ({said}). Build it anew: {BUILD}"


def test_engine_that_cannot_be_read(gpu: SimulatedGpu, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = gpu.build(graph)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == engine:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert refusal(graph, EngineBroken) == (
        f"The engine {engine} cannot be read ([Errno 13] Permission denied). Build it anew: {BUILD}"
    )


@pytest.mark.parametrize("allocations", [0, 1, 2, 3])
def test_memory_that_is_full(gpu: SimulatedGpu, graph: Path, allocations: int) -> None:
    engine = gpu.build(graph)
    gpu.machine.faults.full_at = allocations
    routine = "cuMemAlloc" if allocations % 2 else "cuMemHostAlloc"
    assert refusal(graph) == (
        f"There is no room for the engine {engine}: it wants 0.0 MB, 8000.0 MB are free on the card ({routine} failed: "
        f"out of memory). Close what else uses the card (nvidia-smi), or build it for fewer at once: {BUILD} "
        f"--max-batch 16. {ON_CPU}"
    )
    assert gpu.machine.left_over() == []


def test_memory_that_is_full_for_tensorrt_itself(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph)
    gpu.machine.faults.full_for_engine = "context"
    assert refusal(graph) == (
        f"There is no room for the engine {engine}: it wants 55.0 MB, 8000.0 MB are free on the card (Error Code 2: "
        "OutOfMemory (no further information)). Close what else uses the card (nvidia-smi), or build it for fewer at "
        f"once: {BUILD} --max-batch 16. {ON_CPU}"
    )


def test_fewer_at_once_is_no_cure_for_pictures(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.detector(tmp_path)
    gpu.build(graph)
    gpu.machine.faults.full_for_engine = "context"
    assert refusal(graph).endswith(f"Close what else uses the card (nvidia-smi). {ON_CPU}")


def test_weights_that_do_not_fit(gpu: SimulatedGpu, graph: Path) -> None:
    engine = gpu.build(graph)
    gpu.machine.faults.full_for_engine = "engine"
    assert refusal(graph).startswith(f"There is no room for the engine {engine}: it wants 0.0 MB, 8000.0 MB are free")


def test_context_that_cannot_be_had(gpu: SimulatedGpu, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.build(graph)
    import pycuda.driver

    def refuse(*_: object) -> None:
        raise pycuda.driver.MemoryError("cuDevicePrimaryCtxRetain failed: out of memory")

    monkeypatch.setattr(pycuda.driver.Device, "retain_primary_context", refuse)
    assert refusal(graph) == (
        "The card has no room for embedder.fp16.onnx, or does not serve this process (cuDevicePrimaryCtxRetain failed: "
        f"out of memory). Close what else uses it (nvidia-smi). {ON_CPU}"
    )


def test_missing_graph_is_told_as_on_the_cpu(gpu: SimulatedGpu, graph: Path) -> None:
    graph.unlink()
    assert refusal(graph) == (
        f"The graph {graph} is missing. If it is one of rtface's models: rtface models fetch embedder --force"
    )


def test_cuda_graphs_with_the_full_tensorrt(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.build(graph)
    assert said(lambda: tensorrt.open(graph, cuda_graphs=True)) == (
        "tensorrt 10.13.2.6 has no CUDA graphs of its own and pycuda records none; tensorrt-rtx has."
    )
    assert gpu.machine.left_over() == []


def test_size_that_depends_on_values_is_refused(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    gpu.build(graph)
    gpu.machine.faults.unknown_sizes = True
    assert refusal(graph) == (
        "embedder.fp16.onnx, output embeddings: its size depends on more than the sizes of the inputs, which this "
        "backend does not serve. --set backend=onnxruntime does."
    )
