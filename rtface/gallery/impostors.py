"""How near pictures of different people come to each other: the tail of a model's impostor distances, as measured.

A *rate* is how often a picture of a stranger lies within a distance of a picture of somebody else, every pair of people
counting once, whatever the number of their pictures: a thousand pairs of pictures of two people are one trial, not a
thousand. engines/impostors.toml has the tails of the shipped models; ``impostor_pairs`` measures one.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rtface.errors import ModelBroken
from rtface.models.catalogue import shipped_file

FILE = "impostors.toml"
NEVER = 1e-12
"""Stands for a rate of 0 where logarithms are taken."""


@dataclass(frozen=True, slots=True)
class Step:
    """One point of a tail.

    Attributes:
        distance: squared L2, 0..4.
        rate: of the pairs of people, 0..1.
        low, high: ends of the rate's 95 % interval, from resampling people.
    """

    distance: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ImpostorTail:
    """The nearest distances of different people.

    Attributes:
        people: how many it was measured on.
        steps: at least two, by growing distance and rate.
    """

    people: int
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for what is no tail."""
        grows = all(a.distance < b.distance and a.rate < b.rate and a.high < b.high for a, b in pairwise(self.steps))
        if len(self.steps) < 2 or not grows or self.people < 2:
            raise ValueError("distances, rates and the upper ends of their intervals do not grow together")
        if not all(0 <= step.low <= step.rate <= step.high and 0 < step.rate <= 1 for step in self.steps):
            raise ValueError("a rate is outside its interval")

    @property
    def smallest_rate(self) -> float:
        """The smallest rate so many people can show: three in the number of their pairs (rule of three).

        Steps below it are the tail continued, which nobody has counted.
        """
        return 3 / math.comb(self.people, 2)

    def at(self, distance: float) -> Step:
        """The rate at this distance and its interval.

        Straight between steps over the logarithm of the rate, and straight on below the nearest and beyond the last.
        """
        rate, low, high = (self._at(distance, [getattr(step, end) for step in self.steps]) for end in _RATES)
        return Step(distance, rate, min(low, rate), max(high, rate))

    def _at(self, distance: float, rates: Sequence[float]) -> float:
        points = [(step.distance, math.log(max(rate, NEVER))) for step, rate in zip(self.steps, rates, strict=True)]
        around = next((pair for pair in pairwise(points) if distance <= pair[1][0]), (points[-2], points[-1]))
        (near, below), (far, above) = around
        return min(math.exp(below + (above - below) * (distance - near) / (far - near)), 1.0)

    def limits(self, *, cautious: bool = False) -> dict[float, float]:
        """{rate: distance} for ``voting.distance_limit``.

        Args:
            cautious: the distances at which the upper ends of the intervals keep to the rates.
        """
        return {min(step.high if cautious else step.rate, 1.0): step.distance for step in self.steps}


_RATES = ("rate", "low", "high")


def tail_of(people: object, steps: object) -> ImpostorTail:
    """A tail as it lies in TOML and JSON: [[distance, rate, low, high], ...].

    Raises:
        ValueError: it is none.
    """
    if not isinstance(people, int) or not isinstance(steps, list):
        raise ValueError("the number of people or the list of steps is missing")
    found = []
    for step in steps:
        if not isinstance(step, list) or len(step) != 4 or not all(isinstance(one, (int, float)) for one in step):
            raise ValueError(f"{step!r:.60} is no step of a tail")
        found.append(Step(*map(float, step)))
    return ImpostorTail(people, tuple(found))


def shipped_tail(model: str, fingerprint: str, *, file: Path | None = None) -> ImpostorTail | None:
    """What rtface knows of this model; None where nothing was measured for these weights.

    Raises:
        ModelBroken: the file is damaged.
    """
    file = shipped_file(FILE) if file is None else file
    try:
        entry = tomllib.loads(file.read_text(encoding="utf-8")).get(model)
        if entry is None or entry.get("fingerprint") != fingerprint:
            return None
        return tail_of(entry.get("people"), entry.get("steps"))
    except (OSError, ValueError) as error:
        raise ModelBroken(f"The impostor statistics {file} cannot be read ({error}): install rtface again.") from error
