"""A training from folders of people to checkpoints: what ``rtface train run`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from rtface.errors import CheckpointBroken, TrainingError
from rtface.models.spec import CropSpec
from rtface.training import checkpoint as checkpoints
from rtface.training.board import open_board
from rtface.training.checkpoint import Checkpoint
from rtface.training.distributed import open_world
from rtface.training.networks.catalogue import create, find
from rtface.training.networks.inception_resnet import shipped
from rtface.training.networks.layers import Norm
from rtface.training.people import CropReader, People, read_people, split
from rtface.training.settings import Settings
from rtface.training.trainer import LAST, Check, Step, Trainer

Cutter = Callable[[People, CropSpec], Path]
"""Cuts the faces out of whole pictures and gives the folder of crops."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where faces come from.

    Attributes:
        folder: of people.
        validation: another folder of people, or None: a share of the people is held back.
        share: of people held back, 0..1; 0: there is no validation.
        cut: cuts the faces out; None: the pictures are crops already.
    """

    folder: Path
    validation: Path | None
    share: float
    cut: Cutter | None


@dataclass(frozen=True, slots=True)
class Run:
    """Where and from what a training runs.

    Attributes:
        folder: of its checkpoints.
        resume: go on from ``last.pt`` there.
        weights: the frozen graph of the shipped weights to begin from, or None: random ones.
        device: ``auto`` or as PyTorch names it.
        workers: threads that read crops.
        board: a folder for TensorBoard, or None.
    """

    folder: Path
    resume: bool = False
    weights: Path | None = None
    device: str = "auto"
    workers: int = 2
    board: Path | None = None


def train(settings: Settings, data: Data, run: Run) -> Iterator[Step | Check]:
    """Trains and tells every step and check.

    Raises:
        TrainingError, CheckpointBroken, PictureError, ModelBroken: as the parts say.
    """
    with open_world(run.device) as world:
        settings, kept = _settled(settings, run)
        faces, checks = readers(settings, data)
        trainer = Trainer(
            settings,
            _network(settings, run),
            faces,
            world=world,
            checks=checks,
            folder=run.folder,
            workers=run.workers,
        )
        if kept is not None:
            trainer.resume(kept)
        with closing(trainer), open_board(run.board if world.rank == 0 else None) as board:
            try:
                for event in trainer.run():
                    board(event)
                    if world.rank == 0:
                        yield event
            except torch.cuda.OutOfMemoryError as error:
                raise TrainingError(
                    f"A batch of {settings.batch.size} faces does not fit into the GPU's memory. Send it through the "
                    "network in pieces: --piece 64."
                ) from error


def _settled(settings: Settings, run: Run) -> tuple[Settings, Checkpoint | None]:
    """Settings with the network's own crop size, and the checkpoint to go on from.

    Raises:
        TrainingError: the folder holds a training already, and resuming was not asked for.
        CheckpointBroken: there is none to resume, or it is of other settings.
    """
    crop = replace(settings.crop, size=find(settings.network).crop_size)
    settings = replace(settings, crop=crop)
    last = run.folder / LAST
    if not run.resume:
        if last.exists():
            raise TrainingError(f"{last} is there already. Go on with --resume, or name another folder with --out.")
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"The folder {run.folder} cannot be made: {error.strerror}. Name another.") from error
        return settings, None
    kept = checkpoints.load(last)
    if replace(kept.settings, steps=settings.steps, patience=settings.patience) != settings:
        raise CheckpointBroken(
            f"{last} was trained with other settings. Resume with the same options (only --steps and --patience may "
            f"change), or begin another training with --out. It has {kept.settings.text()}"
        )
    return settings, kept


def _network(settings: Settings, run: Run) -> nn.Module:
    """Random weights from the seed, or the shipped ones."""
    torch.manual_seed(settings.seed)
    if run.weights is None:
        return create(settings.network, settings.embedding_size, settings.norm)
    if (settings.network, settings.embedding_size, settings.norm) != ("inception_resnet_v1", 512, Norm.NONE):
        raise TrainingError(
            "The shipped weights are those of --network inception_resnet_v1 with --size 512 and --norm none."
        )
    return shipped(run.weights)


def readers(settings: Settings, data: Data) -> tuple[CropReader, CropReader | None]:
    """Training and validation people.

    Raises:
        TrainingError: too few of them.
    """
    size = settings.crop.size

    def crops(folder: Path) -> People:
        people = read_people(folder)
        return people if data.cut is None else read_people(data.cut(people, settings.crop))

    people = crops(data.folder)
    if data.validation is not None:
        return CropReader(people, size), CropReader(crops(data.validation), size)
    if not data.share:
        return CropReader(people, size), None
    training, held = split(people, data.share, settings.seed)
    return CropReader(training, size), CropReader(held, size)
