"""Arithmetic in an ONNX graph, written as arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.models.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Sheet:
    """The graph that formulas are written into, and the beginning of the names they get there."""

    graph: GraphBuilder
    prefix: str
    _numbers: count[int] = field(default_factory=count)

    def tensor(self, name: str) -> Tensor:
        """One that the graph has."""
        return Tensor(self, name)

    def constant(self, values: Operand) -> Tensor:
        """As it is if it is a tensor, else float32, or int64 for whole numbers."""
        if isinstance(values, Tensor):
            return values
        array = np.asarray(values)
        stored = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        return Tensor(self, self.graph.weight(self._name("constant"), stored))

    def do(self, op: str, *inputs: Operand, name: str = "", **attributes: Any) -> Tensor:
        """The tensor that an operator of one output makes."""
        tensors = [self.constant(value).name for value in inputs]
        return Tensor(self, self.graph.node(op, tensors, name or self._name(op.lower()), **attributes))

    def _name(self, kind: str) -> str:
        return f"{self.prefix}/{kind}_{next(self._numbers)}"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of a graph; what is done with it becomes nodes there, shapes broadcast."""

    sheet: Sheet
    name: str

    def __add__(self, other: Operand) -> Tensor:
        return self.sheet.do("Add", self, other)

    def __sub__(self, other: Operand) -> Tensor:
        return self.sheet.do("Sub", self, other)

    def __mul__(self, other: Operand) -> Tensor:
        return self.sheet.do("Mul", self, other)

    def __truediv__(self, other: Operand) -> Tensor:
        return self.sheet.do("Div", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return self.sheet.do("Greater", self, other)

    def at_least(self, other: Operand) -> Tensor:
        """The larger of both, value by value."""
        return self.sheet.do("Max", self, other)

    def at_most(self, other: Operand) -> Tensor:
        """The smaller of both, value by value."""
        return self.sheet.do("Min", self, other)

    def either(self, where: Operand, elsewhere: Operand) -> Tensor:
        """``where`` this truth value is true, else ``elsewhere``."""
        return self.sheet.do("Where", self, where, elsewhere)


Operand = Tensor | float | list[int] | NDArray[Any]
