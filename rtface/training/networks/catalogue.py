"""The networks that can be trained, by name, and what they all are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtface.errors import TrainingError
from rtface.training.networks.inception import NN2, NN3, NN4, NNS1, NNS2, InceptionNetwork, Table
from rtface.training.networks.inception_resnet import InceptionResnetV1
from rtface.training.networks.layers import Norm
from rtface.training.networks.small import Small
from rtface.training.networks.zeiler_fergus import ZeilerFergus

MEAN, SCALE = 127.5, 1 / 128
"""Every network is given ``(x - MEAN) * SCALE`` in RGB, as the shipped weights were."""
SMALLEST_EMBEDDING, LARGEST_EMBEDDING = 64, 512
"""Source: FaceNet paper, table 5."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be made.

    Attributes:
        title: one line for people.
        make: from the embedding's size and the normalisation.
        height, width: of its input, px.
    """

    title: str
    make: Callable[[int, Norm], nn.Module]
    height: int
    width: int

    @property
    def crop_size(self) -> int:
        """Side of the square crop it is given; what is wider or higher than its input is cut off evenly."""
        return max(self.height, self.width)


def _inception(title: str, table: Table) -> Architecture:
    return Architecture(title, partial(InceptionNetwork, table), table.height, table.width)


ARCHITECTURES = {
    "nn1": Architecture("Zeiler and Fergus with 1x1 convolutions, 220x220, 140 M parameters", ZeilerFergus, 220, 220),
    "nn2": _inception("Inception, 224x224, 7.5 M parameters", NN2),
    "nn3": _inception("Inception, 160x160, 7.5 M parameters", NN3),
    "nn4": _inception("Inception without 5x5 in the higher layers, 96x96, 6.6 M parameters", NN4),
    "nns1": _inception("mini Inception, 165x165, 26 M parameters", NNS1),
    "nns2": _inception("tiny Inception, 140x116, 4.3 M parameters", NNS2),
    "inception_resnet_v1": Architecture(
        "of the shipped weights, 160x160, 23 M parameters", InceptionResnetV1, 160, 160
    ),
    "small": Architecture("six convolutions, 64x64, to try things out on a CPU", Small, 64, 64),
}


def find(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        TrainingError: there is none; says which there are.
    """
    if name not in ARCHITECTURES:
        raise TrainingError(f"There is no network {name!r} to train. Known: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def create(name: str, embedding_size: int, norm: Norm) -> nn.Module:
    """A network with random weights, drawn from PyTorch's generator.

    Raises:
        TrainingError: no such network, or an embedding of that size is not to be had.
    """
    if not SMALLEST_EMBEDDING <= embedding_size <= LARGEST_EMBEDDING:
        raise TrainingError(
            f"An embedding of {embedding_size} numbers is out of range: {SMALLEST_EMBEDDING} to {LARGEST_EMBEDDING}; "
            "the paper takes 128."
        )
    return find(name).make(embedding_size, norm)


def prepare(crops: NDArray[np.uint8], height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(N, S, S, 3) uint8 BGR crops as the (N, 3, height, width) float32 RGB that networks take."""
    planes = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1])).to(device).permute(0, 3, 1, 2)
    top, left = (planes.shape[2] - height) // 2, (planes.shape[3] - width) // 2
    return (planes[:, :, top : top + height, left : left + width].float() - MEAN) * SCALE
