"""What a network costs, layer by layer, counted as the paper counts: parameters with biases, multiply-adds as FLOPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Of one convolution or fully connected layer: its path in the network, parameters, FLOPS a face."""

    name: str
    parameters: int
    flops: int


def count(network: nn.Module, height: int, width: int) -> list[LayerCost]:
    """Every layer that has weights, in the order of computing; nothing is computed, no weights are needed.

    A bias is an addition for each number that comes out. Pools and normalisations count nothing, as in the paper.

    Args:
        network: on any device; on ``meta`` it needs no memory.
        height, width: of its input.
    """
    costs: list[LayerCost] = []
    hooks = [
        layer.register_forward_hook(_counting(name, costs))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.empty(1, 3, height, width, device=next(network.parameters()).device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return costs


def _counting(name: str, costs: list[LayerCost]) -> Callable[[nn.Conv2d | nn.Linear, object, Tensor], None]:
    def hook(layer: nn.Conv2d | nn.Linear, _: object, result: Tensor) -> None:
        parameters = sum(part.numel() for part in layer.parameters())
        places = result.shape[2:].numel() if isinstance(layer, nn.Conv2d) else 1
        costs.append(LayerCost(name, parameters, parameters * places))

    return hook


def parameters(network: nn.Module) -> int:
    """All numbers that training changes."""
    return sum(part.numel() for part in network.parameters())
