"""Harmonic embeddings: a map for each of two networks into one space, in which faces of both may be compared.

The start is canonical correlation analysis, regularised, over pictures that both networks have embedded: the
directions in which they agree, each weighted by how much. From there both maps go on with the triplet loss over batches
that mix both networks' embeddings of the same people, semi-hard negatives among all of them. People of whom nothing is
learned decide which start, how long, and whether the start was not better already; others yet again are measured.

Source: Schroff, Kalenichenko, Philbin, *FaceNet*, CVPR 2015, section 5.6 and appendix (the harmonic triplet loss; there
the old network stays as it is, here its embeddings are mapped, which costs one matrix product a row, once); Hotelling
1936 (canonical correlation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtface.errors import TrainingError
from rtface.evaluation.metrics import val_at_far
from rtface.models.harmonic import Costs, Layer
from rtface.training.triplets import MARGIN, mine, triplet_loss, unit

Rows = NDArray[np.float32]
Report = Callable[[str, int, int], None]

LARGEST = 128
"""Numbers in the common space, where both networks give as many. Source: FaceNet paper, section 5.4."""
FLOORS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Tried as what is added to the variance of every direction before whitening, as a part of the largest."""
RATE = 2e-3
PEOPLE, FACES, ALONE = 60, 5, 100
"""A batch: people of several pictures, pictures of each at most, and people of one. Each picture is in it twice."""
STEPS, CHECK, PATIENCE = 400, 20, 4
"""Steps at most, between two checks, and checks without a better one after which training ends."""
STOPPING = 0.2
"""Part of the people learned from that is kept out to decide when to end."""
FEWEST = 20
"""People of several pictures needed of each kind for any figure."""
RATES = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4, "1e-5": 1e-5}
SHOWN_BY = 10
"""False accepts that a rate must rest on to be told."""


