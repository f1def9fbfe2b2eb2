"""What a run on the card says when it fails, word for word. The card is simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rtface.backends import tensorrt
from rtface.errors import BackendError
from tests.backends import graphs
from tests.backends.simulation import SimulatedGpu, simulated_gpu

FAULT = "an illegal memory access was encountered"


@pytest.fixture
def gpu() -> Iterator[SimulatedGpu]:
    with simulated_gpu() as simulated:
        yield simulated


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return graphs.embedder(tmp_path)


def said(call: Callable[[], object]) -> str:
    """What a failing call says; nothing of it is held on to, as an error's traceback would the driver's objects."""
    with pytest.raises(BackendError) as raised:
        call()
    return str(raised.value)


def faces(count: int) -> dict[str, np.ndarray]:
    return {"faces": graphs.pictures(count, 8, 8, 3)}


def test_run_that_tensorrt_refuses(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.build(graph)
    backend = tensorrt.open(graph)
    gpu.machine.faults.refuse = "Error Code 3: API Usage Error (first reason)"
    for _ in range(2):  # each run tells its own errors
        assert said(lambda: backend.run(faces(1))) == (
            "TensorRT cannot run embedder.fp16.onnx: Error Code 3: API Usage Error (first reason)."
        )
    backend.close()


def test_fault_on_the_card_stays(gpu: SimulatedGpu, graph: Path) -> None:
    gpu.build(graph)
    backend = tensorrt.open(graph)
    running = backend.launch(faces(1))
    gpu.machine.faults.crash = FAULT
    told = (
        f"The card has failed while it ran embedder.fp16.onnx (cuStreamSynchronize failed: {FAULT}) and does nothing "
        "more for this process. Start rtface again; if it comes back, look for Xid errors in dmesg."
    )
    for again in (running.collect, lambda: backend.run(faces(1)), lambda: backend.launch(faces(1))):
        assert said(again) == told
    backend.close()
    assert gpu.machine.left_over() == []


def test_error_of_the_driver_that_passes(gpu: SimulatedGpu, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.build(graph)
    backend = tensorrt.open(graph)
    import pycuda.driver

    def refuse(dest: object, src: object, stream: object) -> None:
        del stream  # no frame of the real one holds it
        raise pycuda.driver.LogicError("cuMemcpyHtoDAsync failed: invalid argument")

    with monkeypatch.context() as patched:
        patched.setattr(pycuda.driver, "memcpy_htod_async", refuse)
        assert (
            said(lambda: backend.run(faces(1)))
            == "The card failed to run embedder.fp16.onnx: cuMemcpyHtoDAsync failed: invalid argument."
        )
    assert len(backend.run(faces(2))["embeddings"]) == 2
    backend.close()


def test_picture_larger_than_the_engine_takes(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.detector(tmp_path)
    gpu.build(graph, pictures=(12, 64))
    backend = tensorrt.open(graph)
    for shape in ((1, 65, 20, 3), (0, 65, 20, 3), (2, 20, 11, 3)):
        assert said(partial(backend.run, {"images": graphs.pictures(*shape)})) == (
            f"detector.fp16.onnx, input images: shape {(1, *shape[1:])} is not between (1, 12, 12, 3) and "
            "(1, 64, 64, 3), which its engine was built for. --set backend=onnxruntime takes any."
        )
    backend.close()


def test_batches_of_different_lengths(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.two_batches(tmp_path)
    gpu.build(graph)
    backend = tensorrt.open(graph)
    assert (
        said(lambda: backend.run({"one": np.zeros((2, 3), np.float32), "other": np.zeros((1, 3), np.float32)}))
        == "two_batches.fp16.onnx wants batches of one length; given were one 2, other 1."
    )
    backend.close()


def test_result_that_is_not_a_row_each_is_not_put_together(gpu: SimulatedGpu, tmp_path: Path) -> None:
    graph = graphs.two_batches(tmp_path)
    gpu.build(graph, largest=2)
    backend = tensorrt.open(graph)
    whole = {"one": np.ones((2, 3), np.float32), "other": np.ones((2, 3), np.float32)}
    assert backend.run(whole)["sum"].tolist() == [4, 4, 4]
    assert said(lambda: backend.run({name: np.ones((3, 3), np.float32) for name in whole})) == (
        "two_batches.fp16.onnx takes 2 at once: its output sum cannot be put together from parts."
    )
    backend.close()
