"""Several processes, one a GPU, that train one network, each on its part of every batch.

Each computes the embeddings of its part; all are gathered, so that triplets are mined in the whole batch. The gathered
rows of others carry no gradient here: every process has the part of the gradient that goes through its own faces, and
their sum is that of one process with the whole batch. ``DistributedDataParallel`` averages, hence ``World.size`` times
the loss.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rtface.errors import TrainingError


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together: its number from 0, how many there are, where it computes."""

    rank: int
    size: int
    device: torch.device

    def gather(self, rows: Tensor) -> Tensor:
        """(M, ...) of each process, the same M everywhere, as (size * M, ...) in the order of ranks."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.detach().contiguous())
        parts[self.rank] = rows
        return torch.cat(parts)

    def shared(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over all processes; itself where there is one process."""
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return nn.parallel.DistributedDataParallel(network)

    def agreed(self, value: float) -> float:
        """The value of process 0."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told.item())


@contextmanager
def open_world(device: str = "auto") -> Iterator[World]:
    """This process's place as ``torchrun`` tells it in the environment; alone without it.

    Args:
        device: ``auto`` is the process's own GPU where there is one, or the CPU; otherwise as PyTorch names it.

    Raises:
        TrainingError: PyTorch cannot compute there.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if device == "auto":
        device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    place = _usable(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size == 1:
        yield World(0, 1, place)
        return
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, place)
    finally:
        dist.destroy_process_group()


def _usable(device: str) -> torch.device:
    try:
        place = torch.device(device)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        told = str(error).splitlines()[0].rstrip(".")
        raise TrainingError(
            f"PyTorch cannot compute on {device!r}: {told}. Name another with --device: cpu."
        ) from error
    return place
