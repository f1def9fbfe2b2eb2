"""The joint behind which the nearest rows are searched: in this process's memory, or in the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rtface.gallery.vectors import Rows, VectorForm
from rtface.types import Neighbor


class Searcher(Protocol):
    """Answers who is near, as of one revision of the database."""

    revision: int

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows that speak for each person."""

    def __len__(self) -> int:
        """Rows of all people."""

    def follow(self, *, at_once: bool = True) -> bool:
        """Takes in what has changed; True when something had. Not ``at_once``: part of very many new rows, the rest at
        the next calls; every change up to ``revision`` is in."""

    def search(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """For each of N unit rows its at most k nearest rows, nearest first, counter-examples among them."""

    def use(self, form: VectorForm) -> None:
        """Takes note that all vectors lie in this form from now on."""

    def problems(self) -> list[str]:
        """Where it differs from the database, a sentence each."""

    def forget_saved(self) -> None:
        """Deletes every file of its own that may hold a vector.

        Raises:
            OSError: one cannot be deleted.
        """

    def save(self) -> None:
        """Keeps what it has built for next time, if it can."""

    def saved_bytes(self) -> int:
        """What is kept takes on disk."""
