"""The reader of frozen TensorFlow graphs against protobuf itself, which writes them here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.errors import ModelBroken
from rtface.models.graphdef import read_graph

# Through importorskip because protobuf comes without type information.
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
descriptor_pool = pytest.importorskip("google.protobuf.descriptor_pool")
message_factory = pytest.importorskip("google.protobuf.message_factory")

F = descriptor_pb2.FieldDescriptorProto
MANY, ONE = F.LABEL_REPEATED, F.LABEL_OPTIONAL
# Field names and numbers as TensorFlow publishes them.
MESSAGES: dict[str, list[tuple[str, int, int, int, str]]] = {
    "GraphDef": [("node", 1, MANY, F.TYPE_MESSAGE, ".t.NodeDef")],
    "NodeDef": [
        ("name", 1, ONE, F.TYPE_STRING, ""),
        ("op", 2, ONE, F.TYPE_STRING, ""),
        ("input", 3, MANY, F.TYPE_STRING, ""),
        ("device", 4, ONE, F.TYPE_STRING, ""),
        ("attr", 5, MANY, F.TYPE_MESSAGE, ".t.Entry"),
    ],
    "Entry": [("key", 1, ONE, F.TYPE_STRING, ""), ("value", 2, ONE, F.TYPE_MESSAGE, ".t.AttrValue")],
    "AttrValue": [
        ("list", 1, ONE, F.TYPE_MESSAGE, ".t.ListValue"),
        ("s", 2, ONE, F.TYPE_BYTES, ""),
        ("i", 3, ONE, F.TYPE_INT64, ""),
        ("f", 4, ONE, F.TYPE_FLOAT, ""),
        ("tensor", 8, ONE, F.TYPE_MESSAGE, ".t.TensorProto"),
    ],
    "ListValue": [("i", 3, MANY, F.TYPE_INT64, "")],
    "TensorProto": [
        ("dtype", 1, ONE, F.TYPE_INT32, ""),
        ("tensor_shape", 2, ONE, F.TYPE_MESSAGE, ".t.TensorShape"),
        ("tensor_content", 4, ONE, F.TYPE_BYTES, ""),
        ("float_val", 5, MANY, F.TYPE_FLOAT, ""),
        ("int_val", 7, MANY, F.TYPE_INT32, ""),
    ],
    "TensorShape": [("dim", 2, MANY, F.TYPE_MESSAGE, ".t.Dim")],
    "Dim": [("size", 1, ONE, F.TYPE_INT64, "")],
}


@pytest.fixture(scope="module")
def proto() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="graph.proto", package="t", syntax="proto3")
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, label, kind, other in fields:
            made.field.add(name=name, number=number, label=label, type=kind, type_name=other or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}")) for name in MESSAGES}


def written(proto: dict[str, Any], path: Path) -> Path:
    graph = proto["GraphDef"]()
    raw = np.arange(6, dtype="<f4").reshape(2, 3) * 0.5 - 1
    const = graph.node.add(name="raw", op="Const")
    tensor = const.attr.add(key="value").value.tensor
    tensor.dtype, tensor.tensor_content = 1, raw.tobytes()
    for side in raw.shape:
        tensor.tensor_shape.dim.add(size=side)
    listed = graph.node.add(name="listed", op="Const").attr.add(key="value").value.tensor
    listed.dtype = 1
    listed.float_val.extend([0.25, -4])
    listed.tensor_shape.dim.add(size=5)
    whole = graph.node.add(name="whole", op="Const").attr.add(key="value").value.tensor
    whole.dtype = 3
    whole.int_val.extend([-1, 300])
    whole.tensor_shape.dim.add(size=2)
    conv = graph.node.add(name="conv", op="Conv2D", input=["raw:0", "^listed", "whole"])
    conv.attr.add(key="padding").value.s = b"SAME"
    conv.attr.add(key="strides").value.list.i.extend([1, 2, 2, 1])
    conv.attr.add(key="epsilon").value.f = 0.001
    path.write_bytes(graph.SerializeToString())
    return path


def test_reads_what_protobuf_wrote(proto: dict[str, Any], tmp_path: Path) -> None:
    nodes = read_graph(written(proto, tmp_path / "graph.pb"))
    assert list(nodes) == ["raw", "listed", "whole", "conv"]
    np.testing.assert_array_equal(nodes["raw"].values(), np.array([[-1, -0.5, 0], [0.5, 1, 1.5]], np.float32))
    np.testing.assert_array_equal(nodes["whole"].values(), [-1, 300])
    conv = nodes["conv"]
    assert (conv.op, conv.inputs) == ("Conv2D", ("raw", "whole"))
    assert conv.text("padding") == "SAME"
    assert conv.numbers("strides") == [1, 2, 2, 1]
    assert conv.real("epsilon") == struct.unpack("f", struct.pack("f", 0.001))[0]


def test_short_list_repeats_its_last_value(proto: dict[str, Any], tmp_path: Path) -> None:
    nodes = read_graph(written(proto, tmp_path / "graph.pb"))
    np.testing.assert_array_equal(nodes["listed"].values(), [0.25, -4, -4, -4, -4])


@pytest.mark.parametrize("content", [b"\x0a\xff\xff", b"\x0a\x05ab", b"\x0b", b"\xff" * 12, b"\x0a\x02\x0a\x63"])
def test_garbage_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.pb"
    path.write_bytes(content)
    with pytest.raises(ModelBroken, match=r"garbage\.pb"):
        read_graph(path)


def test_missing_file_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_graph(tmp_path / "nowhere.pb")
