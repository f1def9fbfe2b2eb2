"""What embeddings go through behind the network, against the same formula written out number by number."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import ModelBroken
from rtface.models import catalogue
from rtface.models.head import Head, read_head
from tests.gallery.samples import distances, units

SHIPPED = catalogue.shipped_file().parent


def made_up(keys: int = 3) -> Head:
    """From 6 numbers along 4 directions."""
    rng = np.random.default_rng(1)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 4)))
    parts = rng.normal(size=4) * 0.1, rng.normal(size=(keys, 4)), rng.normal(size=(keys, 4))
    return Head(basis.astype(np.float32), *(np.asarray(part, np.float32) for part in parts))


def scaled(row: list[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in row))
    return [number / length for number in row]


def by_hand(head: Head, row: list[float]) -> list[float]:
    basis, centre = head.basis.tolist(), head.centre.tolist()
    keys, values = head.keys.tolist(), head.values.tolist()
    inner = [sum(row[i] * basis[i][j] for i in range(len(row))) - centre[j] for j in range(len(centre))]
    inner = scaled(inner)
    # The attention looks at the row as it was before any value is added.
    powers = [math.exp(sum(a * b for a, b in zip(inner, key, strict=True))) for key in keys]
    for power, value in zip(powers, values, strict=True):
        inner = [a + power / sum(powers) * b for a, b in zip(inner, value, strict=True)]
    inner = scaled(inner)
    return [sum(basis[i][j] * inner[j] for j in range(len(inner))) for i in range(len(row))]


@pytest.mark.parametrize("keys", [0, 1, 3])
def test_it_is_the_formula_in_its_docstring(keys: int) -> None:
    head, rows = made_up(keys), units(2, 5, 6)
    expected = [by_hand(head, row) for row in rows.tolist()]
    assert np.abs(head(rows) - expected).max() < 1e-6
    assert head(units(2, 0, 6)).shape == (0, 6)


def test_it_keeps_every_embedding_along_its_basis() -> None:
    head = made_up()
    rows = head(units(2, 20, 6))
    assert np.abs(distances(rows @ head.basis, rows @ head.basis) - distances(rows, rows)).max() < 1e-5


def test_a_file_gives_the_head_that_was_written_and_any_other_number_another_digest(tmp_path: Path) -> None:
    head = made_up()
    np.savez(tmp_path / "h.npz", basis=head.basis, centre=head.centre, keys=head.keys, values=head.values)
    read = read_head(tmp_path / "h.npz", 6)
    assert read.digest == head.digest
    assert np.array_equal(read(units(1, 3, 6)), head(units(1, 3, 6)))
    changed = {name: getattr(head, name).copy() for name in ("basis", "centre", "keys", "values")}
    for array in changed.values():
        array.flat[0] = np.nextafter(array.flat[0], np.float32(9))
        assert Head(**changed).digest != head.digest


@pytest.mark.parametrize(
    ("part", "array", "told"),
    [
        ("basis", np.ones((6, 4)), "not orthonormal"),
        ("basis", np.eye(5, 4), r"basis is not \(6, 4\)"),
        ("centre", np.ones(3), r"centre is not \(4,\)"),
        ("keys", np.full((3, 4), np.nan), "keys is not"),
        ("values", np.ones((2, 4)), r"values is not \(3, 4\)"),
        ("values", None, "values"),
    ],
)
def test_a_file_that_does_not_fit_says_what_is_wrong(
    tmp_path: Path, part: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None, told: str
) -> None:
    head = made_up()
    arrays = {name: getattr(head, name) for name in ("basis", "centre", "keys", "values")} | {part: array}
    np.savez(tmp_path / "h.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=told):
        read_head(tmp_path / "h.npz", 6)


def test_a_head_belongs_to_the_fingerprint() -> None:
    spec = catalogue.load(SHIPPED)["sface"]
    assert len({spec.fingerprint, replace(spec, head=made_up()).fingerprint}) == 2
    assert replace(spec, head=made_up()).fingerprint == replace(spec, head=made_up()).fingerprint


@pytest.mark.parametrize(
    ("line", "told"),
    [('head = "none.npz"', "none.npz cannot be read"), ('head = "text.npz"', "text.npz cannot be read")],
)
def test_a_head_that_cannot_be_read_is_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "text.npz").write_text("no arrays", encoding="utf-8")
    (tmp_path / "models.toml").write_text(f"[sface]\n{line}\n", encoding="utf-8")
    with pytest.raises(ModelBroken, match=told):
        catalogue.load(tmp_path)


def test_a_centre_and_a_head_are_one_too_many(tmp_path: Path) -> None:
    np.zeros(128, "<f4").tofile(tmp_path / "c.f32")
    (tmp_path / "models.toml").write_text('[sface]\nhead = "h.npz"\ncentre = { file = "c.f32" }\n', encoding="utf-8")
    with pytest.raises(ModelBroken, match="left out where there is a centre"):
        catalogue.load(tmp_path)
