"""What is said of a set of compared pairs: VAL at FAR, equal error rate, AUC, each with an interval over people.

Intervals are 95 % percentiles of a bootstrap over people: people are drawn with replacement, a same pair counts as
often as its person was drawn and a different pair as often as both of its people together. Pairs of one person are far
from independent, so that resampling pairs would promise too much. Where not one error was seen every draw says so too;
the interval then is that of Clopper and Pearson with people as trials.

Source: Schroff et al., *FaceNet*, 2015, section 4, for VAL and FAR; Bolle, Ratha, Pankanti, *Error analysis of pattern
recognition systems: the subsets bootstrap*, 2004, for resampling people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation.distances import Compared, PairTable

RATES = {"1e-1": 1e-1, "1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4, "1e-5": 1e-5}
"""False accept rates that are told where at least 1 / FAR different pairs can show them."""
RESAMPLES = 300
PERCENTILES = (2.5, 97.5)
ROC_POINTS = 400

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one set of pairs; rates 0..1.

    Attributes:
        same_pairs, different_pairs: how many there are; same ones with failures, different ones without.
        val_at_far: by FAR.
        distance_at_far: the distances that give them.
        val_interval: 95 % over people, by FAR; empty without a bootstrap.
        equal_error_rate, auc: ...
        equal_error_interval, auc_interval: ... with their intervals; None without a bootstrap.
        resamples: of the bootstrap in which there was something to measure.
        sampled: not every pair was held: figures above FAR ``exact_far`` are of a sample.
        exact_far: false accepts are counted one by one up to this rate.
    """

    same_pairs: int
    different_pairs: int
    val_at_far: dict[str, float]
    distance_at_far: dict[str, float]
    val_interval: dict[str, Interval]
    equal_error_rate: float
    equal_error_interval: Interval | None
    auc: float
    auc_interval: Interval | None
    resamples: int
    sampled: bool
    exact_far: float


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points of a ROC; (P,) float64 each, by growing distance."""

    distances: NDArray[np.float64]
    far: NDArray[np.float64]
    val: NDArray[np.float64]


def figures(compared: Compared, *, resamples: int = RESAMPLES, seed: int = 0) -> Figures:
    """All figures of these pairs.

    Args:
        compared: at least one pair of each kind.
        resamples: of people for the intervals; 0 for none.
        seed: of the resamples.

    Raises:
        EvaluationError: there are no pairs of a kind.
    """
    scale = _Scale(compared)
    rates = {label: rate for label, rate in RATES.items() if rate * compared.different.total >= 1 - 1e-9}
    labels, values = list(rates), list(rates.values())
    whole = scale.measure(compared.same.weights, compared.different.weights, values)
    rng = np.random.default_rng(seed)
    drawn = [one for _ in range(resamples) if (one := scale.resample(rng, values)) is not None]
    spread = np.percentile([one.row for one in drawn], PERCENTILES, axis=0) if drawn else None
    intervals = [] if spread is None else [(float(low), float(high)) for low, high in spread.T]
    people = len(np.unique(compared.people[compared.same.rows[:, 0]]))
    vals = [unseen(val, interval, people) for val, interval in zip(whole.vals, intervals[2:], strict=False)]
    different = compared.different
    return Figures(
        same_pairs=compared.same.total,
        different_pairs=different.total,
        val_at_far=dict(zip(labels, whole.vals, strict=True)),
        distance_at_far=dict(zip(labels, whole.distances, strict=True)),
        val_interval=dict(zip(labels, vals, strict=True)) if intervals else {},
        equal_error_rate=whole.equal_error_rate,
        equal_error_interval=unseen(whole.equal_error_rate, intervals[0], people) if intervals else None,
        auc=whole.auc,
        auc_interval=intervals[1] if intervals else None,
        resamples=len(drawn),
        sampled=different.sampled or compared.same.sampled,
        exact_far=different.exact / different.total if different.sampled else 1.0,
    )


def unseen(rate: float, interval: Interval, people: int) -> Interval:
    """The interval of a rate over so many people, widened where all of them agree.

    Source: Clopper, Pearson, *The use of confidence or fiducial limits*, 1934, for no failures or no successes.
    """
    reach = float((PERCENTILES[0] / 100) ** (1 / people)) if people else 0.0
    low, high = interval
    return min(low, reach) if rate == 1 else low, max(high, 1 - reach) if rate == 0 else high


def rates_at(compared: Compared, distance: float) -> tuple[float, float]:
    """VAL(d) and FAR(d).

    Raises:
        EvaluationError: there are no pairs of a kind.
    """
    _demand(compared)
    val, far = (
        float(table.weights[table.distances <= distance].sum() / table.weights.sum())
        for table in (compared.same, compared.different)
    )
    return val, far


def curve(compared: Compared) -> Curve:
    """The ROC, thinned to some hundred points that are close together where false accepts are few.

    Raises:
        EvaluationError: there are no pairs of a kind.
    """
    _demand(compared)
    same, different = compared.same, compared.different
    far = np.cumsum(different.weights) / different.weights.sum()
    wanted = np.geomspace(far[0], 1, ROC_POINTS)
    places = np.unique(np.minimum(np.searchsorted(far, wanted), len(far) - 1))
    accepted = np.concatenate(([0.0], np.cumsum(same.weights) / same.weights.sum()))
    val = accepted[np.searchsorted(same.distances, different.distances[places], side="right")]
    last = np.searchsorted(different.distances, different.distances[places], side="right") - 1
    return Curve(different.distances[places].astype(np.float64), far[last], val)


@dataclass(frozen=True, slots=True)
class _Measured:
    vals: Sequence[float]
    distances: Sequence[float]
    equal_error_rate: float
    auc: float

    @property
    def row(self) -> list[float]:
        return [self.equal_error_rate, self.auc, *self.vals]


class _Scale:
    """Where the distances of both kinds lie among each other: worked out once, used by every resample."""

    def __init__(self, compared: Compared) -> None:
        _demand(compared)
        self._compared = compared
        same, different = compared.same.distances, compared.different.distances
        self._below = np.searchsorted(different, same, side="left")
        self._upto = np.searchsorted(different, same, side="right")
        shown = np.unique(np.concatenate((same[np.isfinite(same)], different)))
        self._same_at = np.searchsorted(same, shown, side="right")
        self._different_at = np.searchsorted(different, shown, side="right")
        self._people = [compared.people[table.rows] for table in (compared.same, compared.different)]
        self._count = int(compared.people.max()) + 1

    def resample(self, rng: np.random.Generator, rates: Sequence[float]) -> _Measured | None:
        """The figures with people drawn anew; None where these have no pairs of one kind."""
        times = np.bincount(rng.integers(0, self._count, self._count), minlength=self._count).astype(np.float64)
        same = self._compared.same.weights * times[self._people[0][:, 0]]
        different = self._compared.different.weights * times[self._people[1][:, 0]] * times[self._people[1][:, 1]]
        if not same.any() or not different.any():
            return None
        return self.measure(same, different, rates)

    def measure(self, same: NDArray[np.float64], different: NDArray[np.float64], rates: Sequence[float]) -> _Measured:
        """The figures with these weights of the pairs."""
        accepted = np.concatenate(([0.0], np.cumsum(same)))
        passed = np.concatenate(([0.0], np.cumsum(different)))
        points = [self._at_rate(accepted, passed, rate) for rate in rates]
        far, rejected = passed[self._different_at] / passed[-1], 1 - accepted[self._same_at] / accepted[-1]
        crossing = int(np.argmax(far >= rejected))
        nearest = min((crossing, max(crossing - 1, 0)), key=lambda place: abs(float(far[place] - rejected[place])))
        # The chance that a same pair is nearer than a different one, ties counting half.
        farther = 1 - (passed[self._below] + passed[self._upto]) / (2 * passed[-1])
        return _Measured(
            [val for val, _ in points],
            [distance for _, distance in points],
            float((far[nearest] + rejected[nearest]) / 2),
            float(np.sum(np.where(np.isfinite(self._compared.same.distances), farther, 0.0) * same) / accepted[-1]),
        )

    def _at_rate(self, accepted: NDArray[np.float64], passed: NDArray[np.float64], rate: float) -> tuple[float, float]:
        """VAL and the largest distance at which no more than ``rate`` of the different pairs pass."""
        distances = self._compared.different.distances
        beyond = int(np.searchsorted(passed, rate * passed[-1] + 1e-9, side="right")) - 1
        if beyond >= len(distances):
            return 1.0, float(distances[-1])
        distance = np.nextafter(distances[beyond], np.float32(-np.inf))
        upto = np.searchsorted(self._compared.same.distances, distance, side="right")
        return float(accepted[upto] / accepted[-1]), float(distance)


def _demand(compared: Compared) -> None:
    tables: dict[str, PairTable] = {"same": compared.same, "different": compared.different}
    for what, table in tables.items():
        if not len(table.distances):
            raise EvaluationError(
                f"There are no pairs of {what} people to measure: name more pictures that show a face."
            )
