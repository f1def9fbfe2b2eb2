"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from rtface.backends._checks import check_arrays, check_file, cure
from rtface.errors import BackendError

_DTYPES: dict[str, np.dtype[np.generic]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float)": np.dtype(np.float32),
    "tensor(int64)": np.dtype(np.int64),
}


def open(path: Path, *, threads: int = 0) -> OnnxRuntimeBackend:
    """The graph in a file, ready to run.

    Args:
        path: an .onnx file.
        threads: 0 for one a physical core.

    Raises:
        BackendError: the file is missing, cut off or not a graph this version of ONNX Runtime runs.
    """
    return OnnxRuntimeBackend(path, threads)


class OnnxRuntimeBackend:
    """One session; fulfils ``interfaces.Backend``. May be used by one thread at a time."""

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._session: ort.InferenceSession | None = _session(path, threads)
        nodes = self._session.get_inputs()
        self.inputs: Mapping[str, tuple[int | None, ...]] = {
            node.name: tuple(side if isinstance(side, int) else None for side in node.shape) for node in nodes
        }
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        self._dtypes: dict[str, np.dtype[np.generic] | None] = {node.name: _DTYPES.get(node.type) for node in nodes}

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Every output for these inputs. The arrays returned belong to the caller.

        Raises:
            BackendError: names, types or shapes are not the graph's, or it is closed.
        """
        if self._session is None:
            raise BackendError(f"{self._path.name} has been closed and cannot run any more.")
        check_arrays(self._path.name, arrays, self.inputs, self._dtypes)
        feed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            results = self._session.run(None, feed)
        except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
            raise BackendError(f"ONNX Runtime failed to run {self._path.name}: {error}") from error
        return dict(zip(self.outputs, results, strict=True))

    def close(self) -> None:
        """Frees the session; once more does no harm."""
        self._session = None


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that sleep between the many small operators of a detector cost it a third of its speed; threads that spin
    # between two frames would burn a core for nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3  # errors come as exceptions; warnings about the graph help no user
    check_file(path)
    try:
        return ort.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
        raise BackendError(f"ONNX Runtime cannot load the graph {path}: {error}. {cure(path)}") from error
