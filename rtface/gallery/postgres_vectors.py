"""Embeddings in columns of pgvector's type ``vector``, on the wire in its binary form.

Source: pgvector, src/vector.c (vector_send, vector_recv): two 16-bit numbers, how many elements and zero, then the
elements as big-endian float32.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from rtface.gallery.vectors import Float32, Rows


class Vector(bytes):
    """Little-endian float32 numbers that go into a ``vector`` column, where plain bytes would not."""


class VectorColumn(Float32):
    """``Float32`` whose rows lie in a ``vector`` column; read back they are its bytes again."""

    def encode(self, rows: Rows) -> list[bytes]:
        """See ``VectorForm``."""
        return list(as_vectors(rows))


def as_vectors(rows: Rows) -> Sequence[Vector]:
    """(N, D) rows as values for statements."""
    return [Vector(row.tobytes()) for row in np.ascontiguousarray(rows, "<f4")]


class _VectorDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Vector) -> Buffer:
        numbers = np.frombuffer(obj, "<f4")
        return struct.pack(">HH", len(numbers), 0) + numbers.astype(">f4").tobytes()


class _VectorLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return np.frombuffer(data, ">f4", offset=4).astype("<f4").tobytes()


def teach_vectors(connection: Connection[Any]) -> None:
    """Makes this connection read and write ``vector`` columns; pgvector must be found in its search path."""
    row = connection.execute(
        "SELECT oid::bigint, typarray::bigint FROM pg_type WHERE oid = 'vector'::regtype"
    ).fetchone()
    assert row is not None, "a row of a regtype that exists"
    info = TypeInfo("vector", oid=int(row[0]), array_oid=int(row[1]))
    info.register(connection)
    # Which number the type has is each database's own.
    connection.adapters.register_dumper(Vector, type("VectorDumper", (_VectorDumper,), {"oid": info.oid}))
    connection.adapters.register_loader(info.oid, _VectorLoader)
