"""Embeddings to votes: one search for all, then each one's neighbours vote inside the calibrated distance."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtface.config import Config
from rtface.errors import GalleryLost
from rtface.gallery.calibration import Calibration
from rtface.gallery.evidence import AUTO_RATE, ballot, refuse_unreachable
from rtface.gallery.voting import comparisons, distance_limit
from rtface.interfaces import Gallery
from rtface.types import Ballot, Identity, Neighbor, Rules

log = logging.getLogger(__name__)

GROWN = 2
"""So many times the people it was calibrated with, and a gallery should be measured again."""
DEFAULT_RATE = 0.001
"""Of false identification, where neither the settings nor a calibration name one."""


@dataclass(frozen=True, slots=True)
class VoteRules:
    """How neighbours become a verdict; the settings of the same names.

    What is ``auto`` comes from the gallery's calibration.
    """

    k: int
    min_share: float
    max_distance: float | Literal["auto"]
    false_identification_rate: float | Literal["auto"]
    min_margin: float | Literal["auto"] = "auto"
    false_name_rate: float | Literal["auto"] = "auto"

    @classmethod
    def of(cls, config: Config) -> VoteRules:
        """As the settings have them."""
        return cls(
            config.k,
            config.min_share,
            config.max_distance,
            config.false_identification_rate,
            config.min_margin,
            config.false_name_rate,
        )


def rules_for(rules: VoteRules, known: Calibration | None, min_votes: int = 1, *, still: bool = False) -> Rules:
    """The settings with what is ``auto`` worked out; see ``Judge.rules``."""
    of_a_look, margin, wanted = rules.false_identification_rate, rules.min_margin, rules.false_name_rate
    if of_a_look == "auto":
        of_a_look = DEFAULT_RATE if known is None else known.rate
    if margin == "auto":
        margin = 0.0 if known is None else known.margin
    followed = 1.0 if still else min(AUTO_RATE * of_a_look, 1.0) if wanted == "auto" else wanted
    return Rules(rules.k, rules.min_share, margin, min_votes, of_a_look, followed)


def never_calibrated() -> None:
    """The calibration of a gallery that has none."""


class Judge:
    """A gallery with the rules for asking it."""

    def __init__(
        self,
        gallery: Gallery,
        limits: Mapping[float, float],
        rules: VoteRules,
        *,
        calibration: Callable[[], Calibration | None] = never_calibrated,
    ) -> None:
        """Asks nothing yet.

        Args:
            gallery: the people.
            limits: rates of false comparisons to distances, for a gallery without a calibration.
            rules: the settings.
            calibration: reads the gallery's own; asked again whenever the gallery has changed.

        Raises:
            ConfigError: no number of looks could show that a name keeps to ``false_name_rate``.
        """
        self.gallery = gallery
        self._limits = limits
        self._rules = rules
        self._read_calibration = calibration
        self._calibration: Calibration | None = None
        self._outgrown = False
        self._measured_at = -1
        self._limit = 0.0
        self._enrolled: Mapping[str, int] = {}
        refuse_unreachable(self.rules())

    @property
    def limit(self) -> float:
        """The largest distance at which a neighbour votes; it tightens as the gallery grows."""
        self._follow()
        return self._limit

    def rules(self, min_votes: int = 1, *, still: bool = False) -> Rules:
        """The rules in force, for a name that needs so many looks; recorded with every decision.

        A still is one look and nobody is followed in it: the rate of one look is all that it is held to.
        """
        self._follow()
        return rules_for(self._rules, self._calibration, min_votes, still=still)

    def _follow(self) -> None:
        if self.gallery.revision == self._measured_at:
            return
        try:
            self._measure(self.gallery.revision)
        except GalleryLost:
            if self._measured_at < 0:
                raise  # nothing was ever known; otherwise that stays in force

    def _measure(self, revision: int) -> None:
        self._enrolled = self.gallery.counts()
        self._calibration = self._read_calibration()
        rules, known = self._rules, self._calibration
        chances = comparisons(self._enrolled, k=rules.k, min_share=rules.min_share)
        rate = rules_for(rules, known).false_identification_rate
        if rules.max_distance != "auto":
            self._limit = rules.max_distance
        elif known is None:
            self._limit = distance_limit(self._limits, chances, rate)
        else:
            self._limit = known.limit(chances, rate)
            self._tell_outgrown(known, holds=known.holds(chances, rate))
        self._measured_at = revision

    def _tell_outgrown(self, known: Calibration, *, holds: bool) -> None:
        outgrown = len(self._enrolled) > GROWN * known.people or not holds
        if outgrown and not self._outgrown:
            log.warning(
                "The gallery was calibrated with %d people and has %d: rtface gallery calibrate measures it anew.",
                *(known.people, len(self._enrolled)),
            )
        self._outgrown = outgrown

    def vote(self, embeddings: NDArray[np.float32]) -> list[Identity]:
        """The verdict of each of N unit rows by itself; nobody where no person convinces."""
        return [look.vote for look in self.look(embeddings)]

    def look(self, embeddings: NDArray[np.float32]) -> list[Ballot]:
        """The same with all that each vote rests on.

        Raises:
            GalleryLost: its server is out of reach, and has to be asked.
        """
        if not len(embeddings):
            return []
        self._follow()
        found = self._search(embeddings)  # a first search may bring the gallery to a later revision
        rules, revision = self.rules(), self.gallery.revision
        looks = []
        for neighbors in found:
            people = {row.person for row in neighbors}
            enrolled = [(person, self._enrolled.get(person, 0)) for person in people]
            looks.append(ballot(neighbors, limit=self._limit, enrolled=enrolled, rules=rules, revision=revision))
        return looks

    def _search(self, embeddings: NDArray[np.float32]) -> list[list[Neighbor]]:
        """Neighbours with k rows that can vote among them; counter-examples, which are few, come on top."""
        found = self.gallery.search(embeddings, self._rules.k)
        for place, rows in enumerate(found):
            wanted = self._rules.k
            while len(rows) == wanted and (against := sum(row.against for row in rows)) > wanted - self._rules.k:
                wanted = self._rules.k + against
                (rows,) = self.gallery.search(embeddings[place : place + 1], wanted)
            found[place] = rows
        return found
