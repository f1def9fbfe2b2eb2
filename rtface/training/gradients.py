"""From a batch of faces to the gradient of its triplets, in one piece or in several that need less memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rtface.training.collapse import Spread, spread
from rtface.training.distributed import World
from rtface.training.settings import Settings
from rtface.training.triplets import mine, triplet_gaps, triplet_loss, unit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch gave: loss, triplets, those of them inside the margin, how far its faces lie apart."""

    loss: float
    triplets: int
    inside: int
    spread: Spread


class Gradients:
    """Fills the gradients of a network's weights."""

    def __init__(self, network: nn.Module, settings: Settings, world: World) -> None:
        """Args: ``network`` as ``World.shared`` gives it."""
        self._network, self._settings, self._world = network, settings, world
        kind = world.device.type
        halved = torch.bfloat16 if kind == "cpu" or torch.cuda.is_bf16_supported() else torch.float16
        self._cast = torch.autocast(kind, halved, enabled=settings.mixed)
        self.scaler = torch.amp.GradScaler(kind, enabled=settings.mixed and halved == torch.float16)

    def fill(self, x: Tensor, people: Tensor, triplets: Tensor | None, *, seed: int) -> Outcome:
        """Adds the gradient of one batch.

        Args:
            x: (M, 3, H, W) this process's part.
            people: (N,) of the whole batch.
            triplets: (T, 3) places in the whole batch; None: to be mined.
            seed: of what the network draws, such as dropout.
        """
        piece = self._settings.piece or len(x)
        if piece >= len(x):
            torch.manual_seed(seed)
            raw = self._forward(x)
            loss, outcome = self._loss(raw, people, triplets)
            torch.autograd.backward(self.scaler.scale(loss * self._world.size))
            return outcome
        pieces = _pieces(x, piece)
        with torch.no_grad(), unmoved_norms(self._network):
            first = []
            for number, part in enumerate(pieces):
                torch.manual_seed(seed + number)
                first.append(self._forward(part))
        raw = torch.cat(first).requires_grad_()
        loss, outcome = self._loss(raw, people, triplets)
        (gradient,) = torch.autograd.grad(self.scaler.scale(loss * self._world.size), raw)
        for number, (part, given) in enumerate(zip(pieces, _pieces(gradient, piece), strict=True)):
            torch.manual_seed(seed + number)
            with self._unshared(number < len(pieces) - 1):
                torch.autograd.backward(self._forward(part), given)
        return outcome

    def _forward(self, x: Tensor) -> Tensor:
        with self._cast:
            rows: Tensor = self._network(x)
        return rows.float()

    def _loss(self, raw: Tensor, people: Tensor, triplets: Tensor | None) -> tuple[Tensor, Outcome]:
        margin = self._settings.margin
        rows = self._world.gather(unit(raw))
        used = mine(rows, people, self._settings.mining, margin=margin) if triplets is None else triplets
        loss = triplet_loss(rows, used, margin=margin)
        with torch.no_grad():
            inside = int((triplet_gaps(rows, used) > -margin).sum())
        return loss, Outcome(loss.item(), len(used), inside, spread(raw))

    def _unshared(self, wanted: bool) -> AbstractContextManager[None]:
        """Gradients are kept here and not yet averaged with those of other processes."""
        if wanted and isinstance(self._network, DistributedDataParallel):
            held: AbstractContextManager[None] = self._network.no_sync()
            return held
        return nullcontext()


def _pieces(x: Tensor, size: int) -> list[Tensor]:
    return [x[start : start + size] for start in range(0, len(x), size)]


@contextmanager
def unmoved_norms(network: nn.Module) -> Iterator[None]:
    """Batch normalisations leave their running means alone: the same batch comes a second time."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
