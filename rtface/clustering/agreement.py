"""How well groups agree with the people who are known to be in them: pairwise and BCubed precision, recall and F1.

Sources: Amigó et al., *A comparison of extrinsic clustering evaluation metrics*, 2009, for BCubed; pairs as in Otto,
Wang and Jain, *Clustering Millions of Faces by Identity*, 2018, section 5.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision: what is together belongs together. Recall: what belongs together is together. All 0..1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def pairwise(people: Sequence[Hashable], groups: Sequence[Hashable]) -> Agreement:
    """Over all pairs of faces; where nothing is put together precision is 1, where nothing belongs together recall."""
    together = _pairs(Counter(zip(people, groups, strict=True)))
    grouped, belonging = _pairs(Counter(groups)), _pairs(Counter(people))
    return Agreement(together / grouped if grouped else 1.0, together / belonging if belonging else 1.0)


def bcubed(people: Sequence[Hashable], groups: Sequence[Hashable]) -> Agreement:
    """Face by face: of its group the part that is the same person, of its person the part that is in its group."""
    if not people:
        return Agreement(1.0, 1.0)
    both = Counter(zip(people, groups, strict=True))
    of_person, of_group = Counter(people), Counter(groups)
    precision = sum(count * count / of_group[group] for (_, group), count in both.items())
    recall = sum(count * count / of_person[person] for (person, _), count in both.items())
    return Agreement(precision / len(people), recall / len(people))


def _pairs(sizes: Counter[Hashable] | Counter[tuple[Hashable, Hashable]]) -> int:
    return sum(comb(size, 2) for size in sizes.values())
