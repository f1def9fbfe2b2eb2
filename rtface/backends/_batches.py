"""Arrays of any length, parted into what an engine takes at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtface.backends._tensors import Shape, Tensor
from rtface.errors import BackendError

Arrays = Mapping[str, NDArray[np.generic]]


def parts(graph: str, arrays: Arrays, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> list[Arrays]:
    """The arrays as the engine takes them, one part after the other; [] for empty batches.

    Inputs with a free first side are batches; others go with every part as they are.

    Args:
        graph: its file's name.
        arrays: of the right names, types and number of sides.
        inputs, outputs: the engine's.

    Raises:
        BackendError: batches differ in length, something is not of a size the engine was built for, or the results of
            several parts could not be put together.
    """
    batches = {name: len(arrays[name]) for name, tensor in inputs.items() if tensor.batched}
    if len(set(batches.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in batches.items())
        raise BackendError(f"{graph} wants batches of one length; given were {told}.")
    at_once = min((inputs[name].largest[0] for name in batches), default=1)
    found: list[Arrays] = [
        {name: array[start : start + at_once] if name in batches else array for name, array in arrays.items()}
        for start in range(0, next(iter(batches.values()), 1), at_once)
    ]
    whole = [name for name, tensor in outputs.items() if not tensor.batched]
    if len(found) > 1 and whole:
        raise BackendError(f"{graph} takes {at_once} at once: its output {whole[0]} cannot be put together from parts.")
    for part in found:
        _check_sizes(graph, {name: array.shape for name, array in part.items()}, inputs)
    return found


def smallest(graph: str, arrays: Arrays, inputs: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shapes of these arrays with the fewest rows the engine takes instead of none.

    Raises:
        BackendError: something is not of a size the engine was built for.
    """
    some = {
        name: (inputs[name].smallest[0], *array.shape[1:]) if inputs[name].batched else array.shape
        for name, array in arrays.items()
    }
    _check_sizes(graph, some, inputs)
    return some


def _check_sizes(graph: str, shapes: Mapping[str, Shape], inputs: Mapping[str, Tensor]) -> None:
    for name, shape in shapes.items():
        tensor = inputs[name]
        if not tensor.takes(shape):
            raise BackendError(
                f"{graph}, input {name}: shape {shape} is not between {tensor.smallest} and {tensor.largest}, which "
                "its engine was built for. --set backend=onnxruntime takes any."
            )
