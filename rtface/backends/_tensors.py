"""The inputs and outputs of a TensorRT engine, each with its place in pinned memory and on the card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.backends._checks import Sides
from rtface.errors import BackendError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """What an engine says of one of its inputs or outputs.

    Attributes:
        name: the graph's.
        dtype: of its elements.
        sides: None is free.
        smallest, largest: shapes between which the engine takes it; of an output the largest alone is meant.
    """

    name: str
    dtype: np.dtype[np.generic]
    sides: Sides
    smallest: Shape
    largest: Shape

    @property
    def batched(self) -> bool:
        """Whether its first side is the number of things computed at once."""
        return self.sides[:1] == (None,)

    @property
    def count(self) -> int:
        """Elements at most; at least one, for nothing cannot be allocated."""
        return max(math.prod(self.largest), 1)

    @property
    def bytes(self) -> int:
        """Of the memory it needs at most, on either side of the bus."""
        return self.count * self.dtype.itemsize

    def takes(self, shape: Shape) -> bool:
        """Whether a shape lies between the smallest and the largest."""
        sides = zip(self.smallest, shape, self.largest, strict=True)
        return all(low <= side <= high for low, side, high in sides)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a tensor lies. To be made and freed while the CUDA context is current.

    Attributes:
        host: flat array in pinned memory, which the card reads and writes by itself; its ``base`` owns the memory.
        device: as much memory on the card.
    """

    host: Any
    device: Any

    @classmethod
    def allocate(cls, driver: Any, tensor: Tensor) -> Place:
        """Room for the largest shape."""
        host = driver.pagelocked_empty(tensor.count, tensor.dtype)
        try:
            return cls(host, driver.mem_alloc(tensor.bytes))
        except BaseException:
            host.base.free()
            raise

    @property
    def address(self) -> int:
        """On the card."""
        return int(self.device)

    def part(self, shape: Shape) -> NDArray[np.generic]:
        """The beginning of the pinned memory, in this shape."""
        part: NDArray[np.generic] = self.host[: math.prod(shape)].reshape(shape)
        return part

    def free(self) -> None:
        """Gives both back."""
        self.device.free()
        self.host.base.free()


def inputs_of(engine: Any, trt: Any) -> dict[str, Tensor]:
    """The inputs of an engine with the shapes of its one profile."""
    found = {}
    for name in _names(engine, trt.TensorIOMode.INPUT):
        sides = sides_of(engine.get_tensor_shape(name))
        fixed = tuple(side for side in sides if side is not None)
        smallest, largest = fixed, fixed
        if None in sides:
            low, _, high = engine.get_tensor_profile_shape(name, 0)
            smallest, largest = tuple(low), tuple(high)
        found[name] = Tensor(name, _dtype(engine, trt, name), sides, smallest, largest)
    return found


def outputs_of(engine: Any, trt: Any, execution: Any, graph: str) -> dict[str, Tensor]:
    """The outputs of an engine; its execution context has been given the largest inputs.

    Raises:
        BackendError: the size of one is not known before it is computed.
    """
    found = {}
    for name in _names(engine, trt.TensorIOMode.OUTPUT):
        largest = tuple(execution.get_tensor_shape(name))
        if min(largest, default=0) < 0:
            raise BackendError(
                f"{graph}, output {name}: its size depends on more than the sizes of the inputs, which this backend "
                "does not serve. --set backend=onnxruntime does."
            )
        sides = sides_of(engine.get_tensor_shape(name))
        found[name] = Tensor(name, _dtype(engine, trt, name), sides, largest, largest)
    return found


def sides_of(shape: Any) -> Sides:
    """TensorRT's dimensions as ours: -1 is None."""
    return tuple(None if side < 0 else int(side) for side in shape)


def _names(engine: Any, mode: Any) -> list[str]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [name for name in names if engine.get_tensor_mode(name) == mode]


def _dtype(engine: Any, trt: Any, name: str) -> np.dtype[np.generic]:
    found: np.dtype[np.generic] = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
    return found
