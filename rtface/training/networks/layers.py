"""What the networks are put together from; ``rtface.training.onnx_graph`` can write every part as ONNX."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor, nn

LRN_SIZE, LRN_ALPHA, LRN_BETA = 5, 1e-4, 0.75
"""The paper does not say how it normalises. Source: Krizhevsky et al. 2012 and GoogLeNet, which it builds on."""

POOL_EPSILON = 1e-6
"""Added under the root of an L2 pool, whose slope at 0 would be infinite."""


class Norm(StrEnum):
    """What stands behind each convolution.

    ``PAPER``: a bias, and the two local response normalisations of the paper's tables. ``BATCH``: batch normalisation
    instead of both, with which such networks are far easier to train. ``NONE``: a bias alone, as in a network whose
    batch normalisations have been folded into its weights.
    """

    PAPER = "paper"
    BATCH = "batch"
    NONE = "none"


class L2Pool(nn.Module):
    """The root of the mean of squares over 3x3 windows, the size kept."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return torch.sqrt(self.pool(x * x) + POOL_EPSILON)


class MaxOut(nn.Module):
    """The larger of two numbers: (N, 2K) to (N, K), the first K beside the last K.

    Source: Goodfellow et al. 2013, with pools of two as in the paper's table 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Of each of K pairs the larger."""
        first, second = x.chunk(2, dim=1)
        return torch.maximum(first, second)


class Scale(nn.Module):
    """Everything times a fixed number, as residual branches have it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.factor


def conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    norm: Norm,
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
    epsilon: float = 1e-5,
) -> nn.Sequential:
    """Convolution, what ``norm`` puts behind it, ReLU.

    Args:
        inputs, outputs: channels.
        kernel: its side, or height and width.
        norm: what is behind it.
        stride: of the convolution.
        padding: None is what keeps the size at a stride of 1.
        epsilon: of a batch normalisation.
    """
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    pad = (sides[0] // 2, sides[1] // 2) if padding is None else padding
    layer = nn.Conv2d(inputs, outputs, sides, stride=stride, padding=pad, bias=norm is not Norm.BATCH)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    norms = [nn.BatchNorm2d(outputs, eps=epsilon)] if norm is Norm.BATCH else []
    return nn.Sequential(layer, *norms, nn.ReLU())


def response_norm(norm: Norm) -> nn.Module:
    """The local response normalisation of the paper's tables; nothing where batches are normalised."""
    return nn.LocalResponseNorm(LRN_SIZE, LRN_ALPHA, LRN_BETA) if norm is Norm.PAPER else nn.Identity()


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Fully connected, its weights drawn so that lengths are kept, its bias 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
