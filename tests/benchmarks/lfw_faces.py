"""LFW's people as embeddings, for benchmarks that need all of them; embedded once where a cache is named."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.config import load_config
from rtface.evaluation.lfw import embed_pictures
from rtface.sources.images import read_picture
from rtface.system import System

MISLABELLED = {"Takahiro_Mori", "Carlos_Ruckauf", "Glenn_Rivers", "Hasan_Wirayuda"}
"""LFW people of folds 1-3 whose pictures show somebody else of the set as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Pictures, person by person.

    Attributes:
        names: of the people.
        people: (N,) place of each row's person among the names, ascending.
        rows: (N, D) unit rows, in the order of the pictures' numbers.
        fingerprint: of the embedding model.
    """

    names: tuple[str, ...]
    people: NDArray[np.int64]
    rows: NDArray[np.float32]
    fingerprint: str

    def of(self, person: int) -> NDArray[np.float32]:
        """(n, D) rows of one person."""
        first, after = np.searchsorted(self.people, [person, person + 1])
        return self.rows[first:after]

    def only(self, people: Sequence[int]) -> Faces:
        """The faces of these people, in this order."""
        rows = [self.of(person) for person in people]
        numbers = np.repeat(np.arange(len(people)), [len(own) for own in rows])
        return Faces(tuple(self.names[person] for person in people), numbers, np.concatenate(rows), self.fingerprint)


def lfw_faces(shared: Path, embedder: str, *, cache: Path | None = None) -> Faces:
    """Everybody in ``data/lfw`` whose face is found, but four mislabelled people; embedded as stills are."""
    folder = shared / "data" / "lfw"
    with (
        tempfile.TemporaryDirectory() as place,
        System(load_config(None, {"embedder": embedder, "gallery": f"{place}/g.db"})) as system,
    ):
        fingerprint = system.embedder_spec.fingerprint
        kept = None if cache is None else cache / f"lfw-{embedder}-{fingerprint}.npz"
        if kept is not None and kept.is_file():
            held = np.load(kept)
            named, rows = [str(path) for path in held["paths"]], held["rows"]
        else:
            named, rows = _embedded(system, sorted(folder.glob("*/*.jpg")))
            if kept is not None:
                np.savez(kept, paths=np.array(named), rows=rows)
    owners = [Path(path).parent.name for path in named]
    good = [place for place, owner in enumerate(owners) if owner not in MISLABELLED]
    names = sorted({owners[place] for place in good})
    number = {name: place for place, name in enumerate(names)}
    people = np.array([number[owners[place]] for place in good], np.int64)
    return Faces(tuple(names), people, np.asarray(rows[good], np.float32), fingerprint)


def _embedded(system: System, pictures: Sequence[Path]) -> tuple[list[str], NDArray[np.float32]]:
    def report(label: str, done: int, total: int) -> None:
        if done % 500 == 0 or done == total:
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    found = embed_pictures(pictures, system.detector, system.embedder, read_picture=read_picture, report=report)
    rows = {f"{path.parent.name}/{path.name}": row for path, row in found.items() if row is not None}
    return list(rows), np.stack(list(rows.values()))
