"""How well a network tells people apart that it has not seen: VAL at FAR and AUC over all pairs of their faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtface.evaluation.metrics import val_at_far
from rtface.training.networks.catalogue import prepare
from rtface.training.people import CropReader
from rtface.training.triplets import unit
from rtface.types import Image

BATCH = 64
MOST_FACES = 4000
"""All pairs of so many are 8 million, 32 MB of distances; of more faces the first of a fixed order are taken."""
SHOWN_BY = 10
"""False accepts that a rate must rest on to be told."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures over all pairs.

    Attributes:
        val: the part of same pairs accepted at the false accept rate asked for.
        auc: how often a same pair is nearer than a different one.
        same, different: pairs.
        limits: {false accept rate: distance} at 1e-2, 1e-3 ... as far as enough pairs show it.
    """

    val: float
    auc: float
    same: int
    different: int
    limits: dict[str, float] = field(default_factory=dict)


def validate(
    network: nn.Module, reader: CropReader, *, far: float, device: torch.device, size: tuple[int, int]
) -> Validation:
    """Figures of a network on people.

    Args:
        network: put back into training afterwards if it was.
        reader: of their crops.
        far: false accept rate of VAL.
        device: where it computes.
        size: height and width of its input.
    """
    owners = reader.people.owners
    rows = np.arange(len(owners))
    if len(rows) > MOST_FACES:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_FACES])
    vectors = embed(network, reader, rows, device=device, size=size)
    return measure(vectors, owners[rows], far=far)


def embed(
    network: nn.Module,
    read: Callable[[int], Image],
    rows: NDArray[np.integer] | Sequence[int],
    *,
    device: torch.device,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """(N, D) float32 unit rows of these rows of a data set, unchanged crops."""
    parts = [np.zeros((0, 0), np.float32)]
    with evaluating(network), torch.no_grad():
        for start in range(0, len(rows), BATCH):
            crops = np.stack([read(int(row)) for row in rows[start : start + BATCH]])
            parts.append(unit(network(prepare(crops, *size, device))).cpu().numpy())
    return np.concatenate(parts[1:] or parts)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network as it is used, not as it is trained."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def measure(vectors: NDArray[np.float32], owners: NDArray[np.integer], *, far: float) -> Validation:
    """Figures over all pairs of (N, D) unit rows of the people (N,)."""
    first, second = np.triu_indices(len(vectors), 1)
    distances = np.clip(2 - 2 * (vectors @ vectors.T)[first, second], 0, 4)
    alike = owners[first] == owners[second]
    same, different = distances[alike], distances[~alike]
    rates = [rate for rate in (1e-2, 1e-3, 1e-4, 1e-5) if rate * len(different) >= SHOWN_BY]
    limits = {f"{rate:.0e}".replace("e-0", "e-"): round(val_at_far(same, different, rate)[1], 4) for rate in rates}
    return Validation(val_at_far(same, different, far)[0], auc(same, different), len(same), len(different), limits)


def auc(same: NDArray[np.floating], different: NDArray[np.floating]) -> float:
    """The area under the ROC: the chance that a same pair is nearer than a different one, equal ones counting half.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    ordered = np.sort(different)
    farther = len(ordered) - np.searchsorted(ordered, same, side="right")
    equal = np.searchsorted(ordered, same, side="right") - np.searchsorted(ordered, same, side="left")
    return float((farther + equal / 2).mean() / len(ordered))
