"""What a simulated engine computes: its graph, in ONNX Runtime."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tests.backends.simulation.recipe import Recipe


class DataType(Enum):
    """Element types, each with numpy's."""

    FLOAT = np.dtype(np.float32)
    HALF = np.dtype(np.float16)
    INT8 = np.dtype(np.int8)
    INT64 = np.dtype(np.int64)
    UINT8 = np.dtype(np.uint8)


TYPES = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(int8)": DataType.INT8,
    "tensor(int64)": DataType.INT64,
    "tensor(uint8)": DataType.UINT8,
}


class Network:
    """A graph in ONNX Runtime."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(recipe.graph, options, providers=["CPUExecutionProvider"])
        self.inputs = {node.name: node for node in self.session.get_inputs()}
        self.outputs = {node.name: node for node in self.session.get_outputs()}
        self.tensors = {**self.inputs, **self.outputs}
        self._shapes: dict[Any, dict[str, tuple[int, ...]]] = {}

    def run(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self.outputs, self.session.run(None, arrays), strict=True))

    def shapes(self, given: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Of the outputs, for these of the inputs."""
        key = tuple(given.items())
        if key not in self._shapes:
            empty = {name: np.zeros(shape, TYPES[self.inputs[name].type].value) for name, shape in given.items()}
            self._shapes[key] = {name: array.shape for name, array in self.run(empty).items()}
        return self._shapes[key]
