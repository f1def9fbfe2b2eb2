"""What each of several processes does in the test of training together: one step, its gradient written down.

python -m tests.training.parallel FOLDER PIECE, started by torchrun
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from rtface.training.distributed import open_world
from rtface.training.gradients import Gradients
from tests.training.sample import SETTINGS

SIZE, PEOPLE = 24, 6


def tiny() -> nn.Module:
    """Without batch normalisation, of which each process would see its part only."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 5, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 3 * 3, 16))
    return nn.Sequential(*layers).double()


def batch() -> tuple[Tensor, Tensor]:
    """Faces and whose they are; not in the order of people, so that each part holds some of everybody."""
    generator = torch.Generator().manual_seed(1)
    people = torch.arange(SIZE) % PEOPLE
    own = torch.randn(PEOPLE, 3, 16, 16, generator=generator, dtype=torch.float64)
    return own[people] + torch.randn(SIZE, 3, 16, 16, generator=generator, dtype=torch.float64), people


def gradient(folder: Path | None, piece: int) -> tuple[dict[str, Tensor], float, int]:
    """Of one step: every weight's gradient, the loss, the triplets. Process 0 writes them into a folder."""
    with open_world("cpu") as world:
        network, (x, people) = tiny(), batch()
        part = len(x) // world.size
        own = x[world.rank * part : (world.rank + 1) * part]
        outcome = Gradients(world.shared(network), replace(SETTINGS, piece=piece), world).fill(
            own, people, None, seed=0
        )
        found = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
        if folder is not None:
            torch.save((found, outcome.loss, outcome.triplets), folder / f"{world.rank}.pt")
        return found, outcome.loss, outcome.triplets


if __name__ == "__main__":
    torch.set_num_threads(1)
    gradient(Path(sys.argv[1]), int(sys.argv[2]))
