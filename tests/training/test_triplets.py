"""Mining and the loss against every one of the N^3 triplets, counted out in float64 without either."""

from __future__ import annotations

import itertools
import resource
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch

from rtface.training.triplets import Mining, mine, triplet_gaps, triplet_loss, unit

MARGIN = 0.2
Triplet = tuple[int, int, int]


def rows(seed: int, count: int, size: int = 4) -> NDArray[np.float64]:
    """Unit rows near each other, so that all kinds of triplets occur."""
    drawn = np.random.default_rng(seed).normal(1.0, 0.6, (count, size))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.sum((x - y) ** 2))


def every(people: list[int]) -> list[Triplet]:
    """All valid triplets of N^3."""
    return [
        (a, p, n)
        for a, p, n in itertools.product(range(len(people)), repeat=3)
        if a != p and people[a] == people[p] and people[a] != people[n]
    ]


def wanted(x: NDArray[np.float64], people: list[int], mining: Mining) -> set[Triplet]:
    """What the definitions in words come to."""
    valid = every(people)
    chosen = set()
    for a, p in {(a, p) for a, p, _ in valid}:
        negatives = [n for b, q, n in valid if (b, q) == (a, p)]
        to_positive = distance(x[a], x[p])
        if mining is Mining.SEMI_HARD:
            inside = [n for n in negatives if to_positive < distance(x[a], x[n]) < to_positive + MARGIN]
            if inside:
                chosen.add((a, p, min(inside, key=lambda n: distance(x[a], x[n]))))
            continue
        positives = [q for b, q in {(b, q) for b, q, _ in valid} if b == a]
        if mining is Mining.HARDEST or p == max(positives, key=lambda q: distance(x[a], x[q])):
            chosen.add((a, p, min(negatives, key=lambda n: distance(x[a], x[n]))))
    return chosen


def found(x: NDArray[np.float64], people: list[int], mining: Mining, block_rows: int = 256) -> list[Triplet]:
    mined = mine(torch.tensor(x), torch.tensor(people), mining, margin=MARGIN, block_rows=block_rows)
    return [(int(a), int(p), int(n)) for a, p, n in mined]


@pytest.mark.parametrize("mining", list(Mining))
@pytest.mark.parametrize("seed", range(6))
def test_mined_are_those_that_brute_force_finds(mining: Mining, seed: int) -> None:
    people = list(np.random.default_rng(seed).integers(0, 5, 18))
    x = rows(seed, len(people))
    mined = found(x, people, mining)
    assert len(mined) == len(set(mined))
    assert set(mined) == wanted(x, people, mining)
    assert len(mined) > 5


@pytest.mark.parametrize("mining", list(Mining))
@pytest.mark.parametrize("block_rows", [1, 5, 18])
def test_blocks_change_nothing(mining: Mining, block_rows: int) -> None:
    people = list(np.random.default_rng(3).integers(0, 5, 18))
    assert found(rows(3, 18), people, mining, block_rows) == found(rows(3, 18), people, mining)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=2, max_size=24), st.integers(2, 8))
def test_semi_hard_negatives_are_farther_than_the_positive_and_inside_the_margin(
    seed: int, people: list[int], size: int
) -> None:
    x = rows(seed, len(people), size)
    mined = found(x, people, Mining.SEMI_HARD)
    for a, p, n in mined:
        assert a != p
        assert people[a] == people[p] != people[n]
        gap = distance(x[a], x[n]) - distance(x[a], x[p])
        assert -1e-12 < gap < MARGIN + 1e-12
        between = [
            m
            for m in range(len(people))
            if people[m] != people[a]
            and distance(x[a], x[p]) + 1e-12 < distance(x[a], x[m]) < distance(x[a], x[n]) - 1e-12
        ]
        assert between == [], "a nearer negative is semi-hard too"
    pairs = {(a, p) for a, p, _ in mined}
    assert len(pairs) == len(mined), "one triplet a pair at most"
    left = {(a, p) for a, p, _ in every(people)} - pairs
    for a, p in left:
        gaps = [distance(x[a], x[n]) - distance(x[a], x[p]) for n in range(len(people)) if people[n] != people[a]]
        assert not any(1e-12 < gap < MARGIN - 1e-12 for gap in gaps), "a pair with a semi-hard negative was left out"


