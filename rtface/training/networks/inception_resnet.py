"""Inception-ResNet-v1, the network of the weights that rtface ships, to go on training from them or from nothing.

Every layer bears the name it has in the frozen graph of those weights, with ``.`` for ``/``. There the batch
normalisations of the convolutions are folded into weight and bias; a network that takes the weights is therefore made
with ``Norm.NONE``.

Source: Szegedy et al. 2016, *Inception-v4, Inception-ResNet and the Impact of Residual Connections*; the scales of the
residual branches and 160x160 pixels from D. Sandberg, github.com:davidsandberg/facenet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtface.errors import ModelBroken
from rtface.models.graph import fold_batch_norm
from rtface.models.graphdef import Node, read_graph
from rtface.training.networks.layers import Norm, Scale, conv, dense

SIZE = 160
EPSILON = 1e-3
"""Of its batch normalisations."""
ROOT = "InceptionResnetV1/"
STEM = (
    ("Conv2d_1a_3x3", 32, 3, 2, 0),
    ("Conv2d_2a_3x3", 32, 3, 1, 0),
    ("Conv2d_2b_3x3", 64, 3, 1, 1),
    ("MaxPool_3a_3x3", 64, 0, 2, 0),
    ("Conv2d_3b_1x1", 80, 1, 1, 0),
    ("Conv2d_4a_3x3", 192, 3, 1, 0),
    ("Conv2d_4b_3x3", 256, 3, 2, 0),
)
"""Name, channels out, kernel (0: a maximum over 3x3), stride, padding."""
Floats = NDArray[np.float32]


class Branches(nn.ModuleDict):
    """Chains of layers side by side, their channels one behind the other."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to as many channels as all branches have."""
        return torch.cat([branch(x) for branch in self.values()], dim=1)


class Residual(nn.Module):
    """x + scale * projection(branches(x)), with a ReLU but in the last block."""

    def __init__(self, channels: int, branches: Branches, between: int, scale: float, *, last: bool = False) -> None:
        super().__init__()
        self.branches = branches
        self.Conv2d_1x1 = nn.Conv2d(between, channels, 1)
        nn.init.kaiming_normal_(self.Conv2d_1x1.weight, nonlinearity="linear")
        self.scale = Scale(scale)
        self.relu = nn.Identity() if last else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        result: Tensor = self.relu(x + self.scale(self.Conv2d_1x1(self.branches(x))))
        return result


