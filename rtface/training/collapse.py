"""A training that is going nowhere, noticed: every face mapped to the same point, or to nothing at all.

Source: FaceNet paper, section 3.2: the hardest negatives early on "can in practice lead to bad local minima early on in
training, specifically it can result in a collapsed model (i.e. f(x) = 0)".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rtface.errors import TrainingCollapsed
from rtface.training.triplets import unit

NARROW = 1e-3
"""Mean distance, 0..4, of the faces of a batch below which they count as one point; strangers lie 1 to 2 apart."""
SHORT = 1e-6
"""Length of an embedding before it is scaled to norm 1 below which it counts as 0."""
PATIENCE = 100
"""Steps on end; a network without batch normalisation begins narrow and comes out of it."""
CURE = (
    "Mine semi-hard negatives (--mining semi-hard), lower the learning rate (--rate), let it rise slowly (--warmup), "
    "or normalise batches (--norm batch); then begin anew, for what has collapsed does not come back."
)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far apart a batch's faces lie: their mean distance 0..4, and their mean length before scaling."""

    distance: float
    length: float


@torch.no_grad()
def spread(raw: Tensor) -> Spread:
    """Of (N, D) rows as they come out of a network."""
    rows = unit(raw)
    # The mean over all ordered pairs, a face with itself among them.
    return Spread(float(2 * (rows.square().sum(1).mean() - rows.mean(0).square().sum())), float(raw.norm(dim=1).mean()))


class CollapseWatch:
    """Raises when a training has collapsed."""

    def __init__(self, *, patience: int = PATIENCE) -> None:
        """Args: ``patience`` steps on end before it raises."""
        self._patience = patience
        self.narrow = 0

    def look(self, step: int, loss: float, found: Spread) -> None:
        """At one step.

        Raises:
            TrainingCollapsed: the loss is no number, or faces have been one point for too long; says what to do.
        """
        if not math.isfinite(loss) or not math.isfinite(found.length):
            raise TrainingCollapsed(f"At step {step} the loss is {loss}: the steps are too large. {CURE}")
        nothing = found.length < SHORT
        self.narrow = self.narrow + 1 if nothing or found.distance < NARROW else 0
        if self.narrow >= self._patience:
            what = "f(x) = 0 for every face" if nothing else f"all faces lie {found.distance:.1g} apart"
            raise TrainingCollapsed(
                f"The network has collapsed: {what} since {self.narrow} steps at step {step}. {CURE}"
            )
