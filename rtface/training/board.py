"""Curves for TensorBoard, where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rtface.errors import MissingLibrary
from rtface.training.trainer import Check, Step

Board = Callable[[Step | Check], None]
"""Takes what a training tells."""


@contextmanager
def open_board(folder: Path | None) -> Iterator[Board]:
    """Writes curves into a folder for ``tensorboard --logdir``; without a folder nothing.

    Raises:
        MissingLibrary: TensorBoard is not installed.
    """
    if folder is None:
        yield _nowhere
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingLibrary("TensorBoard is not installed: pip install 'rtface[train]'.") from error
    writer = SummaryWriter(str(folder))

    def take(event: Step | Check) -> None:
        for name, value in _figures(event).items():
            writer.add_scalar(name, value, event.number if isinstance(event, Step) else event.step)

    try:
        yield take
    finally:
        writer.close()


def _nowhere(_: Step | Check) -> None:
    """Curves nobody asked for."""


def _figures(event: Step | Check) -> dict[str, float]:
    if isinstance(event, Check):
        return {"validation/VAL": event.validation.val, "validation/AUC": event.validation.auc}
    found = event.outcome
    return {
        "training/loss": found.loss,
        "training/triplets": found.triplets,
        "training/inside the margin": found.inside,
        "training/distance between faces": found.spread.distance,
        "training/rate": event.rate,
    }
