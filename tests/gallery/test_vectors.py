"""How embeddings lie in the database: whole, and in one byte a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtface.errors import GalleryBroken
from rtface.gallery.vectors import Bytes, Float32, VectorForm, are_units, form_of
from tests.gallery.samples import clusters, distances, units


@pytest.mark.parametrize("form", [Float32(32), Bytes(32), Bytes(128)], ids=lambda form: f"{form.name}")
def test_a_row_of_every_form_is_a_unit_row_that_encodes_to_what_it_came_from(form: VectorForm) -> None:
    rows = units(1, 50, form.size)
    stored = form.encode(rows)
    decoded = form.decode(stored)
    assert {len(value) for value in stored} == {form.stored_bytes}
    assert all(form.is_stored(value) for value in stored)
    assert decoded.shape == (50, form.size) and decoded.dtype == np.float32
    assert are_units(decoded).all()
    assert form.encode(decoded) == stored
    assert np.array_equal(form.project(decoded), decoded)
    assert form.encode(units(1, 0, form.size)) == [] and form.decode([]).shape == (0, form.size)


@given(st.integers(0, 10**6), st.sampled_from([2, 16, 128]))
def test_a_byte_moves_no_number_by_more_than_half_of_its_step(seed: int, size: int) -> None:
    rows = units(seed, 4, size)
    form = Bytes(size)
    for row, value in zip(rows, form.encode(rows), strict=True):
        step = float(np.abs(row).max()) / 127
        assert np.abs(np.frombuffer(value, np.int8) * step - row).max() <= step / 2 + 1e-6


def test_bytes_keep_distances_of_128_numbers_to_a_hundredth() -> None:
    """Rows as evenly spread as they can be: the error of a byte is largest beside the distance there."""
    rows = clusters(1, people=40, each=5, size=128)
    form = Bytes(128)
    error = np.abs(distances(rows, form.decode(form.encode(rows))) - distances(rows, rows))
    assert error.max() < 0.01


def basis(seed: int, size: int, kept: int) -> NDArray[np.float32]:
    """(size, kept) orthonormal columns."""
    columns, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, kept)))
    return np.asarray(columns, np.float32)


def test_embeddings_along_a_basis_keep_their_distances_in_fewer_numbers() -> None:
    columns = basis(3, 512, 128)
    rows = np.asarray(clusters(4, people=20, each=3, size=128) @ columns.T, np.float32)
    form = Bytes(512, columns)
    assert (form.size, form.stored_bytes) == (128, 128)
    assert np.abs(distances(form.project(rows), form.project(rows)) - distances(rows, rows)).max() < 1e-5
    decoded = form.decode(form.encode(rows))
    assert np.abs(distances(form.project(rows), decoded) - distances(rows, rows)).max() < 0.01
    assert form.encode(decoded) == form.encode(rows)


@pytest.mark.parametrize(
    "numbers", [[0, 0, 0, 0], [1, 2, 3, 4], [-128, 127, 0, 0]], ids=["nothing", "no largest", "beyond the largest"]
)
def test_bytes_nobody_can_have_stored_are_no_unit_row(numbers: list[int]) -> None:
    value: NDArray[np.int8] = np.array(numbers, np.int8)
    form = Bytes(4)
    assert form.is_stored(value.tobytes())
    assert not are_units(form.decode([value.tobytes()])).any()


def test_a_form_of_a_newer_rtface_is_refused() -> None:
    with pytest.raises(GalleryBroken, match="'float8', which this rtface does not know: upgrade it"):
        form_of("float8", 4)