@pytest.mark.parametrize("people", [[], [0], [0, 1, 2], [0, 0, 0]])
@pytest.mark.parametrize("mining", list(Mining))
def test_without_pairs_or_negatives_there_is_nothing_and_no_gradient(people: list[int], mining: Mining) -> None:
    x = torch.tensor(rows(0, len(people)), requires_grad=True)
    mined = mine(x, torch.tensor(people, dtype=torch.int64), mining)
    assert mined.shape == (0, 3)
    loss = triplet_loss(x, mined)
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == 0
    assert gradient.abs().sum().item() == 0


def test_equal_embeddings_have_no_semi_hard_negative() -> None:
    x = torch.ones(6, 4) / 2
    assert len(mine(x, torch.tensor([0, 0, 1, 1, 2, 2]))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_loss_and_gradient_over_all_triplets_equal_brute_force(seed: int) -> None:
    people = list(np.random.default_rng(seed).integers(0, 4, 12))
    x, triplets = rows(seed, len(people)), every(people)
    total, gradient = 0.0, np.zeros_like(x)
    for a, p, n in triplets:
        loss = distance(x[a], x[p]) - distance(x[a], x[n]) + MARGIN
        if loss > 0:
            total += loss
            gradient[a] += 2 * (x[n] - x[p])
            gradient[p] += 2 * (x[p] - x[a])
            gradient[n] += 2 * (x[a] - x[n])
    tensor = torch.tensor(x, requires_grad=True)
    summed = triplet_loss(tensor, torch.tensor(triplets), margin=MARGIN, divisor=1)
    (computed,) = torch.autograd.grad(summed, tensor)
    assert summed.item() == pytest.approx(total, abs=1e-10)
    np.testing.assert_allclose(computed.numpy(), gradient, atol=1e-10)
    mean = triplet_loss(torch.tensor(x), torch.tensor(triplets), margin=MARGIN)
    assert mean.item() == pytest.approx(total / len(triplets), abs=1e-12)


@pytest.mark.parametrize("mining", list(Mining))
def test_gradient_through_the_normalisation_is_right(mining: Mining) -> None:
    people = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
    raw = torch.tensor(rows(5, 8) * 3.7, requires_grad=True)
    mined = mine(unit(raw), people, mining, margin=MARGIN)
    gaps = triplet_gaps(unit(raw), mined).detach() + MARGIN
    assert len(mined) > 3
    assert gaps.abs().min().item() > 1e-4, "no triplet on the loss's kink, where there is no derivative"
    assert torch.autograd.gradcheck(lambda given: triplet_loss(unit(given), mined, margin=MARGIN), (raw,))


def test_easy_triplets_give_nothing() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = triplet_loss(x, torch.tensor([[0, 1, 2], [1, 0, 2]]))
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == 0
    assert gradient.abs().max().item() == 0


def test_a_batch_of_the_papers_size_is_mined_without_its_cube() -> None:
    """1,800 faces of 40 people and 200 strangers; a table of all triplets would take 5.8 GB at one byte each."""
    generator = torch.Generator().manual_seed(0)
    people = torch.cat([torch.arange(40).repeat_interleave(40), torch.arange(40, 240)])
    centres = torch.randn(240, 128, generator=generator)
    x = unit(centres[people] + 1.5 * torch.randn(1800, 128, generator=generator))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    mined = mine(x, people)
    seconds = time.process_time() - started
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert len(mined) > 10_000
    assert grown_mb < 300
    assert seconds < 10
