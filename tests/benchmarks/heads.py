"""What can be learned on frozen embeddings: centring, whitening, discriminants, a head trained with the triplet loss.

Each ``fit_*`` takes (N, D) unit rows and (N,) people, and gives what maps other rows to unit rows.

Sources: Hatch et al. 2006 (within-class covariance normalisation); Ioffe 2006 (probabilistic LDA: the weight
b / (1 + 2 b) of a direction in which people differ b times as much as pictures); Schroff et al. 2015 (triplet loss).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from rtface.models.head import Head, Rows, unit_rows

Names = NDArray[np.str_]
Map = Callable[[Rows], Rows]

SIZE = 128
"""Numbers a head gives."""
KEYS = 32
TEMPERATURE = 0.15
"""Of the keys at the start; both were the best of three tried on LFW folds 1-3."""
PULL = -0.7
"""How much of a key is subtracted at the start from what is like it."""
MARGIN = 0.2
"""alpha of the paper."""
MOST_PICTURES = 15
"""A person's; beyond it the famous would decide alone."""
NEGATIVES = 30
"""Nearest other people of each anchor."""
STEPS = 60
RATE = 2e-3
DECAY = 1e-2
"""Pull back to the start."""


def spread(rows: Rows, people: Names) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean over people, (D,), and covariances within and between them, (D, D)."""
    _, whose, counts = np.unique(people, return_inverse=True, return_counts=True)
    means = people_means(rows, people)
    freedom = np.sqrt(np.maximum(counts - 1, 0))
    weights = (freedom / np.maximum(counts - 1, 1))[whose]
    away = rows - means[whose]
    within = (away * weights[:, None]).T @ away / freedom.sum()
    return means.mean(axis=0), within, np.cov(means.T) - within * np.mean(1 / counts)


def people_means(rows: Rows, people: Names) -> NDArray[np.float64]:
    """(P, D), by name."""
    names, whose, counts = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), rows.shape[1]))
    np.add.at(means, whose, rows)
    return np.asarray(means / counts[:, None])


def fit_mean(rows: Rows, people: Names) -> Map:
    """Subtracts the mean of the people."""
    return _linear(people_means(rows, people).mean(axis=0), np.eye(rows.shape[1]))


def fit_white(rows: Rows, people: Names, *, power: float, shrink: float = 0.3) -> Map:
    """Whitens by this power of all variance, shrunk towards evenness; -0.5 is whole whitening."""
    mean, within, between = spread(rows, people)
    return _linear(mean, _power(_shrunk(within + between, shrink), power))


def fit_within(rows: Rows, people: Names, *, power: float, shrink: float = 0.3) -> Map:
    """The same by the variance within people."""
    mean, within, _ = spread(rows, people)
    return _linear(mean, _power(_shrunk(within, shrink), power))


def fit_discriminants(rows: Rows, people: Names, *, shrink: float) -> Map:
    """Linear discriminants, weighted as probabilistic LDA does."""
    mean, within, between = spread(rows, people)
    whiten = _power(_shrunk(within, shrink), -0.5)
    ratios, directions = np.linalg.eigh(whiten @ between @ whiten)
    ratios = np.maximum(ratios, 0)
    return _linear(mean, whiten @ directions * np.sqrt(ratios / (1 + 2 * ratios)))


def main_directions(rows: Rows, size: int) -> NDArray[np.float64]:
    """(D, size) orthonormal columns: the directions of most variance, the first ones first."""
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    return np.asarray(vectors[:, np.argsort(-values)[:size]])


def fit_head(
    rows: Rows, people: Names, strangers: Rows, *, linear: bool = False, attention: bool = True, steps: int = STEPS
) -> Map:
    """A head trained with the triplet loss.

    Args:
        rows: (N, D) unit rows.
        people: (N,) who they are.
        strangers: (M, D) unit rows of pictures of another kind, each of somebody else: they are negatives, and weigh in
            centre and keys, so that these are not those of one kind of picture alone.
        linear: adds a matrix, for comparison; the product's head has none.
        attention: with keys.
        steps: of training; 0 leaves it as it starts.
    """
    basis = main_directions(np.concatenate([rows, strangers]), SIZE)
    means = people_means(rows, people)
    centre = (means.mean(axis=0) + strangers.mean(axis=0)) / 2 @ basis
    away = np.concatenate([means, strangers]) @ basis - centre
    keys = _clusters(unit_rows(away.astype(np.float32)), KEYS if attention else 0)
    shape = _Shape(centre, keys, linear=linear)
    names = np.concatenate([people, [f"stranger {number}" for number in range(len(strangers))]])
    seen = np.concatenate([rows, strangers]) @ basis
    _train(shape, torch.tensor(seen, dtype=torch.float32), names, steps)
    if not linear:
        return shape.head(basis)

    def mapped(others: Rows) -> Rows:
        with torch.no_grad():
            return np.asarray(shape(torch.tensor(others @ basis, dtype=torch.float32)).numpy())

    return mapped


class _Shape(torch.nn.Module):
    """``rtface.models.head.Head`` behind its basis, as torch trains it."""

    def __init__(self, centre: NDArray[np.float64], keys: NDArray[np.float64], *, linear: bool) -> None:
        super().__init__()
        self.centre = torch.nn.Parameter(torch.tensor(centre, dtype=torch.float32))
        unit = keys / np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), 1e-12)
        self.keys = torch.nn.Parameter(torch.tensor(unit / TEMPERATURE, dtype=torch.float32))
        self.values = torch.nn.Parameter(torch.tensor(PULL * keys, dtype=torch.float32))
        self.matrix = torch.nn.Parameter(torch.zeros(len(centre), len(centre))) if linear else None
        self._start = [parameter.detach().clone() for parameter in self.parameters()]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        rows = torch.nn.functional.normalize(rows - self.centre, dim=1)
        moved = rows if self.matrix is None else rows + rows @ self.matrix
        if len(self.keys):
            moved = moved + torch.softmax(rows @ self.keys.T, 1) @ self.values
        return torch.nn.functional.normalize(moved, dim=1)

    def drift(self) -> torch.Tensor:
        """Squared way from the start."""
        pairs = zip(self.parameters(), self._start, strict=True)
        return torch.stack([((now - before) ** 2).sum() for now, before in pairs]).sum()

    def head(self, basis: NDArray[np.float64]) -> Head:
        """As the product has it."""
        parts = (part.detach().numpy().astype(np.float32) for part in (self.centre, self.keys, self.values))
        return Head(basis.astype(np.float32), *parts)


def _train(shape: _Shape, rows: torch.Tensor, people: Names, steps: int) -> None:
    """All anchors and positives, the nearest negatives of each anchor; a pair counts less the more its person has."""
    chosen = _capped(people)
    rows = rows[chosen]
    _, whose, counts = np.unique(people[chosen], return_inverse=True, return_counts=True)
    same = torch.tensor(whose[:, None] == whose[None])
    anchors, positives = torch.where(same & ~torch.eye(len(whose), dtype=torch.bool))
    weights = torch.tensor(1 / np.sqrt(np.maximum(counts - 1, 1)), dtype=torch.float32)[torch.tensor(whose)[anchors]]
    weights = weights / weights.sum()
    optimizer = torch.optim.Adam(shape.parameters(), lr=RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        found = shape(rows)
        distances = 2 - 2 * found @ found.T
        nearest = distances.masked_fill(same, 9).topk(NEGATIVES, 1, largest=False).values[anchors]
        over = torch.relu(distances[anchors, positives][:, None] - nearest + MARGIN).mean(1)
        loss = (over * weights).sum() + DECAY * shape.drift()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _capped(people: Names) -> NDArray[np.intp]:
    rng = np.random.default_rng(0)
    kept = [rng.permutation(np.flatnonzero(people == name))[:MOST_PICTURES] for name in np.unique(people)]
    return np.sort(np.concatenate(kept))


def _clusters(rows: Rows, count: int) -> NDArray[np.float64]:
    """(count, d) means of k-means on the sphere, from fixed first ones."""
    rng = np.random.default_rng(0)
    means = rows[rng.choice(len(rows), count, replace=False)].astype(np.float64)
    for _ in range(30 if count else 0):
        nearest = np.argmax(rows @ unit_rows(means.astype(np.float32)).T, axis=1)
        means = np.stack([rows[nearest == number].mean(axis=0) for number in range(count) if (nearest == number).any()])
        count = len(means)
    return means


def _linear(mean: NDArray[np.float64], matrix: NDArray[np.float64]) -> Map:
    return lambda rows: unit_rows(((rows - mean) @ matrix).astype(np.float32))


def _shrunk(covariance: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    even = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    return np.asarray((1 - part) * covariance + part * even)


def _power(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** power) @ vectors.T)
