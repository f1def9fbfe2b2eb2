"""NN2, NN3, NN4, NNS1 and NNS2: the paper's Inception networks, each as a table.

NN2 is the paper's table 2. Of the others the paper says less, and what it leaves open was derived here:

- **NN3** is "identical in architecture" at 160x160.
- **NN4** is at 96x96 and "does not use 5x5 convolutions in the higher layers". Leaving them out of 4e, 5a and 5b gives
  6.6 M parameters, the smallest the paper names for this family ("6.6M-7.5M"), and 285 M FLOPS, which
  it says of NN4.
- **NNS1** (165x165, 26 M parameters, 220 M FLOPS) and **NNS2** (140x116, 4.3 M, 20 M) are "dramatically reduced in size
  (both depth and number of filters)"; no table is given. More parameters than NN2 at a seventh of its work cannot be
  convolutions, so both end in the maxout layers of NN1; the modules before them are narrow ones of NN2's form, their
  widths chosen so that both figures are met. Another network could have the same figures.

Source: FaceNet paper, section 3.3 and table 2; Szegedy et al. 2015, *Going deeper with convolutions*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rtface.training.networks.layers import L2Pool, MaxOut, Norm, conv, dense, response_norm


@dataclass(frozen=True, slots=True)
class Row:
    """One Inception module, as a row of table 2; 0 is a branch that is not there.

    Attributes:
        name: such as ``3a``.
        ones: filters of the 1x1 branch.
        reduce3, threes: 1x1 filters before the 3x3 ones, and those.
        reduce5, fives: 1x1 filters before the 5x5 ones, and those.
        pool: ``m`` for the maximum, ``L2`` for the root of the mean of squares.
        project: 1x1 filters behind the pool; 0 passes it on as it is.
        stride: 2 halves height and width.
    """

    name: str
    ones: int
    reduce3: int
    threes: int
    reduce5: int
    fives: int
    pool: str
    project: int
    stride: int = 1

    def outputs(self, inputs: int) -> int:
        """Channels that come out."""
        return self.ones + self.threes + self.fives + (self.project or inputs)


@dataclass(frozen=True, slots=True)
class Table:
    """A whole network.

    Attributes:
        height, width: of the input.
        stem: filters of conv1, and of the two convolutions of ``inception (2)``.
        rows: the modules in order.
        maxout: width of the maxout layers behind them; without any the mean over the picture is taken.
    """

    height: int
    width: int
    stem: tuple[int, int, int]
    rows: tuple[Row, ...]
    maxout: tuple[int, ...] = ()


NN2 = Table(
    224,
    224,
    (64, 64, 192),
    (
        Row("3a", 64, 96, 128, 16, 32, "m", 32),
        Row("3b", 64, 96, 128, 32, 64, "L2", 64),
        Row("3c", 0, 128, 256, 32, 64, "m", 0, stride=2),
        Row("4a", 256, 96, 192, 32, 64, "L2", 128),
        Row("4b", 224, 112, 224, 32, 64, "L2", 128),
        Row("4c", 192, 128, 256, 32, 64, "L2", 128),
        Row("4d", 160, 144, 288, 32, 64, "L2", 128),
        Row("4e", 0, 160, 256, 64, 128, "m", 0, stride=2),
        Row("5a", 384, 192, 384, 48, 128, "L2", 128),
        Row("5b", 384, 192, 384, 48, 128, "m", 128),
    ),
)
NN3 = replace(NN2, height=160, width=160)
NN4 = replace(
    NN2,
    height=96,
    width=96,
    rows=tuple(replace(row, reduce5=0, fives=0) if row.name in ("4e", "5a", "5b") else row for row in NN2.rows),
)
NNS1 = Table(
    165,
    165,
    (32, 32, 144),
    (
        Row("3a", 32, 48, 64, 8, 16, "m", 16),
        Row("3b", 0, 64, 128, 16, 32, "m", 0, stride=2),
        Row("4a", 96, 64, 128, 16, 32, "L2", 64),
        Row("4b", 96, 64, 128, 16, 32, "L2", 64),
        Row("4c", 0, 64, 128, 16, 32, "m", 0, stride=2),
        Row("5a", 96, 64, 128, 16, 32, "m", 56),
    ),
    maxout=(1024, 1024),
)
NNS2 = Table(
    140,
    116,
    (12, 12, 28),
    (
        Row("3a", 0, 24, 48, 8, 16, "m", 0, stride=2),
        Row("4a", 32, 32, 64, 8, 16, "L2", 32),
        Row("4b", 0, 32, 64, 8, 16, "m", 0, stride=2),
        Row("5a", 48, 32, 72, 8, 24, "m", 32),
    ),
    maxout=(512, 512),
)


class Inception(nn.Module):
    """One module: up to four branches side by side."""

    def __init__(self, inputs: int, row: Row, norm: Norm) -> None:
        super().__init__()
        branches: list[nn.Module] = []
        if row.ones:
            branches.append(conv(inputs, row.ones, 1, norm=norm))
        for reduce, filters, kernel in ((row.reduce3, row.threes, 3), (row.reduce5, row.fives, 5)):
            if filters:
                narrow = conv(inputs, reduce, 1, norm=norm)
                branches.append(nn.Sequential(narrow, conv(reduce, filters, kernel, stride=row.stride, norm=norm)))
        pool: nn.Module = L2Pool() if row.pool == "L2" else nn.MaxPool2d(3, row.stride, padding=1)
        behind = [conv(inputs, row.project, 1, norm=norm)] if row.project else []
        branches.append(nn.Sequential(pool, *behind))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the branches' channels one behind the other."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InceptionNetwork(nn.Module):
    """(N, 3, height, width) to (N, D), not yet of norm 1."""

    def __init__(self, table: Table, embedding_size: int, norm: Norm) -> None:
        super().__init__()
        self.height, self.width = table.height, table.width
        first, reduce, second = table.stem
        self.conv1 = conv(3, first, 7, stride=2, norm=norm)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        self.rnorm1 = response_norm(norm)
        self.inception2 = nn.Sequential(conv(first, reduce, 1, norm=norm), conv(reduce, second, 3, norm=norm))
        self.rnorm2 = response_norm(norm)
        self.pool2 = nn.MaxPool2d(3, 2, padding=1)
        height, width, channels = _halved(table.height, 3), _halved(table.width, 3), second
        for row in table.rows:
            self.add_module(f"inception{row.name}", Inception(channels, row, norm))
            channels = row.outputs(channels)
            if row.stride == 2:
                height, width = _halved(height), _halved(width)
        self.head = _maxouts(table.maxout, channels * height * width) if table.maxout else _mean()
        self.fully_conn = dense(table.maxout[-1] if table.maxout else channels, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Layer after layer, in the table's order."""
        for layer in self.children():
            x = layer(x)
        return x


def _mean() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _maxouts(widths: tuple[int, ...], inputs: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, width in zip((inputs, *widths), widths, strict=False):
        layers += [dense(before, 2 * width), MaxOut()]
    return nn.Sequential(*layers)


def _halved(side: int, times: int = 1) -> int:
    """A side after that many layers of stride 2 that pad by half their kernel."""
    for _ in range(times):
        side = (side + 1) // 2
    return side
