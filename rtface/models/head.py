"""What a network's embeddings go through before anybody compares them: learned on people who are in no gallery.

A face network puts some groups of people nearer together than others: whoever resembles many has many false neighbours.
So from each embedding the mean of all people is subtracted, and then what people of its own kind have in common: it is
compared with some keys, the nearer a key the more of its value is added (one head of dot-product attention).

Sources: Hara et al. 2015, "Localized Centering" (subtracting the mean of what lies around); Vaswani et al. 2017,
section 3.2.1 (attention); Schroff et al. 2015 (the triplet loss it is trained with, tests/benchmarks/quality.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
SHORTEST = 1e-12
"""Length below which a row is left as it is instead of being scaled to 1."""
ORTHONORMAL = 1e-3
"""How far products of columns may be from 0 and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A small network behind the network.

    Attributes:
        basis: (D, d) orthonormal columns: the directions that hold the embeddings, those that vary most first.
        centre: (d,) to subtract, along the basis.
        keys: (K, d); K may be 0.
        values: (K, d).
    """

    basis: Rows
    centre: Rows
    keys: Rows
    values: Rows

    @property
    def digest(self) -> str:
        """SHA-256 of all its numbers."""
        whole = hashlib.sha256()
        for field in fields(self):
            whole.update(np.ascontiguousarray(getattr(self, field.name), "<f4").tobytes())
        return whole.hexdigest()

    def __call__(self, rows: Rows) -> Rows:
        """(N, D) unit rows, all of them along the basis, of (N, D) unit rows."""
        rows = unit_rows(rows @ self.basis - self.centre)
        if len(self.keys):
            rows = rows + _softmax(rows @ self.keys.T) @ self.values
        return unit_rows(rows @ self.basis.T)


def unit_rows(rows: Rows) -> Rows:
    """(N, D) rows scaled to norm 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SHORTEST), np.float32)


def read_head(file: Path, size: int) -> Head:
    """The head for embeddings of ``size`` numbers in a file that ``numpy.savez`` has written, an array an attribute.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or its arrays do not fit.
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            head = Head(**{field.name: np.ascontiguousarray(kept[field.name], np.float32) for field in fields(Head)})
    except (BadZipFile, KeyError, EOFError) as error:
        raise ValueError(str(error)) from error
    keys, inner = len(head.keys), head.basis.shape[-1]
    wanted = {"basis": (size, inner), "centre": (inner,), "keys": (keys, inner), "values": (keys, inner)}
    for name, shape in wanted.items():
        array = getattr(head, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} is not {shape} finite numbers")
    if np.abs(head.basis.T @ head.basis - np.eye(inner)).max() > ORTHONORMAL:
        raise ValueError("the columns of basis are not orthonormal")
    return head


def _softmax(scores: Rows) -> Rows:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
