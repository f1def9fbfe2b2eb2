"""A training on disk, whole: with it the training goes on bit for bit as if it had never stopped.

There are no states of random generators in it, because there are none to keep: everything drawn at a step (people,
strangers, augmentation, dropout) is drawn from the seed and the step.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rtface.errors import CheckpointBroken, TrainingError
from rtface.models.files import beside
from rtface.training.batches import Position
from rtface.training.networks.catalogue import create
from rtface.training.settings import Settings, parse

FORM = 1
"""Raised when a checkpoint of before can no longer be read."""
State = dict[str, Any]
"""As PyTorch's ``state_dict`` gives it."""


@dataclass(slots=True, eq=False)
class Checkpoint:
    """All of a training but its pictures.

    Attributes:
        settings: of the training.
        done: steps.
        network, optimizer, scaler: their states.
        position: of the source of batches.
        mined: (T, 3) triplets mined offline, or None.
        best: the best VAL so far, -1 before the first check.
        since_best: checks since then.
        narrow: steps on end at which all faces were one point.
        limits: {false accept rate: distance} at the last check.
    """

    settings: Settings
    done: int
    network: State
    optimizer: State
    scaler: State
    position: Position
    mined: Tensor | None = None
    best: float = -1.0
    since_best: int = 0
    narrow: int = 0
    limits: dict[str, float] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes it beside and renames it over.

    Raises:
        TrainingError: it cannot be written.
    """
    record = {
        "form": FORM,
        "settings": checkpoint.settings.text(),
        "done": checkpoint.done,
        "network": checkpoint.network,
        "optimizer": checkpoint.optimizer,
        "scaler": checkpoint.scaler,
        "position": checkpoint.position,
        "mined": checkpoint.mined,
        "best": checkpoint.best,
        "since_best": checkpoint.since_best,
        "narrow": checkpoint.narrow,
        "limits": checkpoint.limits,
    }
    try:
        with beside(path) as partial:
            torch.save(record, partial)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"The checkpoint {path} cannot be written: {error}. Make room there.") from error


def load(path: Path, device: torch.device | None = None) -> Checkpoint:
    """What ``save`` wrote. Nothing but tensors, numbers and text is read: a checkpoint cannot run code.

    Raises:
        CheckpointBroken: it is missing, damaged or of another version.
    """
    try:
        record = torch.load(path, map_location=device or "cpu", weights_only=True)
        if record.pop("form") != FORM:
            raise CheckpointBroken(f"The checkpoint {path} is of another version of rtface. Train anew.")
        return Checkpoint(settings=parse(record.pop("settings")), **record)
    except FileNotFoundError as error:
        raise CheckpointBroken(
            f"There is no checkpoint {path}. rtface train run writes last.pt and best.pt."
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise CheckpointBroken(f"{path} is no checkpoint of rtface train, or damaged ({error!r}).") from error


def network_of(checkpoint: Checkpoint) -> nn.Module:
    """The trained network, on the CPU, as it is used.

    Raises:
        CheckpointBroken: its weights are not those of the network it names.
    """
    settings = checkpoint.settings
    network = create(settings.network, settings.embedding_size, settings.norm)
    restore(network, checkpoint)
    return network.eval()


def restore(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Puts the checkpoint's weights into a network.

    Raises:
        CheckpointBroken: they are of another network.
    """
    try:
        network.load_state_dict(checkpoint.network)
    except RuntimeError as error:
        raise CheckpointBroken(
            f"The checkpoint's weights are not those of {checkpoint.settings.network}: {error}"
        ) from error
