"""How embeddings lie in the database: one form a gallery, named in its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rtface.errors import GalleryBroken

Rows = NDArray[np.float32]

NORM_TOLERANCE = 1e-3
"""On the squared norm; float32 arithmetic stays a thousand times closer."""


LARGEST_BYTE = 127
LEAST_NORM = 1e-12


class VectorForm(Protocol):
    """One way to keep embeddings: d numbers a row of the model's D.

    ``size`` is d, ``stored_bytes`` what a row takes on disk.
    """

    name: str
    size: int
    stored_bytes: int

    def project(self, rows: Rows) -> Rows:
        """(N, d) float32 unit rows that may be compared with decoded ones, of (N, D) unit rows; decoded ones stay as
        they are."""

    def encode(self, rows: Rows) -> list[bytes]:
        """What is kept of (N, D) float32 unit rows; of decoded ones exactly what they were decoded from."""

    def decode(self, stored: Sequence[bytes]) -> Rows:
        """(N, d) float32 rows of what is kept; the caller has asked ``is_stored``, and looks at the norms."""

    def is_stored(self, value: object) -> TypeGuard[bytes]:
        """Whether a value of the database can be a row of this form; in a damaged one it can be anything."""


class Float32:
    """Little-endian float32, as the model gave them."""

    name = "float32"

    def __init__(self, size: int, basis: Rows | None = None) -> None:  # noqa: ARG002 - it keeps them whatever they are
        """Args: ``size`` is D."""
        self.size = size
        self.stored_bytes = 4 * size

    def project(self, rows: Rows) -> Rows:
        """See ``VectorForm``."""
        return rows

    def encode(self, rows: Rows) -> list[bytes]:
        """See ``VectorForm``."""
        return [row.tobytes() for row in np.ascontiguousarray(rows, "<f4")]

    def decode(self, stored: Sequence[bytes]) -> Rows:
        """See ``VectorForm``."""
        return np.frombuffer(b"".join(stored), "<f4").astype(np.float32).reshape(len(stored), self.size)

    def is_stored(self, value: object) -> TypeGuard[bytes]:
        """See ``VectorForm``."""
        return isinstance(value, bytes) and len(value) == self.stored_bytes


class Bytes:
    """A signed byte a number, of the numbers that a model needs.

    A model may say that all its embeddings lie along d of their D directions (FaceNet: 128 of 512); then d numbers are
    kept, and distances stay as they are. The largest number of a row becomes 127 or -127: with it goes the row's
    length, which is known to be 1.

    Source: Schroff, Kalenichenko, Philbin, *FaceNet*, CVPR 2015, section 5.4: 128 numbers of one byte cost no accuracy.
    """

    name = "bytes"

    def __init__(self, size: int, basis: Rows | None = None) -> None:
        """Args: ``size`` is D, ``basis`` (D, d) with orthonormal columns, or None for all D numbers."""
        self._basis = basis
        self.size = self.stored_bytes = size if basis is None else basis.shape[1]

    def project(self, rows: Rows) -> Rows:
        """See ``VectorForm``."""
        if self._basis is None or rows.shape[1] == self.size:
            return rows
        part = rows @ self._basis
        return np.asarray(part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), LEAST_NORM), np.float32)

    def encode(self, rows: Rows) -> list[bytes]:
        """See ``VectorForm``."""
        part = self.project(rows)
        largest = np.maximum(np.abs(part).max(axis=1, keepdims=True, initial=0), LEAST_NORM)
        return [row.tobytes() for row in np.rint(part * (LARGEST_BYTE / largest)).astype(np.int8)]

    def decode(self, stored: Sequence[bytes]) -> Rows:
        """See ``VectorForm``. What ``encode`` cannot have made becomes a row of zeros."""
        numbers = np.frombuffer(b"".join(stored), np.int8).astype(np.float32).reshape(len(stored), self.size)
        numbers *= np.abs(numbers).max(axis=1, keepdims=True, initial=0) == LARGEST_BYTE
        return np.asarray(numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1), np.float32)

    def is_stored(self, value: object) -> TypeGuard[bytes]:
        """See ``VectorForm``."""
        return isinstance(value, bytes) and len(value) == self.stored_bytes


FORMS: dict[str, type[Float32 | Bytes]] = {Float32.name: Float32, Bytes.name: Bytes}


def form_of(name: str, size: int, basis: Rows | None = None) -> VectorForm:
    """The form of this name for rows of ``size`` numbers, all of them along ``basis`` where there is one.

    Raises:
        GalleryBroken: a newer rtface may know it.
    """
    if name not in FORMS:
        raise GalleryBroken(f"The gallery keeps its vectors as {name!r}, which this rtface does not know: upgrade it.")
    return FORMS[name](size, basis)


def encoded_row(form: VectorForm, embedding: Rows, size: int) -> bytes:
    """What is kept of one embedding.

    Raises:
        ValueError: not a unit vector of ``size`` numbers.
    """
    row = np.ascontiguousarray(embedding, np.float32)
    if row.shape != (size,) or not are_units(row[None])[0]:
        raise ValueError(f"An embedding has norm 1 and shape ({size},), this one has shape {row.shape}.")
    return form.encode(row[None])[0]


def are_units(rows: Rows) -> NDArray[np.bool_]:
    """(N,) whether each of (N, D) rows has norm 1; one with a NaN or an infinity has not."""
    with np.errstate(invalid="ignore"):  # the cast complains of signalling NaNs, which a damaged file may hold
        double = rows.astype(np.float64)
    squares = np.einsum("nd,nd->n", double, double)
    return np.asarray(np.abs(squares - 1) < NORM_TOLERANCE)
