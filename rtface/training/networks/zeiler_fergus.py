"""NN1: the Zeiler and Fergus network with 1x1 convolutions between its own, 140 million parameters.

Source: FaceNet paper, table 1, layer by layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from rtface.training.networks.layers import MaxOut, Norm, conv, dense, response_norm

SIZE = 220
WIDTH = 32 * 128
"""Of the two maxout layers."""


class ZeilerFergus(nn.Module):
    """(N, 3, 220, 220) to (N, D), not yet of norm 1."""

    height = width = SIZE

    def __init__(self, embedding_size: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 7, stride=2, norm=norm)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        self.rnorm1 = response_norm(norm)
        self.conv2a = conv(64, 64, 1, norm=norm)
        self.conv2 = conv(64, 192, 3, norm=norm)
        self.rnorm2 = response_norm(norm)
        self.pool2 = nn.MaxPool2d(3, 2, padding=1)
        self.conv3a = conv(192, 192, 1, norm=norm)
        self.conv3 = conv(192, 384, 3, norm=norm)
        self.pool3 = nn.MaxPool2d(3, 2, padding=1)
        self.conv4a = conv(384, 384, 1, norm=norm)
        self.conv4 = conv(384, 256, 3, norm=norm)
        self.conv5a = conv(256, 256, 1, norm=norm)
        self.conv5 = conv(256, 256, 3, norm=norm)
        self.conv6a = conv(256, 256, 1, norm=norm)
        self.conv6 = conv(256, 256, 3, norm=norm)
        self.pool4 = nn.MaxPool2d(3, 2, padding=1)
        self.concat = nn.Flatten()
        self.fc1 = nn.Sequential(dense(7 * 7 * 256, 2 * WIDTH), MaxOut())
        self.fc2 = nn.Sequential(dense(WIDTH, 2 * WIDTH), MaxOut())
        self.fc7128 = dense(WIDTH, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Layer after layer, in the table's order."""
        for layer in self.children():
            x = layer(x)
        return x
