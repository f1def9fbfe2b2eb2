"""Embeddings to votes: one search for all, then each one's neighbours vote inside the calibrated distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.voting import comparisons, distance_limit, vote
from rtface.interfaces import Gallery
from rtface.types import Identity


@dataclass(frozen=True, slots=True)
class VoteRules:
    """How neighbours become a verdict; the settings of the same names."""

    k: int
    min_share: float
    max_distance: float | Literal["auto"]
    false_identification_rate: float


class Judge:
    """A gallery with the rules for asking it."""

    def __init__(self, gallery: Gallery, limits: Mapping[float, float], rules: VoteRules) -> None:
        """Args: ``limits`` is the model's table of false accept rate to distance (engines/models.toml)."""
        self.gallery = gallery
        self._limits = limits
        self._rules = rules
        self._measured_at = -1
        self._limit = 0.0
        self._enrolled: Mapping[str, int] = {}

    @property
    def limit(self) -> float:
        """The largest distance at which a neighbour votes; it tightens as the gallery grows."""
        self._follow()
        return self._limit

    def _follow(self) -> None:
        if self.gallery.revision == self._measured_at:
            return
        self._measured_at = self.gallery.revision
        self._enrolled = self.gallery.counts()
        rules = self._rules
        if rules.max_distance == "auto":
            chances = comparisons(self._enrolled, k=rules.k, min_share=rules.min_share)
            self._limit = distance_limit(self._limits, chances, rules.false_identification_rate)
        else:
            self._limit = rules.max_distance

    def vote(self, embeddings: NDArray[np.float32]) -> list[Identity]:
        """The verdict of each of N unit rows by itself; nobody where no person convinces."""
        if not len(embeddings):
            return []
        self._follow()
        return [
            vote(
                neighbors,
                limit=self._limit,
                k=self._rules.k,
                enrolled=self._enrolled,
                min_share=self._rules.min_share,
            )
            for neighbors in self.gallery.search(embeddings, self._rules.k)
        ]