class InceptionResnetV1(nn.Module):
    """(N, 3, 160, 160) to (N, D), not yet of norm 1."""

    height = width = SIZE

    def __init__(self, embedding_size: int, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.stem = nn.Sequential()
        channels = 3
        for name, outputs, kernel, stride, padding in STEM:
            layer = self._conv(channels, outputs, kernel, stride, padding) if kernel else nn.MaxPool2d(3, stride)
            self.stem.add_module(name, layer)
            channels = outputs
        self.Repeat = nn.Sequential()
        for number in range(1, 6):
            self.Repeat.add_module(f"block35_{number}", self._block35())
        self.Mixed_6a = self._reduction(256, (384,), (192, 192, 256))
        self.Repeat_1 = nn.Sequential()
        for number in range(1, 11):
            self.Repeat_1.add_module(f"block17_{number}", self._block17())
        self.Mixed_7a = self._reduction(896, (256, 384), (256, 256), (256, 256, 256))
        self.Repeat_2 = nn.Sequential()
        for number in range(1, 6):
            self.Repeat_2.add_module(f"block8_{number}", self._block8(0.2))
        self.Block8 = self._block8(1.0, last=True)
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.Bottleneck = dense(1792, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Layer after layer."""
        for layer in self.children():
            x = layer(x)
        return x

    def _conv(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | None = None
    ) -> nn.Sequential:
        return conv(inputs, outputs, kernel, norm=self.norm, stride=stride, padding=padding, epsilon=EPSILON)

    def _block35(self) -> Residual:
        conv = self._conv
        branches = Branches(
            {
                "Branch_0": _chain(Conv2d_1x1=conv(256, 32, 1)),
                "Branch_1": _chain(Conv2d_0a_1x1=conv(256, 32, 1), Conv2d_0b_3x3=conv(32, 32, 3)),
                "Branch_2": _chain(
                    Conv2d_0a_1x1=conv(256, 32, 1), Conv2d_0b_3x3=conv(32, 32, 3), Conv2d_0c_3x3=conv(32, 32, 3)
                ),
            }
        )
        return Residual(256, branches, 96, 0.17)

    def _block17(self) -> Residual:
        conv = self._conv
        branches = Branches(
            {
                "Branch_0": _chain(Conv2d_1x1=conv(896, 128, 1)),
                "Branch_1": _chain(
                    Conv2d_0a_1x1=conv(896, 128, 1),
                    Conv2d_0b_1x7=conv(128, 128, (1, 7)),
                    Conv2d_0c_7x1=conv(128, 128, (7, 1)),
                ),
            }
        )
        return Residual(896, branches, 256, 0.1)

    def _block8(self, scale: float, *, last: bool = False) -> Residual:
        conv = self._conv
        branches = Branches(
            {
                "Branch_0": _chain(Conv2d_1x1=conv(1792, 192, 1)),
                "Branch_1": _chain(
                    Conv2d_0a_1x1=conv(1792, 192, 1),
                    Conv2d_0b_1x3=conv(192, 192, (1, 3)),
                    Conv2d_0c_3x1=conv(192, 192, (3, 1)),
                ),
            }
        )
        return Residual(1792, branches, 384, scale, last=last)

    def _reduction(self, inputs: int, *chains: tuple[int, ...]) -> Branches:
        """Half the height and width: chains that end in a strided 3x3, and a strided maximum.

        Each chain is given as the channels of its layers: a 1x1 where there are several, a 3x3, the strided 3x3.
        """
        branches = Branches()
        for number, widths in enumerate(chains):
            chain, before = nn.Sequential(), inputs
            for name, kernel, width in zip(("Conv2d_0a_1x1", "Conv2d_0b_3x3"), (1, 3), widths[:-1], strict=False):
                chain.add_module(name, self._conv(before, width, kernel))
                before = width
            chain.add_module("Conv2d_1a_3x3", self._conv(before, widths[-1], 3, 2, 0))
            branches[f"Branch_{number}"] = chain
        branches[f"Branch_{len(chains)}"] = nn.MaxPool2d(3, 2)
        return branches


def shipped(path: Path) -> InceptionResnetV1:
    """The network with the weights 20180408-102900, 512 numbers a face.

    Args:
        path: the frozen graph, ``facenet-20180408-102900.pb``.

    Raises:
        ModelBroken: it is not that graph.
    """
    nodes = read_graph(path)
    network = InceptionResnetV1(512, Norm.NONE)
    try:
        state = {name: torch.from_numpy(values) for name, values in _weights(nodes, network).items()}
        network.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelBroken(f"{path} is not the FaceNet graph expected here ({error!r}). Fetch it again.") from error
    return network.eval()


def _weights(nodes: Mapping[str, Node], network: nn.Module) -> dict[str, Floats]:
    """Each parameter of the network from the node that bears its name."""
    state = {}
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d):
            continue
        place = ROOT + name.removesuffix(".0").removeprefix("stem.").replace(".branches.", ".").replace(".", "/")
        product = nodes[f"{place}/Conv2D"]
        (added,) = (node for node in nodes.values() if node.op == "BiasAdd" and node.inputs[0] == product.name)
        state[f"{name}.weight"] = np.ascontiguousarray(_values(nodes, product.inputs[1]).transpose(3, 2, 0, 1))
        state[f"{name}.bias"] = _values(nodes, added.inputs[1])
    (norm,) = (node for node in nodes.values() if node.op == "FusedBatchNorm")
    gamma, beta, mean, variance = (_values(nodes, name) for name in norm.inputs[1:])
    weight = _values(nodes, f"{ROOT}Bottleneck/weights").T
    folded = fold_batch_norm(weight, np.zeros(len(weight)), (gamma, beta, mean, variance), norm.real("epsilon"))
    state["Bottleneck.weight"], state["Bottleneck.bias"] = folded
    return state


def _values(nodes: Mapping[str, Node], name: str) -> Floats:
    return np.array(nodes[name].values(), np.float32)


def _chain(**layers: nn.Module) -> nn.Sequential:
    chain = nn.Sequential()
    for name, layer in layers.items():
        chain.add_module(name, layer)
    return chain
