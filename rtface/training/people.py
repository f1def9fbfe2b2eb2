"""The faces to train on: a folder of people, each a folder of crops, as a data set and cut up by person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.align import crop_box
from rtface.errors import TrainingError
from rtface.sources.images import list_pictures, read_picture
from rtface.types import Image

MEMORY_BYTES = 2 << 30
"""Decoded crops kept, oldest first come; 27,000 faces of 160 px. The others are read anew each time."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Crops and whose they are.

    Attributes:
        names: (K,) of the people, sorted.
        pictures: (N,) files, by person and then by name.
        owners: (N,) int64 number of the person of each.
    """

    names: tuple[str, ...]
    pictures: tuple[Path, ...]
    owners: NDArray[np.int64]

    def chosen(self, numbers: NDArray[np.integer]) -> People:
        """These people alone, numbered from 0 in their order here."""
        wanted = np.sort(numbers)
        rows = np.flatnonzero(np.isin(self.owners, wanted))
        owners = np.searchsorted(wanted, self.owners[rows]).astype(np.int64)
        return People(tuple(self.names[int(n)] for n in wanted), tuple(self.pictures[int(r)] for r in rows), owners)


def read_people(folder: Path) -> People:
    """The people of a folder: every subfolder with pictures is a person.

    Raises:
        PictureError: a folder cannot be read.
        TrainingError: there are not two people, or nobody has two pictures.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder} is no folder. Name one that holds a folder of face pictures for each person.")
    found = [(path.name, list_pictures(path)) for path in sorted(folder.iterdir()) if path.is_dir()]
    people = [(name, pictures) for name, pictures in found if pictures and not name.startswith(".")]
    if len(people) < 2 or max(len(pictures) for _, pictures in people) < 2:
        raise TrainingError(
            f"{folder} has {len(people)} people with pictures; training needs at least two, one of them with two "
            "pictures or more. Make a folder for each person in it."
        )
    owners = np.repeat(np.arange(len(people)), [len(pictures) for _, pictures in people]).astype(np.int64)
    return People(tuple(name for name, _ in people), tuple(path for _, pictures in people for path in pictures), owners)


def split(people: People, share: float, seed: int) -> tuple[People, People]:
    """Training and validation people, nobody in both: ``share`` of those with several pictures and of the others.

    Raises:
        TrainingError: too few people to hold any back.
    """
    rng = np.random.default_rng((seed, 0x5EED))
    counts = np.bincount(people.owners, minlength=len(people.names))
    held: list[int] = []
    for group in (np.flatnonzero(counts > 1), np.flatnonzero(counts == 1)):
        held += [int(number) for number in rng.permutation(group)[: round(len(group) * share)]]
    several = [number for number in held if counts[number] > 1]
    if len(held) < 2 or not several or len(several) == int((counts > 1).sum()):
        raise TrainingError(
            f"{share:.0%} of {len(people.names)} people are too few to validate on. Give more people, a larger "
            "--validation-share, or people of their own with --validation DIR."
        )
    others = np.setdiff1d(np.arange(len(people.names)), held)
    return people.chosen(others), people.chosen(np.array(held))


@dataclass(slots=True, eq=False)
class CropReader:
    """Reads crops of one size, keeping in memory what fits; threads may share it."""

    people: People
    size: int
    memory_bytes: int = MEMORY_BYTES
    _kept: dict[int, Image] = field(default_factory=dict)

    def __call__(self, row: int) -> Image:
        """(size, size, 3) uint8 BGR, not to be written to.

        Raises:
            PictureError: the file cannot be read.
        """
        kept = self._kept.get(row)
        if kept is not None:
            return kept
        picture = read_picture(self.people.pictures[row])
        height, width = picture.shape[:2]
        crop = picture
        if (height, width) != (self.size, self.size):
            crop = crop_box(picture, np.array([0, 0, width, height], np.float32), self.size, 0.0)
        crop.flags.writeable = False
        if (len(self._kept) + 1) * crop.nbytes <= self.memory_bytes:
            self._kept[row] = crop
        return crop
