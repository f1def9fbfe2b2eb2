"""The training itself: batch, triplets, gradient, step; checks on other people, checkpoints, an early end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rtface.errors import TrainingError
from rtface.training import checkpoint as checkpoints
from rtface.training.batches import BatchSource, PeopleBatches, TripletBatches
from rtface.training.checkpoint import Checkpoint
from rtface.training.collapse import CollapseWatch
from rtface.training.distributed import World
from rtface.training.gradients import Gradients, Outcome
from rtface.training.loading import Loader
from rtface.training.networks.catalogue import find, prepare
from rtface.training.offline import mine_offline
from rtface.training.people import CropReader
from rtface.training.settings import Optimizer, Settings
from rtface.training.validation import Validation, validate

ACCUMULATED = 0.1
"""AdaGrad's sum of squares at the start, as in Google's implementations (TensorFlow's default); PyTorch's 0 makes the
first step as large as the learning rate for every weight, whatever its gradient."""
LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its number from 1, the learning rate, what the batch gave."""

    number: int
    rate: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Check:
    """A look at the validation people after so many steps; ``last`` where it ended the training early."""

    step: int
    validation: Validation
    best: bool
    last: bool


class Trainer:
    """Trains one network on one data set."""

    def __init__(
        self,
        settings: Settings,
        network: nn.Module,
        faces: CropReader,
        *,
        world: World,
        checks: CropReader | None = None,
        folder: Path | None = None,
        workers: int = 2,
    ) -> None:
        """Stands before the first step.

        Args:
            settings: of the training.
            network: its weights are where training begins.
            faces: the training people.
            world: of the processes.
            checks: other people, for validation.
            folder: for checkpoints; None keeps none.
            workers: threads that read crops.
        """
        architecture = find(settings.network)
        self.settings, self.network, self.done = settings, network.to(world.device), 0
        self._size = (architecture.height, architecture.width)
        self._faces, self._checks, self._world, self._folder = faces, checks, world, folder
        self._shared = world.shared(self.network)
        self._gradients = Gradients(self._shared, settings, world)
        self._optimizer = _optimizer(self.network, settings)
        self._watch = CollapseWatch()
        self._source: BatchSource = self._people_batches()
        self._mined: torch.Tensor | None = None
        self._position = self._source.position()
        self._loader = Loader(
            self._source,
            faces,
            settings.augmentation,
            seed=settings.seed,
            workers=workers,
            rank=world.rank,
            world=world.size,
        )
        self._best, self._since_best = -1.0, 0
        self._limits: dict[str, float] = {}

    def run(self) -> Iterator[Step | Check]:
        """Every step and check to the end, with checkpoints ``last.pt`` and ``best.pt``.

        Raises:
            TrainingCollapsed: it leads nowhere.
            PictureError: a crop cannot be read.
            TrainingError: a checkpoint cannot be written.
        """
        while self.done < self.settings.steps:
            yield self.step()
            if self.done % self.settings.check_every == 0 or self.done == self.settings.steps:
                check = self.check()
                self.save(LAST)
                if check is not None:
                    yield check
                    if check.last:
                        return

    def step(self) -> Step:
        """One batch.

        Raises:
            TrainingCollapsed, PictureError: as ``run``.
        """
        settings, world = self.settings, self._world
        if settings.offline.every and self.done % settings.offline.every == 0:
            self._mine_offline()
        loaded = self._loader.take(self.done)
        batch = loaded.batch
        rate = settings.rate.at(self.done, settings.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        self.network.train()
        people = torch.from_numpy(self._faces.people.owners[batch.rows]).to(world.device)
        triplets = None if batch.triplets is None else torch.from_numpy(batch.triplets).to(world.device)
        seed = int(np.random.default_rng((settings.seed, 5, self.done, world.rank)).integers(2**31))
        outcome = self._gradients.fill(prepare(loaded.crops, *self._size, world.device), people, triplets, seed=seed)
        self._watch.look(self.done + 1, outcome.loss, outcome.spread)
        self._gradients.scaler.step(self._optimizer)
        self._gradients.scaler.update()
        self.done += 1
        self._position = loaded.after
        return Step(self.done, rate, outcome)

    def check(self) -> Check | None:
        """Figures on the validation people, if there are any; the best network so far is kept."""
        if self._checks is None:
            return None
        found = validate(self.network, self._checks, far=self.settings.far, device=self._world.device, size=self._size)
        self._limits = found.limits
        value = self._world.agreed(found.val)
        best = value > self._best
        self._best, self._since_best = (value, 0) if best else (self._best, self._since_best + 1)
        if best:
            self.save(BEST)
        return Check(self.done, found, best, 0 < self.settings.patience <= self._since_best)

    def save(self, name: str) -> None:
        """Writes a checkpoint into the folder; process 0 alone does.

        Raises:
            TrainingError: it cannot be written.
        """
        if self._folder is None or self._world.rank != 0:
            return
        checkpoints.save(self._folder / name, self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """The training as it stands between two steps."""
        return Checkpoint(
            settings=self.settings,
            done=self.done,
            network=self.network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            scaler=self._gradients.scaler.state_dict(),
            position=self._position,
            mined=self._mined,
            best=self._best,
            since_best=self._since_best,
            narrow=self._watch.narrow,
            limits=self._limits,
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint of the same settings, bit for bit as if it had not stopped.

        Raises:
            CheckpointBroken: it is of another network.
        """
        checkpoints.restore(self.network, checkpoint)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        self._gradients.scaler.load_state_dict(checkpoint.scaler)
        self.done = checkpoint.done
        self._best, self._since_best, self._limits = checkpoint.best, checkpoint.since_best, checkpoint.limits
        self._watch.narrow = checkpoint.narrow
        self._mined = checkpoint.mined
        self._source = self._people_batches() if self._mined is None else self._triplet_batches(self._mined)
        self._source.seek(checkpoint.position)
        self._position = checkpoint.position
        self._loader.replace(self._source)

    def close(self) -> None:
        """Ends its threads."""
        self._loader.close()

    def _mine_offline(self) -> None:
        found = mine_offline(self.network, self._faces, self.settings, self.done, self._world, self._size)
        self._mined = torch.from_numpy(found)
        if len(found) == 0:
            raise TrainingError(
                f"Before step {self.done + 1} no {self.settings.mining} triplet is left among "
                f"{self.settings.offline.faces} faces. Mine over more (--offline-faces), or in each batch."
            )
        self._source = self._triplet_batches(self._mined)
        self._loader.replace(self._source)

    def _people_batches(self) -> BatchSource:
        settings = self.settings
        owners = self._faces.people.owners
        return PeopleBatches(owners, settings.batch, seed=settings.seed, multiple_of=self._world.size)

    def _triplet_batches(self, mined: torch.Tensor) -> BatchSource:
        seed = self.settings.seed + self.done // self.settings.offline.every
        return TripletBatches(mined.cpu().numpy(), self.settings.batch.size, seed=seed, multiple_of=self._world.size)


def _optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    highest, decay = settings.rate.highest, settings.weight_decay
    if settings.optimizer is Optimizer.SGD:
        return torch.optim.SGD(network.parameters(), highest, momentum=settings.momentum, weight_decay=decay)
    return torch.optim.Adagrad(network.parameters(), highest, weight_decay=decay, initial_accumulator_value=ACCUMULATED)
