"""VAL at FAR over all pairs of some pictures, and how far it could be chance: people drawn again, with replacement.

Pictures of one person hang together, so it is people that are drawn, not pairs. The draws are the same for all
embeddings of the same pictures, so that the difference of two of them has an interval of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Figures = NDArray[np.float64]
NEAREST = 0.02
"""Part of the different pairs that is looked at: twice the largest rate that is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """VAL at each rate: of the pictures themselves (R,), and of each draw (B, R)."""

    val: Figures
    draws: Figures

    def gain_over(self, other: Measured) -> tuple[Figures, Figures, Figures]:
        """How much higher, and the ends of the 95 % interval of that; (R,) each."""
        low, high = np.percentile(self.draws - other.draws, [2.5, 97.5], axis=0)
        return self.val - other.val, low, high


class Judge:
    """Pictures of known people."""

    def __init__(self, people: NDArray[np.str_], rates: tuple[float, ...], *, draws: int = 1000) -> None:
        """Args: ``people`` is (N,), who is on each picture."""
        _, self._whose, self._counts = np.unique(people, return_inverse=True, return_counts=True)
        number = len(self._counts)
        self._weights = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=draws)
        self._first, self._second = np.triu_indices(len(people), 1)
        self._same = self._whose[self._first] == self._whose[self._second]
        self._rates = rates

    def measure(self, rows: Rows, others: Rows | None = None) -> Measured:
        """VAL of (N, D) unit rows, or of them against others of the same pictures: each two pictures both ways."""
        ways = 1 if others is None else 2
        first = np.concatenate([self._first, self._second][:ways])
        second = np.concatenate([self._second, self._first][:ways])
        alike = np.tile(self._same, ways)
        distances = (2 - 2 * rows @ (rows if others is None else others).T)[first, second]
        same, different = distances[alike], distances[~alike]
        order = np.argsort(same)
        same, whose = same[order], self._whose[first[alike]][order]
        nearest = np.argpartition(different, int(len(different) * NEAREST))[: int(len(different) * NEAREST)]
        nearest = nearest[np.argsort(different[nearest])]
        one, other = (self._whose[side[~alike][nearest]] for side in (first, second))
        different, total = different[nearest], len(different)

        def val(weights: NDArray[np.int64], pairs: float) -> list[float]:
            accepted = np.concatenate([[0], np.cumsum(weights[whose])])
            passing = np.cumsum(weights[one] * weights[other])
            places = [np.searchsorted(passing, rate * pairs + 1e-9, side="right") for rate in self._rates]
            limits = different[np.minimum(places, len(different) - 1)]
            return [float(count) for count in accepted[np.searchsorted(same, limits)] / accepted[-1]]

        drawn = [val(weights, ways * self._different(weights)) for weights in self._weights]
        return Measured(np.array(val(np.ones_like(self._counts), total)), np.array(drawn))

    def _different(self, weights: NDArray[np.int64]) -> float:
        """Pairs of different people when each person is there so many times."""
        pictures = weights * self._counts
        return float(pictures.sum() ** 2 - (pictures**2).sum()) / 2
