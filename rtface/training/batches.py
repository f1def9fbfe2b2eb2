"""Which faces make up each batch: people with many faces each, filled up with strangers; and batches of given triplets.

Every draw comes from the seed and a count, so that a position is two or three whole numbers, saved and gone back to.

Source: FaceNet paper, section 3.2: about 40 faces of each identity, random negatives added, about 1,800 faces in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.errors import TrainingError

Rows = NDArray[np.int64]
Position = dict[str, int]


@dataclass(frozen=True, slots=True)
class BatchShape:
    """How a batch is made up.

    Attributes:
        size: faces in all, at most.
        faces: of one person, at most; people with fewer give all they have.
        negatives: faces of ``size`` kept for strangers: each of somebody of whom no other face is in the batch.
    """

    size: int = 1800
    faces: int = 40
    negatives: int = 200


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of the data set, and the triplets among them by their place here, or None: they are mined from the batch."""

    rows: Rows
    triplets: Rows | None = None


class BatchSource(Protocol):
    """Gives batch after batch, without end."""

    def take(self) -> Batch:
        """The next one."""

    def position(self) -> Position:
        """Where it stands: before the batch that ``take`` gives next."""

    def seek(self, position: Position) -> None:
        """Goes back to where it stood."""


class PeopleBatches:
    """Walks through the people with several faces in an order drawn anew each time all have been seen."""

    def __init__(self, owners: Rows, shape: BatchShape, *, seed: int, multiple_of: int = 1) -> None:
        """Begins at the first batch.

        Args:
            owners: (N,) number of the person of each face.
            shape: of a batch.
            seed: of every draw.
            multiple_of: the batch's size is cut down to one, so that processes can share it evenly.

        Raises:
            TrainingError: the shape cannot be met.
        """
        by_person = np.argsort(owners, kind="stable")
        faces = np.split(by_person, np.cumsum(np.bincount(owners))[:-1])
        self._faces = [rows.astype(np.int64) for rows in faces]
        self._several = np.array([person for person, rows in enumerate(self._faces) if len(rows) > 1], np.int64)
        if not 2 <= shape.faces <= shape.size - shape.negatives or len(self._several) == 0:
            raise TrainingError(
                f"A batch of {shape.size} faces with {shape.negatives} strangers has no room for people of "
                f"{shape.faces}, or nobody has two pictures. A person needs at least two faces in a batch."
            )
        self._shape, self._seed, self._multiple_of = shape, seed, multiple_of
        self._round = self._place = self._taken = 0
        self._order, self._ordered = self._several, -1

    def take(self) -> Batch:
        """People as many as fit, then strangers; the faces of a person stand together."""
        rng = np.random.default_rng((self._seed, 1, self._taken))
        room = min(self._shape.size - self._shape.negatives, sum(len(self._faces[p]) for p in self._several))
        chosen: list[Rows] = []
        inside: set[int] = set()
        count = 0
        while room - count >= 2 and len(inside) < len(self._several):
            person = self._next_person()
            if person in inside:
                continue
            rows = rng.permutation(self._faces[person])[: min(self._shape.faces, room - count)]
            chosen.append(rows)
            inside.add(person)
            count += len(rows)
        strangers = [person for person in range(len(self._faces)) if person not in inside]
        drawn = rng.permutation(np.array(strangers, np.int64))[: self._shape.size - count]
        rows = np.concatenate([*chosen, *(rng.choice(self._faces[int(person)], 1) for person in drawn)])
        self._taken += 1
        return Batch(rows[: len(rows) // self._multiple_of * self._multiple_of])

    def _next_person(self) -> int:
        if self._place == len(self._several):
            self._round, self._place = self._round + 1, 0
        if self._ordered != self._round:
            self._order = np.random.default_rng((self._seed, 0, self._round)).permutation(self._several)
            self._ordered = self._round
        self._place += 1
        return int(self._order[self._place - 1])

    def position(self) -> Position:
        """Round, place in it, batches taken."""
        return {"round": self._round, "place": self._place, "taken": self._taken}

    def seek(self, position: Position) -> None:
        """Goes on as it would have from there."""
        self._round, self._place, self._taken = position["round"], position["place"], position["taken"]


class TripletBatches:
    """Triplets mined offline, in an order drawn anew each time all have been used."""

    def __init__(self, triplets: Rows, size: int, *, seed: int, multiple_of: int = 1) -> None:
        """Begins at the first batch.

        Args:
            triplets: (T, 3) rows of the data set, T at least 1.
            size: faces in a batch, at most; at least 3.
            seed: of every draw.
            multiple_of: the number of faces is filled up to one, with the last face again.
        """
        self.triplets = triplets
        self._count = max(1, size // 3)
        self._seed, self._multiple_of = seed, multiple_of
        self._taken = 0

    def take(self) -> Batch:
        """The next triplets; a face in several of them is there once."""
        batches = -(-len(self.triplets) // self._count)
        turn, place = divmod(self._taken, batches)
        order = np.random.default_rng((self._seed, 2, turn)).permutation(len(self.triplets))
        triplets = self.triplets[order[place * self._count : (place + 1) * self._count]]
        rows, places = np.unique(triplets, return_inverse=True)
        filled = np.pad(rows, (0, -len(rows) % self._multiple_of), mode="edge")
        self._taken += 1
        return Batch(filled.astype(np.int64), places.reshape(triplets.shape).astype(np.int64))

    def position(self) -> Position:
        """Batches taken."""
        return {"taken": self._taken}

    def seek(self, position: Position) -> None:
        """Goes on as it would have from there."""
        self._taken = position["taken"]
