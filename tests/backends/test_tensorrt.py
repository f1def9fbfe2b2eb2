"""TensorRT on a simulated card: what is asked of the driver, in which order, and that results come through whole.

Nothing here ran on a GPU. ``make test-gpu`` runs the contracts of backends on a real one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.backends import onnxruntime, tensorrt
from rtface.engine_files import Flavour
from rtface.errors import BackendError
from tests.backends import graphs
from tests.backends.simulation import Misuse, SimulatedGpu, simulated_gpu


@pytest.fixture(params=list(Flavour))
def gpu(request: pytest.FixtureRequest) -> Iterator[SimulatedGpu]:
    with simulated_gpu(flavour=request.param) as simulated:
        yield simulated


@pytest.fixture
def embedder(gpu: SimulatedGpu, tmp_path: Path) -> Iterator[tensorrt.TensorRtBackend]:
    """Four faces at once."""
    graph = graphs.embedder(tmp_path)
    gpu.build(graph, largest=4)
    backend = tensorrt.open(graph)
    yield backend
    backend.close()


def on_cpu(graph: Path, arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
    return onnxruntime.open(graph, threads=1).run(arrays)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11])
def test_batches_of_any_size_give_what_the_cpu_gives(
    gpu: SimulatedGpu, embedder: tensorrt.TensorRtBackend, tmp_path: Path, count: int
) -> None:
    faces = graphs.pictures(count, 8, 8, 3)
    found = embedder.run({"faces": faces})["embeddings"]
    expected = on_cpu(graphs.embedder(tmp_path), {"faces": faces})["embeddings"]
    assert found.shape == (count, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert gpu.machine.calls.count("execute_async_v3") == -(-count // 4)


@pytest.mark.parametrize("size", [(12, 12), (40, 64), (13, 101), (128, 96)])
def test_pictures_of_any_size_give_what_the_cpu_gives(gpu: SimulatedGpu, tmp_path: Path, size: tuple[int, int]) -> None:
    graph = graphs.detector(tmp_path)
    gpu.build(graph, pictures=(12, 128))
    images = graphs.pictures(2, *size, 3)
    backend = tensorrt.open(graph)
    assert backend.outputs == ("scores", "boxes")
    assert dict(backend.inputs) == {"images": (None, None, None, 3)}
    expected = on_cpu(graph, {"images": images})
    for name, found in backend.run({"images": images}).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-2)
    backend.close()


def test_frame_goes_with_every_part_of_the_faces_in_it(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.in_frame(tmp_path)
    gpu.build(graph, largest=3, pictures=(12, 64))
    arrays: dict[str, NDArray[np.generic]] = {"frame": graphs.pictures(1, 20, 30, 3)}
    arrays["matrices"] = graphs.pictures(7, 2, 3).astype(np.float32)
    backend = tensorrt.open(graph)
    expected = on_cpu(graph, arrays)
    for name, found in backend.run(arrays).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-6)
    nobody = backend.run({**arrays, "matrices": np.zeros((0, 2, 3), np.float32)})
    assert {name: array.shape for name, array in nobody.items()} == {"lit": (0, 6), "same": (0, 6)}
    backend.close()


def test_everything_happens_in_its_order(embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu) -> None:
    gpu.machine.calls.clear()
    embedder.run({"faces": graphs.pictures(2, 8, 8, 3)})
    assert gpu.machine.calls == [
        "push",
        "memcpy_htod_async",
        "set_input_shape faces",
        "execute_async_v3",
        "memcpy_dtoh_async",
        "pop",
        "push",
        "synchronize",
        "pop",
    ]


def test_memory_is_for_the_largest_batch_and_allocated_once(
    embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu
) -> None:
    wanted = [4 * 8 * 8 * 3, 4 * 5 * 4]
    for count in (4, 1, 9):
        embedder.run({"faces": graphs.pictures(count, 8, 8, 3)})
        assert [len(block.content) for block in gpu.machine.blocks] == wanted
        assert [block.size for block in gpu.machine.pinned] == wanted


def test_only_the_rows_asked_for_cross_the_bus(embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu) -> None:
    embedder.run({"faces": graphs.pictures(3, 8, 8, 3)})
    assert gpu.machine.copied == [("to the card", 3 * 8 * 8 * 3), ("from the card", 3 * 5 * 4)]


def test_arrays_may_be_changed_once_launched(embedder: tensorrt.TensorRtBackend) -> None:
    faces = graphs.pictures(7, 8, 8, 3)
    expected = embedder.run({"faces": faces})["embeddings"]
    running = embedder.launch({"faces": faces})
    faces[:] = 0
    np.testing.assert_array_equal(running.collect()["embeddings"], expected)


def test_nothing_is_waited_for_before_it_is_collected(embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu) -> None:
    running = embedder.launch({"faces": graphs.pictures(4, 8, 8, 3)})
    assert "synchronize" not in gpu.machine.calls
    running.collect()
    assert gpu.machine.calls.count("synchronize") == 1


def test_one_run_at_a_time(embedder: tensorrt.TensorRtBackend) -> None:
    faces = graphs.pictures(2, 8, 8, 3)
    running = embedder.launch({"faces": faces})
    for begin in (embedder.run, embedder.launch):
        with pytest.raises(BackendError, match="still running: collect that run before the next begins"):
            begin({"faces": faces})
    assert len(running.collect()["embeddings"]) == 2
    with pytest.raises(BackendError, match="collected already"):
        running.collect()
    assert len(embedder.run({"faces": faces})["embeddings"]) == 2


def test_run_that_was_refused_is_not_under_way(embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu) -> None:
    gpu.machine.faults.refuse = "no"
    with pytest.raises(BackendError):
        embedder.launch({"faces": graphs.pictures(2, 8, 8, 3)})
    gpu.machine.faults.refuse = ""
    assert len(embedder.run({"faces": graphs.pictures(3, 8, 8, 3)})["embeddings"]) == 3


def test_two_engines_share_the_card(embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.detector(tmp_path)
    gpu.build(graph)
    faces, images = graphs.pictures(4, 8, 8, 3), graphs.pictures(1, 64, 64, 3)
    alone = embedder.run({"faces": faces})["embeddings"]
    other = tensorrt.open(graph)
    embedding = embedder.launch({"faces": faces})
    looking = other.launch({"images": images})
    np.testing.assert_array_equal(embedding.collect()["embeddings"], alone)
    assert len(looking.collect()["scores"]) == 1
    other.close()
    np.testing.assert_array_equal(embedder.run({"faces": faces})["embeddings"], alone)


def test_context_is_nobodys_between_calls_even_after_errors(
    embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu
) -> None:
    machine = gpu.machine
    embedder.run({"faces": graphs.pictures(5, 8, 8, 3)})
    with pytest.raises(BackendError):
        embedder.run({"faces": graphs.pictures(1, 9, 8, 3)})
    machine.faults.refuse = "no"
    with pytest.raises(BackendError):
        embedder.run({"faces": graphs.pictures(1, 8, 8, 3)})
    assert machine.pushes == machine.pops > 0
    assert machine.stack == []


def test_closing_gives_everything_back_users_before_what_they_use(tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    with simulated_gpu() as gpu:
        gpu.build(graph)
        backend = tensorrt.open(graph)
        gpu.machine.calls.clear()
        backend.close()
        free = ["DeviceAllocation.free", "PagelockedHostAllocation.free"]
        destroyed = ["execution context destroyed", "engine destroyed", "runtime destroyed"]
        assert gpu.machine.calls == ["push", "synchronize", *destroyed, *free, *free, "stream destroyed", "detach"]
        assert gpu.machine.left_over() == []
        backend.close()
        assert gpu.machine.retained == 0


def test_run_under_way_is_waited_for_before_its_memory_is_freed(
    embedder: tensorrt.TensorRtBackend, gpu: SimulatedGpu
) -> None:
    running = embedder.launch({"faces": graphs.pictures(2, 8, 8, 3)})
    embedder.close()
    assert gpu.machine.left_over() == []
    with pytest.raises(BackendError, match="its engine closed"):
        running.collect()


def test_another_thread_may_run_and_close_it(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    gpu.build(graph)
    backend = tensorrt.open(graph)
    found: list[int] = []

    def work() -> None:
        found.append(len(backend.run({"faces": graphs.pictures(3, 8, 8, 3)})["embeddings"]))
        backend.close()
        found.append(len(gpu.machine.stack))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [3, 0]
    assert gpu.machine.left_over() == []


def test_results_are_the_callers_after_the_engine_is_gone(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    gpu.build(graph)
    backend = tensorrt.open(graph)
    found = backend.run({"faces": graphs.pictures(3, 8, 8, 3)})["embeddings"]
    kept = found.copy()
    backend.close()
    np.testing.assert_array_equal(found, kept)


def test_card_is_described_without_an_engine(gpu: SimulatedGpu) -> None:
    found = tensorrt.card()
    assert (found.name, found.capability, found.cuda, found.bytes) == ("Simulated card", "8.6", "12.4", 8_000_000_000)
    assert gpu.machine.retained == 0


def test_compiled_kernels_are_kept_for_the_next_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    graph = graphs.embedder(tmp_path)
    with simulated_gpu(flavour=Flavour.RTX) as gpu:
        engine = gpu.build(graph)
        kept = engine.with_name(f"{engine.name}.kernels")
        for count in (2, 3):
            backend = tensorrt.open(graph)
            backend.run({"faces": graphs.pictures(count, 8, 8, 3)})
            backend.close()
        both = kept.read_bytes()
        assert b"(2, 8, 8, 3)" in both and b"(3, 8, 8, 3)" in both
        kept.write_bytes(b"of another driver")
        with caplog.at_level(logging.DEBUG):
            backend = tensorrt.open(graph)
        assert "of another driver or version" in caplog.text
        backend.run({"faces": graphs.pictures(2, 8, 8, 3)})
        backend.close()
        assert b"(2, 8, 8, 3)" in kept.read_bytes()
        assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_folder_that_cannot_be_written_to_costs_only_time(tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    with simulated_gpu(flavour=Flavour.RTX) as gpu:
        engine = gpu.build(graph)
        engine.with_name(f"{engine.name}.kernels").mkdir()
        backend = tensorrt.open(graph)
        backend.run({"faces": graphs.pictures(2, 8, 8, 3)})
        backend.close()
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_the_full_tensorrt_keeps_no_kernels(tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    with simulated_gpu() as gpu:
        gpu.build(graph)
        tensorrt.open(graph).close()
    assert list(tmp_path.rglob("*.kernels")) == []


@pytest.mark.parametrize(("wanted", "told"), [(False, "DISABLED"), (True, "WHOLE_GRAPH_CAPTURE")])
def test_cuda_graphs_are_tensorrt_for_rtx_own(tmp_path: Path, wanted: bool, told: str) -> None:
    graph = graphs.embedder(tmp_path)
    with simulated_gpu(flavour=Flavour.RTX) as gpu:
        gpu.build(graph)
        tensorrt.open(graph, cuda_graphs=wanted).close()
        assert f"cuda graphs: {told}" in gpu.machine.calls


def test_engine_left_open_is_noticed_by_the_simulation(tmp_path: Path) -> None:
    graph = graphs.embedder(tmp_path)
    with pytest.raises(Misuse, match="left over: 192 bytes on the card"), simulated_gpu() as gpu:
        gpu.build(graph, largest=1)
        tensorrt.open(graph)