@dataclass(frozen=True, slots=True, eq=False)
class Twice:
    """Pictures that both networks have embedded.

    Attributes:
        old: (N, D) unit rows of the old network.
        new: (N, E) unit rows of the new one.
        owners: (N,) a number for each person.
    """

    old: Rows
    new: Rows
    owners: NDArray[np.int64]

    @staticmethod
    def from_rows(old: Sequence[Rows], new: Sequence[Rows], owners: NDArray[np.int64]) -> Twice:
        """From (D,) and (E,) unit vectors, one of each a picture."""
        return Twice(np.array(old, np.float32), np.array(new, np.float32), owners)

    def of(self, chosen: NDArray[np.bool_]) -> Twice:
        """Some of them."""
        return Twice(self.old[chosen], self.new[chosen], self.owners[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What came out.

    Attributes:
        old, new: the maps.
        costs: measured on people nothing was learned from.
        limits: {false accept rate: distance} there, at which neither mapped against new nor new against new accept
            more.
        steps: of the triplet loss that were kept; 0: the start was best.
    """

    old: Layer
    new: Layer
    costs: Costs
    limits: dict[str, float]
    steps: int


def learn(pictures: Twice, *, share: float, seed: int, steps: int = STEPS, report: Report = lambda *_: None) -> Learned:
    """Learns from some people and measures on others.

    Args:
        pictures: of all people.
        share: of the people that are measured and not learned from.
        seed: of what is drawn.
        steps: of the triplet loss at most; 0 leaves it out.
        report: is told how it goes.

    Raises:
        TrainingError: too few people.
    """
    judged, rest = held_out(pictures, share, seed)
    watched, taught = held_out(rest, STOPPING, seed + 1)
    start = best_start(taught, watched)
    (old, new), kept = refined(start, taught, watched, steps=steps, seed=seed, report=report)
    costs, limits = measured(old, new, judged)
    return Learned(old, new, costs, limits, kept)


def held_out(pictures: Twice, share: float, seed: int) -> tuple[Twice, Twice]:
    """The pictures of a share of the people, and of all others.

    Raises:
        TrainingError: too few people of several pictures in either.
    """
    people, counts = np.unique(pictures.owners, return_counts=True)
    rng = np.random.default_rng((seed, 0x5EED))
    groups = people[counts > 1], people[counts == 1]
    chosen = np.concatenate([rng.permutation(group)[: round(share * len(group))] for group in groups])
    several = int(np.isin(groups[0], chosen).sum())
    if min(several, len(groups[0]) - several) < FEWEST:
        raise TrainingError(
            f"Of {len(people)} people, {len(groups[0])} have two pictures or more in which both models find a face; "
            f"{share:.0%} of them and all others must be at least {FEWEST} each. Give --pictures of more people."
        )
    inside = np.isin(pictures.owners, chosen)
    return pictures.of(inside), pictures.of(~inside)


def best_start(taught: Twice, watched: Twice) -> tuple[Layer, Layer]:
    """The maps by correlation, with the floor that serves other people best."""
    return max((correlated(taught, floor) for floor in FLOORS), key=lambda layers: _score(layers, watched))


def correlated(pictures: Twice, floor: float) -> tuple[Layer, Layer]:
    """Maps of the old and the new network by canonical correlation, with as many numbers as both can give.

    Args:
        pictures: to learn from.
        floor: see ``FLOORS``; the larger, the more a direction's variance counts besides its agreement.
    """
    centres = [rows.mean(axis=0, dtype=np.float64) for rows in (pictures.old, pictures.new)]
    one, other = (rows - centre for rows, centre in zip((pictures.old, pictures.new), centres, strict=True))
    whiten, whiten_other = _whitening(one, floor), _whitening(other, floor)
    left, agreement, right = np.linalg.svd((one @ whiten).T @ (other @ whiten_other) / len(one), full_matrices=False)
    size = min(LARGEST, len(agreement))
    weight = np.sqrt(agreement[:size])
    matrices = whiten @ (left[:, :size] * weight), whiten_other @ (right[:size].T * weight)
    old, new = (
        Layer(np.asarray(centre, np.float32), np.asarray(matrix / np.linalg.norm(matrix, 2), np.float32))
        for centre, matrix in zip(centres, matrices, strict=True)
    )
    return old, new


def _whitening(rows: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """(D, r) of centred (N, D): the r directions in which they vary, by the root of their variance and the floor."""
    variances, directions = np.linalg.eigh(rows.T @ rows / len(rows))
    used = variances > 1e-6 * variances[-1]
    return np.asarray(directions[:, used] / np.sqrt(variances[used] + floor * variances[-1]))


def refined(
    start: tuple[Layer, Layer], taught: Twice, watched: Twice, *, steps: int, seed: int, report: Report
) -> tuple[tuple[Layer, Layer], int]:
    """The maps after the triplet loss, and how many steps that took; the start and 0 where nothing was better."""
    tensors = [torch.tensor(array).requires_grad_() for layer in start for array in (layer.centre, layer.matrix)]
    sizes = [float(tensor.detach().norm()) / tensor.numel() ** 0.5 for tensor in tensors]
    optimizer = torch.optim.Adam(
        [{"params": [tensor], "lr": RATE * size} for tensor, size in zip(tensors, sizes, strict=True)]
    )
    faces = [torch.tensor(rows) for rows in (taught.old, taught.new)]
    draw, best, kept, since = _Batches(taught.owners, seed), start, 0, 0
    highest = _score(start, watched)
    for step in range(1, steps + 1):
        chosen = torch.tensor(draw())
        seen = torch.cat([_mapped(rows[chosen], *tensors[at : at + 2]) for rows, at in zip(faces, (0, 2), strict=True)])
        owners = torch.tensor(taught.owners)[chosen].repeat(2)
        optimizer.zero_grad()
        triplet_loss(seen, mine(seen.detach(), owners, margin=MARGIN), margin=MARGIN).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        report("Training", step, steps)
        if step % CHECK == 0 or step == steps:
            now = _layers(tensors)
            score = _score(now, watched)
            since = 0 if score > highest else since + 1
            if score > highest:
                best, kept, highest = now, step, score
            if since == PATIENCE:
                break
    report("Training", steps, steps)
    return best, kept


class _Batches:
    """Which pictures are in the next batch."""

    def __init__(self, owners: NDArray[np.int64], seed: int) -> None:
        self._rng = np.random.default_rng((seed, 0xBA7C))
        order = np.argsort(owners, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(owners[order])) + 1)
        self._several = [group for group in groups if len(group) > 1]
        self._alone = np.array([group[0] for group in groups if len(group) == 1], np.int64)

    def __call__(self) -> NDArray[np.int64]:
        people = self._rng.permutation(len(self._several))[:PEOPLE]
        some = [self._rng.permutation(self._several[person])[:FACES] for person in people]
        return np.concatenate([*some, self._rng.permutation(self._alone)[:ALONE]])


def _mapped(rows: Tensor, centre: Tensor, matrix: Tensor) -> Tensor:
    return unit((rows - centre) @ matrix)


def _layers(tensors: list[Tensor]) -> tuple[Layer, Layer]:
    one, other, third, fourth = (tensor.detach().numpy().copy() for tensor in tensors)
    return Layer(one, other), Layer(third, fourth)


def _score(layers: tuple[Layer, Layer], pictures: Twice) -> float:
    """Mean VAL of mapped against new and of new against new, at the smallest rate that their pairs show."""
    old, new = layers[0](pictures.old), layers[1](pictures.new)
    pairs = [distances(old, new, pictures.owners), distances(new, new, pictures.owners)]
    rate = min(_shown(len(pairs[1][1])).values())
    return float(np.mean([val_at_far(same, different, rate)[0] for same, different in pairs]))


def measured(old: Layer, new: Layer, pictures: Twice) -> tuple[Costs, dict[str, float]]:
    """VAL of every way to compare these pictures, and the distances at which a migrated gallery accepts too few."""
    mapped, harmonic = old(pictures.old), new(pictures.new)
    ways = {
        "old": (pictures.old, pictures.old),
        "mapped": (mapped, mapped),
        "crossed": (mapped, harmonic),
        "harmonic": (harmonic, harmonic),
        "new": (pictures.new, pictures.new),
    }
    vals: dict[str, dict[str, float]] = {}
    limits: dict[str, float] = {}
    for way, (first, second) in ways.items():
        same, different = distances(first, second, pictures.owners)
        rates = _shown(len(different) if first is second else len(different) // 2)
        found = {label: val_at_far(same, different, rate) for label, rate in rates.items()}
        vals[way] = {label: round(val, 5) for label, (val, _) in found.items()}
        if way in ("crossed", "harmonic"):
            limits = {label: min(distance, limits.get(label, 4.0)) for label, (_, distance) in found.items()}
    costs = Costs(len(np.unique(pictures.owners)), len(pictures.owners), **vals)
    return costs, {label: round(distance, 4) for label, distance in limits.items()}


def _shown(pairs: int) -> dict[str, float]:
    """The false accept rates that so many different pairs can show; the largest in any case."""
    shown = {label: rate for label, rate in RATES.items() if rate * pairs >= SHOWN_BY}
    return shown or dict(list(RATES.items())[:1])


def distances(first: Rows, second: Rows, owners: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Squared L2 of same and of different pairs: all pairs of two pictures, each picture's row of the one kind against
    the other's of the other; never a picture against itself."""
    table = np.clip(2 - 2 * first @ second.T, 0, 4)
    wanted = np.triu(np.ones(table.shape, np.bool_), 1) if first is second else ~np.eye(len(table), dtype=np.bool_)
    alike = owners[:, None] == owners[None]
    return table[wanted & alike], table[wanted & ~alike]
