"""Fewer numbers: orthonormal, those that tell most first, and nothing lost where there was nothing."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.embedding.projection import projection
from rtface.models import catalogue
from rtface.models.head import Head, unit_rows
from tests.gallery.samples import distances, units

SPEC = catalogue.load(catalogue.shipped_file().parent)["sface"]
WHOLE = SPEC.embedding_size


def flat(seed: int, inner: int) -> NDArray[np.float32]:
    """(WHOLE, inner) orthonormal columns."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(WHOLE, inner)))[0].astype(np.float32)


def with_basis(basis: NDArray[np.float32]) -> catalogue.ModelSpec:
    inner = basis.shape[1]
    none = np.zeros((0, inner), np.float32)
    return replace(SPEC, head=Head(basis, np.zeros(inner, np.float32), none, none))


@pytest.mark.parametrize("size", [1, 20, 40, 41, 100, WHOLE])
def test_columns_are_orthonormal_and_begin_with_the_basis(size: int) -> None:
    basis = flat(1, 40)
    columns = projection(with_basis(basis), size)
    assert columns.shape == (WHOLE, size)
    assert np.abs(columns.T @ columns - np.eye(size)).max() < 1e-5
    if size < WHOLE:
        assert np.array_equal(columns[:, : min(size, 40)], basis[:, :size])


@pytest.mark.parametrize("size", [40, 64, WHOLE])
def test_distances_along_the_basis_stay(size: int) -> None:
    basis = flat(1, 40)
    rows = units(2, 30, 40) @ basis.T
    fewer = unit_rows(np.asarray(rows @ projection(with_basis(basis), size), np.float32))
    assert np.abs(distances(fewer, fewer) - distances(rows, rows)).max() < 1e-5


def test_without_a_basis_it_takes_what_rows_vary_most_along() -> None:
    rng = np.random.default_rng(3)
    rows = unit_rows(
        (rng.normal(size=(500, 8)) @ flat(4, 8).T + 0.01 * rng.normal(size=(500, WHOLE))).astype(np.float32)
    )
    columns = projection(SPEC, 8, rows)
    inside = flat(4, 8).T @ columns  # (8, 8): how much of the true directions is in them
    assert np.linalg.svd(inside)[1].min() > 0.99


def test_what_cannot_be_said_is_refused() -> None:
    for size in (0, WHOLE + 1):
        with pytest.raises(ValueError, match=f"{WHOLE} numbers"):
            projection(SPEC, size)
    with pytest.raises(ValueError, match="no basis"):
        projection(SPEC, 64)
    with pytest.raises(ValueError, match="no basis"):
        projection(SPEC, 64, units(1, WHOLE - 1, WHOLE))
