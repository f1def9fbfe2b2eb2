"""Whose each row is: names and counts by person, owners by row, in arrays that a million rows fit in."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.index import Labels

Entry = tuple[int, int, int, str, str, float]
"""Label, person, against, name, the picture's sha256, when it was added."""


class Roster:
    """Rows by ascending label, each with its person, and whether it is a counter-example."""

    def __init__(self) -> None:
        self.labels: Labels = np.empty(0, np.int64)
        self._persons: NDArray[np.int64] = np.empty(0, np.int64)
        self._against: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._origins: NDArray[np.int64] = np.empty(0, np.int64)
        self._names: dict[int, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows that speak for each person; it follows what is taken and forgotten."""
        return MappingProxyType(self._counts)

    def take(self, rows: Sequence[Entry]) -> None:
        """Takes in new rows. Labels may come in any order."""
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        labels, persons, against = (np.array(column, np.int64) for column in columns[:3])
        origins = np.array([zlib.crc32(sha.encode("utf-8", "surrogatepass")) for sha in columns[4]], np.int64)
        origins ^= np.array(columns[5], np.float64).view(np.int64)
        order = np.argsort(labels)
        places = np.searchsorted(self.labels, labels[order])
        self.labels = np.insert(self.labels, places, labels[order])
        self._persons = np.insert(self._persons, places, persons[order])
        self._against = np.insert(self._against, places, against[order] != 0)
        self._origins = np.insert(self._origins, places, origins[order])
        for _, person, is_against, name, _, _ in rows:
            self._names[person] = name
            self._counts[name] = self._counts.get(name, 0) + (not is_against)

    def digest(self, count: int) -> str:
        """A checksum of the first so many rows: their labels, their pictures and when each was added.

        A row's vector never changes under its label, so rows that agree in these have the same vectors in the same
        form; and nobody has to read two gigabytes of them to see whether an index is of these rows.
        """
        both = np.stack([self.labels[:count], self._origins[:count]]).astype("<i8")
        return hashlib.sha256(both.tobytes()).hexdigest()

    def forget(self, persons: Iterable[int]) -> Labels:
        """Leaves out these people; gives the labels their rows had."""
        known = [person for person in persons if person in self._names]
        for person in known:
            self._counts.pop(self._names.pop(person), None)
        theirs = np.isin(self._persons, known)
        gone = self.labels[theirs]
        self.labels, self._origins = self.labels[~theirs], self._origins[~theirs]
        self._persons, self._against = self._persons[~theirs], self._against[~theirs]
        return gone

    def owners(self, labels: Sequence[int]) -> list[tuple[str, bool]]:
        """The name each row belongs to, and whether it is a counter-example."""
        places = np.searchsorted(self.labels, labels)
        persons, against = self._persons[places].tolist(), self._against[places].tolist()
        return [(self._names[person], is_against) for person, is_against in zip(persons, against, strict=True)]
