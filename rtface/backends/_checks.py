"""What every backend asks of a graph's file and of the arrays it is given, and the sentences it says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import BackendError

Sides = tuple[int | None, ...]
"""The sides of an array; None is one of any length."""


def check_file(graph: Path) -> None:
    """Raises BackendError when the graph is not there."""
    if not graph.is_file():
        raise BackendError(f"The graph {graph} is missing. {cure(graph)}")


def cure(graph: Path) -> str:
    """What brings a graph back."""
    return f"If it is one of rtface's models: rtface models fetch {graph.parent.name} --force"


def check_arrays(
    graph: str,
    arrays: Mapping[str, NDArray[np.generic]],
    inputs: Mapping[str, Sides],
    dtypes: Mapping[str, np.dtype[np.generic] | None],
) -> None:
    """Raises BackendError when names, shapes or types are not the graph's.

    Args:
        graph: its file's name.
        arrays: what is to be run.
        inputs: the sides of each.
        dtypes: the type of each; None is not looked at.
    """
    if arrays.keys() != inputs.keys():
        given = ", ".join(arrays) or "none"
        raise BackendError(f"{graph} wants the inputs {', '.join(inputs)}; given were {given}.")
    for name, array in arrays.items():
        sides, dtype = inputs[name], dtypes[name]
        fits = len(sides) == array.ndim and all(
            side is None or side == there for side, there in zip(sides, array.shape, strict=True)
        )
        if not fits:
            wanted = " x ".join("any" if side is None else str(side) for side in sides)
            raise BackendError(f"{graph}, input {name}: shape {array.shape} is not {wanted}.")
        if dtype is not None and array.dtype != dtype:
            raise BackendError(f"{graph}, input {name}: {array.dtype} instead of {dtype}.")
