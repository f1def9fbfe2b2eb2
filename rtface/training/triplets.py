"""The triplet loss, and which triplets of a batch it is taken over.

A triplet (a, p, n) is an anchor, another face of the same person and a face of somebody else; its loss is
``max(0, D(a, p) - D(a, n) + margin)`` with the squared L2 distance D of embeddings of norm 1. Mining goes block of
anchors by block of anchors over a table of distances: nothing of the size N x N x N is ever made.

Source: Schroff et al. 2015, *FaceNet*, section 3, for the loss, all anchor-positive pairs and semi-hard negatives;
Hermans et al. 2017, *In Defense of the Triplet Loss*, for batch-hard.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial

import torch
from torch import Tensor

MARGIN = 0.2
"""Source: FaceNet paper, section 3.2."""

BLOCK_ROWS = 256
"""Anchors whose distances are looked at together: 1.8 MB a table in a batch of 1,800."""


class Mining(StrEnum):
    """Which triplets of a batch are used.

    ``SEMI_HARD``: every anchor-positive pair with the nearest negative that is farther than the positive, where it lies
    inside the margin; pairs without one give nothing. ``HARDEST``: every pair with the anchor's nearest negative.
    ``BATCH_HARD``: every anchor once, with its farthest positive and nearest negative.
    """

    SEMI_HARD = "semi-hard"
    HARDEST = "hardest"
    BATCH_HARD = "batch-hard"


def unit(rows: Tensor) -> Tensor:
    """(N, D) rows scaled to norm 1, in float32 or better; a row of zeros stays one."""
    exact = rows.double() if rows.dtype == torch.float64 else rows.float()
    return torch.nn.functional.normalize(exact, dim=1, eps=1e-12)


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """(N, M) squared L2 distances of (N, D) and (M, D) rows; differentiable, rounding may put a zero just below 0."""
    lengths = (first * first).sum(1)[:, None] + (second * second).sum(1)[None, :]
    return lengths - 2 * (first @ second.T)


@torch.no_grad()
def mine(
    embeddings: Tensor,
    people: Tensor,
    mining: Mining = Mining.SEMI_HARD,
    *,
    margin: float = MARGIN,
    block_rows: int = BLOCK_ROWS,
) -> Tensor:
    """(T, 3) int64 indices of anchor, positive and negative, by anchor and then by positive; T may be 0.

    Args:
        embeddings: (N, D) unit rows.
        people: (N,) a number for each person.
        mining: which triplets.
        margin: of the loss; decides what is semi-hard.
        block_rows: anchors at once; changes memory and nothing else.
    """
    ways: dict[Mining, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        Mining.SEMI_HARD: partial(_semi_hard, margin=margin),
        Mining.HARDEST: _hardest,
        Mining.BATCH_HARD: _batch_hard,
    }
    choose = ways[mining]
    found = [torch.empty((0, 3), dtype=torch.int64, device=embeddings.device)]
    for start in range(0, len(people), block_rows):
        rows = slice(start, start + block_rows)
        distances = squared_distances(embeddings[rows], embeddings)
        same = people[rows, None] == people[None, :]
        positive = same.clone()
        positive[torch.arange(len(same)), torch.arange(start, start + len(same))] = False
        triplets = choose(distances, positive, ~same)
        triplets[:, 0] += start
        found.append(triplets)
    return torch.cat(found)


def _semi_hard(distances: Tensor, positive: Tensor, negative: Tensor, *, margin: float) -> Tensor:
    """Of sorted negatives the first behind each positive; (T, 3) with anchors counted from the block's first."""
    ordered, order = distances.masked_fill(~negative, torch.inf).sort(dim=1, stable=True)
    anchors, positives = positive.nonzero(as_tuple=True)
    counts = positive.sum(dim=1)
    places = torch.arange(len(anchors), device=anchors.device) - (counts.cumsum(0) - counts)[anchors]
    to_positive = distances[anchors, positives]
    table = distances.new_full((len(counts), int(counts.max())), torch.inf)
    table[anchors, places] = to_positive
    behind = torch.searchsorted(ordered, table, right=True).clamp_(max=distances.shape[1] - 1)[anchors, places]
    to_negative = ordered[anchors, behind]
    fits = (to_negative > to_positive) & (to_negative < to_positive + margin)
    return torch.stack([anchors, positives, order[anchors, behind]], dim=1)[fits]


def _hardest(distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    nearest = distances.masked_fill(~negative, torch.inf).argmin(dim=1)
    anchors, positives = (positive & negative.any(dim=1, keepdim=True)).nonzero(as_tuple=True)
    return torch.stack([anchors, positives, nearest[anchors]], dim=1)


def _batch_hard(distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    nearest = distances.masked_fill(~negative, torch.inf).argmin(dim=1)
    farthest = distances.masked_fill(~positive, -torch.inf).argmax(dim=1)
    (anchors,) = (positive.any(dim=1) & negative.any(dim=1)).nonzero(as_tuple=True)
    return torch.stack([anchors, farthest[anchors], nearest[anchors]], dim=1)


def triplet_gaps(embeddings: Tensor, triplets: Tensor) -> Tensor:
    """(T,) D(a, p) - D(a, n); differentiable.

    Args:
        embeddings: (N, D) unit rows.
        triplets: (T, 3) indices of anchor, positive and negative.
    """
    distances = squared_distances(embeddings, embeddings)
    anchors, positives, negatives = triplets.unbind(1)
    return distances[anchors, positives] - distances[anchors, negatives]


def triplet_loss(
    embeddings: Tensor, triplets: Tensor, *, margin: float = MARGIN, divisor: float | None = None
) -> Tensor:
    """The loss over these triplets, a scalar; 0 with a gradient of 0 where there are none.

    The paper sums. The sum grows with the number of triplets a batch happens to give, which plain SGD does not bear:
    here it is divided by that number unless another ``divisor`` is given; 1 is the paper's sum.

    Args:
        embeddings: (N, D) unit rows.
        triplets: (T, 3) indices of anchor, positive and negative.
        margin: alpha of the paper.
        divisor: of the sum.
    """
    total = (triplet_gaps(embeddings, triplets) + margin).clamp(min=0).sum()
    return total / (max(len(triplets), 1) if divisor is None else divisor)
