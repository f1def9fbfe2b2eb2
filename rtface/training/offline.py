"""Triplets mined over a part of the data set with the latest weights, instead of in each batch.

Source: FaceNet paper, section 3.2: "Generate triplets offline every n steps, using the most recent network checkpoint
and computing the argmin and argmax on a subset of the data."
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtface.training.distributed import World
from rtface.training.people import CropReader
from rtface.training.settings import Settings
from rtface.training.triplets import mine
from rtface.training.validation import embed


def subset(owners: NDArray[np.int64], faces: int, *, seed: int, step: int, multiple_of: int = 1) -> NDArray[np.int64]:
    """Rows of people drawn for this step, all faces of each, up to so many; ascending."""
    people = np.random.default_rng((seed, 4, step)).permutation(int(owners.max()) + 1)
    counts = np.bincount(owners)[people].cumsum()
    rows = np.flatnonzero(np.isin(owners, people[: max(2, int(np.searchsorted(counts, faces, side="right")))]))
    return rows[: len(rows) // multiple_of * multiple_of]


def mine_offline(
    network: nn.Module, reader: CropReader, settings: Settings, step: int, world: World, size: tuple[int, int]
) -> NDArray[np.int64]:
    """(T, 3) rows of the data set; T may be 0. Every process embeds its part and gets the whole.

    Args:
        network: with the latest weights.
        reader: of the training people.
        settings: of the training.
        step: before which it is mined.
        world: of the processes.
        size: height and width of the network's input.
    """
    owners = reader.people.owners
    rows = subset(owners, settings.offline.faces, seed=settings.seed, step=step, multiple_of=world.size)
    part = len(rows) // world.size
    own = rows[world.rank * part : (world.rank + 1) * part]
    vectors = torch.from_numpy(embed(network, reader, own, device=world.device, size=size)).to(world.device)
    people = torch.from_numpy(owners[rows]).to(world.device)
    found = mine(world.gather(vectors), people, settings.mining, margin=settings.margin)
    return np.asarray(rows[found.cpu().numpy()], np.int64).reshape(-1, 3)
