"""A small network for small pictures: six convolutions, 64x64 px. Enough to see training work on one CPU core."""

from __future__ import annotations

from torch import Tensor, nn

from rtface.training.networks.layers import Norm, conv, dense

SIZE = 64


class Small(nn.Module):
    """(N, 3, 64, 64) to (N, D), not yet of norm 1."""

    height = width = SIZE

    def __init__(self, embedding_size: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, stride in ((24, 2), (48, 2), (48, 1), (96, 2), (96, 1), (128, 2)):
            layers.append(conv(inputs, outputs, 3, stride=stride, norm=norm))
            inputs = outputs
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.embedding = dense(inputs * (SIZE // 16) ** 2, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Body, then embedding."""
        result: Tensor = self.embedding(self.body(x))
        return result
