"""Everything that decides how a training goes, as one record that a checkpoint carries."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

from rtface.errors import CheckpointBroken
from rtface.models.spec import CropKind, CropSpec
from rtface.training.augmentation import Augmentation
from rtface.training.batches import BatchShape
from rtface.training.networks.layers import Norm
from rtface.training.triplets import MARGIN, Mining


class Optimizer(StrEnum):
    """What turns gradients into steps. The paper takes AdaGrad."""

    ADAGRAD = "adagrad"
    SGD = "sgd"


class Decay(StrEnum):
    """How the learning rate falls: not at all, to a tenth at a half and again at three quarters, or as a cosine."""

    CONSTANT = "constant"
    STEPS = "steps"
    COSINE = "cosine"


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate over a training.

    Attributes:
        highest: the paper's 0.05.
        decay: how it falls.
        warmup: steps over which it rises to the highest from nothing.
    """

    highest: float = 0.05
    decay: Decay = Decay.STEPS
    warmup: int = 0

    def at(self, step: int, steps: int) -> float:
        """The rate of a step, counted from 0, of so many."""
        if step < self.warmup:
            return self.highest * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(steps - self.warmup, 1)
        if self.decay is Decay.STEPS:
            return self.highest * (1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01)
        return self.highest * (0.5 * (1 + math.cos(math.pi * done)) if self.decay is Decay.COSINE else 1.0)


@dataclass(frozen=True, slots=True)
class Offline:
    """Mining over a part of the data set with the latest checkpoint.

    Attributes:
        every: steps between two minings; 0: triplets are mined in each batch.
        faces: of people drawn anew each time, at most.
    """

    every: int = 0
    faces: int = 5000


@dataclass(frozen=True, slots=True)
class Settings:
    """A training.

    Attributes:
        network: name of an architecture.
        embedding_size: numbers a face.
        norm: of its layers.
        crop: how its crops are cut; what is exported says the same.
        batch: how batches are made up.
        mining: which triplets of a batch are used.
        margin: of the loss.
        offline: mining over more than a batch.
        optimizer: what makes the steps.
        momentum: SGD only.
        weight_decay: part of each weight added to its gradient.
        rate: of learning.
        steps: batches in all.
        augmentation: of crops.
        check_every: steps between checks on the validation people, and between checkpoints.
        patience: checks without a better VAL after which it ends early; 0: never.
        far: the false accept rate at which VAL is taken.
        piece: faces that go through the network at once, 0 for the whole batch; less memory for one more pass forward.
        mixed: halves of precision where they serve, on a GPU.
        seed: of everything drawn.
    """

    network: str = "nn2"
    embedding_size: int = 128
    norm: Norm = Norm.BATCH
    crop: CropSpec = field(default_factory=lambda: CropSpec(CropKind.BOX, 224, 0.21))
    batch: BatchShape = field(default_factory=BatchShape)
    mining: Mining = Mining.SEMI_HARD
    margin: float = MARGIN
    offline: Offline = field(default_factory=Offline)
    optimizer: Optimizer = Optimizer.ADAGRAD
    momentum: float = 0.9
    weight_decay: float = 0.0
    rate: Rate = field(default_factory=Rate)
    steps: int = 10_000
    augmentation: Augmentation = field(default_factory=Augmentation)
    check_every: int = 500
    patience: int = 0
    far: float = 1e-3
    piece: int = 0
    mixed: bool = False
    seed: int = 0

    def text(self) -> str:
        """As JSON."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER = TypeAdapter(Settings)


def parse(text: str) -> Settings:
    """What ``text`` gave.

    Raises:
        CheckpointBroken: it is not that.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise CheckpointBroken(f"The settings in the checkpoint are of another version of rtface: {error}") from error
