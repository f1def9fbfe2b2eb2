"""Two networks whose embeddings may be compared: a map for each into one space, learned together.

The old network's map moves a gallery into that space, once, without its pictures. The new network's is the last layer
of a model of its own, which serves that gallery and whoever is enrolled later. One file holds both, and what was
measured when they were learned.

Source: Schroff, Kalenichenko, Philbin, *FaceNet*, CVPR 2015, section 5.6 and appendix, harmonic embeddings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from rtface.models.files import beside
from rtface.models.head import Rows, unit_rows

FILE = "harmonic.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A linear map of embeddings to the unit sphere of another space.

    Attributes:
        centre: (D,) to subtract first.
        matrix: (D, d).
    """

    centre: Rows
    matrix: Rows

    @property
    def size(self) -> int:
        """Numbers that come out, d."""
        return int(self.matrix.shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 of all its numbers."""
        whole = hashlib.sha256()
        for array in (self.centre, self.matrix):
            whole.update(np.ascontiguousarray(array, "<f4").tobytes())
        return whole.hexdigest()

    def __call__(self, rows: Rows) -> Rows:
        """(N, d) unit rows of (N, D) unit rows."""
        return unit_rows(np.asarray((rows - self.centre) @ self.matrix, np.float32))


@dataclass(frozen=True, slots=True)
class Maker:
    """A model whose embeddings are meant: its name, its fingerprint, and how many numbers it gives."""

    name: str
    fingerprint: str
    size: int


@dataclass(frozen=True, slots=True)
class Costs:
    """VAL over all pairs of the faces of people from whom nothing was learned, by false accept rate such as ``1e-3``.

    Attributes:
        people, pictures: how many.
        old: the old model alone, as the gallery was.
        mapped: the old model's embeddings, mapped, among themselves.
        crossed: mapped ones against the harmonic model's, as a migrated gallery is asked.
        harmonic: the harmonic model alone.
        new: the new model alone, as after enrolling everybody again.
    """

    people: int
    pictures: int
    old: Mapping[str, float]
    mapped: Mapping[str, float]
    crossed: Mapping[str, float]
    harmonic: Mapping[str, float]
    new: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Harmonic:
    """Two maps into one space.

    Attributes:
        name: of the model that is ``new`` followed by ``new_layer``, in models.toml.
        old, new: what the maps are of.
        old_layer, new_layer: the maps.
        costs: as measured when they were learned.
    """

    name: str
    old: Maker
    new: Maker
    old_layer: Layer
    new_layer: Layer
    costs: Costs


def write_harmonic(file: Path, harmonic: Harmonic) -> None:
    """Writes it beside and renames it over.

    Raises:
        OSError: it cannot be written.
    """
    record = {name: getattr(harmonic, name) for name in ("name", "old", "new", "costs")}
    text = json.dumps({name: value if name == "name" else asdict(value) for name, value in record.items()})
    layers = {"old": harmonic.old_layer, "new": harmonic.new_layer}
    arrays = {f"{whose}_{part}": getattr(layer, part) for whose, layer in layers.items() for part in Layer.__slots__}
    with beside(file) as partial, partial.open("wb") as stream:
        np.savez(stream, record=np.array(text), **arrays)


def read_harmonic(file: Path) -> Harmonic:
    """What ``write_harmonic`` has written.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or its parts do not fit together.
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            record = json.loads(str(kept["record"]))
            old, new = (Maker(**record[whose]) for whose in ("old", "new"))
            old_layer, new_layer = (
                Layer(*(np.ascontiguousarray(kept[f"{whose}_{part}"], np.float32) for part in Layer.__slots__))
                for whose in ("old", "new")
            )
            harmonic = Harmonic(str(record["name"]), old, new, old_layer, new_layer, Costs(**record["costs"]))
    except (BadZipFile, KeyError, EOFError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no file of rtface train harmonic ({error})") from error
    for maker, layer in ((old, old_layer), (new, new_layer)):
        wanted = (maker.size,), (maker.size, old_layer.matrix.shape[-1])
        if (layer.centre.shape, layer.matrix.shape) != wanted:
            raise ValueError(f"the map of {maker.name} is not from {maker.size} numbers into the space of the other")
        if not (np.isfinite(layer.centre).all() and np.isfinite(layer.matrix).all()):
            raise ValueError(f"the map of {maker.name} has numbers that are not finite")
    return harmonic
