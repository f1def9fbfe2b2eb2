"""Reading a frozen TensorFlow graph without TensorFlow: the few fields of its protobuf that weights and structure need.

Source: field numbers from tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import ModelBroken

_DTYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}  # DT_FLOAT, DT_INT32
_TYPED_VALUES = {1: 5, 3: 7}  # TensorProto.float_val, TensorProto.int_val


@dataclass(frozen=True, slots=True)
class Node:
    """One operator: where its inputs come from (output and control marks removed) and its attributes, still encoded."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, memoryview] = field(repr=False)

    def text(self, key: str) -> str:
        """An attribute of type string, such as ``padding``."""
        return bytes(_only(self.attributes[key], 2)).decode()

    def numbers(self, key: str) -> list[int]:
        """An attribute of type list of int, such as ``strides``."""
        return _integers(_only(self.attributes[key], 1), 3)

    def real(self, key: str) -> float:
        """An attribute of type float, such as ``epsilon``."""
        return float(struct.unpack("<f", _only(self.attributes[key], 4))[0])

    def values(self) -> NDArray[np.generic]:
        """What a ``Const`` holds."""
        return _tensor(_only(self.attributes["value"], 8))


def read_graph(path: Path) -> dict[str, Node]:
    """The nodes of a frozen GraphDef by name, in the file's order.

    Raises:
        ModelBroken: the file is not one, or is cut off.
    """
    try:
        content = memoryview(path.read_bytes())
        nodes = [_node(value) for number, value in _fields(content) if number == 1]
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ModelBroken(f"{path} is not a whole TensorFlow graph ({error}). Fetch it again.") from error
    return {node.name: node for node in nodes}


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number that does not end")


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(field number, its bytes) of a message; a varint is given as the bytes it stands in."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(view, at)
            end = at + size
        elif kind in (1, 5):
            end = at + (8 if kind == 1 else 4)
        elif kind == 0:
            _, end = _varint(view, at)
        else:
            raise ValueError(f"wire type {kind}")
        if end > len(view):
            raise ValueError("a field reaches over the end")
        yield key >> 3, view[at:end]
        at = end


def _only(view: memoryview, wanted: int) -> memoryview:
    for number, value in _fields(view):
        if number == wanted:
            return value
    raise KeyError(wanted)


def _integers(view: memoryview, wanted: int) -> list[int]:
    """A repeated int field, packed or one by one; both forms are a run of varints."""
    found = []
    for number, value in _fields(view):
        at = 0
        while number == wanted and at < len(value):
            item, at = _varint(value, at)
            found.append(item - (1 << 64) if item >> 63 else item)
    return found


def _node(view: memoryview) -> Node:
    name = op = ""
    inputs: list[str] = []
    attributes: dict[str, memoryview] = {}
    for number, value in _fields(view):
        if number == 1:
            name = bytes(value).decode()
        elif number == 2:
            op = bytes(value).decode()
        elif number == 3 and not bytes(value).startswith(b"^"):
            inputs.append(bytes(value).decode().partition(":")[0])
        elif number == 5:
            attributes[bytes(_only(value, 1)).decode()] = _only(value, 2)
    return Node(name, op, tuple(inputs), attributes)


def _tensor(view: memoryview) -> NDArray[np.generic]:
    """TensorProto: raw bytes, or a typed list whose last value repeats to fill the shape."""
    kind = _integers(view, 1)[0]
    if kind not in _DTYPES:
        raise ModelBroken(f"A constant of TensorFlow type {kind}; only float32 and int32 are known here.")
    shape = [
        (_integers(dim, 1) or [0])[0]
        for number, value in _fields(view)
        if number == 2
        for dim_number, dim in _fields(value)
        if dim_number == 2
    ]
    raw = b"".join(bytes(value) for number, value in _fields(view) if number == 4)
    if not raw and kind == 3:
        flat: NDArray[np.generic] = np.array(_integers(view, _TYPED_VALUES[kind]), _DTYPES[kind])
    else:
        listed = b"".join(bytes(value) for number, value in _fields(view) if number == _TYPED_VALUES[kind])
        flat = np.frombuffer(raw or listed, _DTYPES[kind])
    count = int(np.prod(shape, dtype=np.int64))
    if 0 < flat.size < count:
        flat = np.concatenate([flat, np.full(count - flat.size, flat[-1])])
    return flat.reshape(shape)
