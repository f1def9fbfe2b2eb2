"""Whose each row is: names and counts by person, owners by row, in arrays that a million rows fit in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.index import Labels


class Roster:
    """Rows by ascending label, each with its person, and whether it is a counter-example."""

    def __init__(self) -> None:
        self.labels: Labels = np.empty(0, np.int64)
        self._persons: NDArray[np.int64] = np.empty(0, np.int64)
        self._against: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._names: dict[int, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows that speak for each person; it follows what is taken and forgotten."""
        return MappingProxyType(self._counts)

    def take(self, rows: Sequence[tuple[int, int, int, str]]) -> None:
        """Takes in new rows: label, person, against, name. Labels may come in any order."""
        if not rows:
            return
        labels, persons, against = (np.array(column, np.int64) for column in list(zip(*rows, strict=True))[:3])
        order = np.argsort(labels)
        places = np.searchsorted(self.labels, labels[order])
        self.labels = np.insert(self.labels, places, labels[order])
        self._persons = np.insert(self._persons, places, persons[order])
        self._against = np.insert(self._against, places, against[order] != 0)
        for _, person, is_against, name in rows:
            self._names[person] = name
            self._counts[name] = self._counts.get(name, 0) + (not is_against)

    def forget(self, persons: Iterable[int]) -> Labels:
        """Leaves out these people; gives the labels their rows had."""
        known = [person for person in persons if person in self._names]
        for person in known:
            self._counts.pop(self._names.pop(person), None)
        theirs = np.isin(self._persons, known)
        gone = self.labels[theirs]
        self.labels, self._persons, self._against = self.labels[~theirs], self._persons[~theirs], self._against[~theirs]
        return gone

    def owners(self, labels: Sequence[int]) -> list[tuple[str, bool]]:
        """The name each row belongs to, and whether it is a counter-example."""
        places = np.searchsorted(self.labels, labels)
        persons, against = self._persons[places].tolist(), self._against[places].tolist()
        return [(self._names[person], is_against) for person, is_against in zip(persons, against, strict=True)]
