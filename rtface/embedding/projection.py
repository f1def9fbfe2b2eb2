"""Embeddings of fewer numbers: the directions that tell most, for ``rtface evaluate sensitivity``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.models.spec import ModelSpec


def projection(spec: ModelSpec, size: int, rows: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """(D, size) orthonormal columns: ``unit_rows(embeddings @ columns)`` are embeddings of ``size`` numbers.

    They are the first ones of the model's basis, or what ``rows`` vary most along. Behind the basis, which holds all
    embeddings, the columns go on with directions in which there is nothing.

    Args:
        spec: of the model, D numbers.
        size: 1..D.
        rows: (N, D) unit rows of people who are not judged, N at least D; for a model without a basis.

    Raises:
        ValueError: no such size, or the model has no basis and there are no rows.
    """
    whole = spec.size
    if not 1 <= size <= whole:
        raise ValueError(f"{spec.name} has {whole} numbers, so that it cannot be projected to {size}.")
    if size == whole:
        return np.eye(whole, dtype=np.float32)
    if spec.basis is not None:
        main = spec.basis.astype(np.float64)
    elif rows is not None and len(rows) >= whole:
        main = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))[1][:, ::-1]
    else:
        raise ValueError(f"{spec.name} has no basis: give at least {whole} embeddings of people who are not judged.")
    if size <= main.shape[1]:
        return np.asarray(main[:, :size], np.float32)
    completed = np.linalg.qr(np.concatenate([main, np.eye(whole)], axis=1))[0]
    return np.asarray(np.concatenate([main, completed[:, main.shape[1] : size]], axis=1), np.float32)
