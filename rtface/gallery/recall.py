"""How often a graph finds the nearest row, measured on the gallery itself, and how hard it has to look for that.

A gallery holds no second pictures to ask with, so questions are made of its rows: a row, moved in the direction from
one other person's to another's, as far as two pictures of one person lie apart. Against second pictures of 20,000
people in the likeness of LFW's, such questions are about as hard, of a million harder; rows moved in any direction are
far easier, and a row asked for its nearest other one too, because the graph is already joined there
(``tests/benchmarks/likeness.py``). The same questions tell up to which distance a narrow search can be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.graph import NARROW, HnswIndex
from rtface.gallery.index import Labels, Rows

QUESTIONS = 2000
"""A recall of 0.999 is then two misses, and with 95 % confidence not under 0.997."""
APART = (0.1, 1.0)
"""Squared distances of questions to their rows, evenly spread: of LFW's pictures of one person half lie farther apart
than 0.54 (FaceNet; SFace 0.61) and one pair in twenty farther than 1.01."""
EFFORTS = (NARROW, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""``ef`` that are tried, from the cheapest. Under 64 a tenth of a millisecond would be saved, and the farther of the
neighbours that vote be missed; the dearest takes 20 ms among a million rows."""
BLOCK = 10_000
SAME = 1e-6
"""Distances so little apart are equal rows, each of them the nearest."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured.

    Attributes:
        effort: the smallest ``ef`` that reaches the target, or the largest one tried.
        near: squared distance up to which a narrow search is believed, see ``HnswIndex``.
        recall: recall@1 with both, 0..1.
        target: that was asked for, 0..1.
        rows: of the graph when it was measured.
    """

    effort: int
    near: float
    recall: float
    target: float
    rows: int

    @property
    def reached(self) -> bool:
        """Whether the recall is at least the target."""
        return self.recall >= self.target


def tune(index: HnswIndex, target: float, *, pulse: Callable[[], None] = lambda: None) -> Tuning:
    """Sets ``near`` and ``effort`` of a graph so that this share of searches finds the nearest row, 0..1, soonest.

    ``pulse`` is called now and then; what it raises ends this.
    """
    labels = np.sort(index.labels())
    sample = labels[np.unique(np.linspace(0, len(labels) - 1, QUESTIONS).astype(np.intp))] if len(labels) else labels
    asked = questions(index.vectors(sample))
    nearest = _nearest(index, labels, asked, pulse)
    index.near, recall = 0.0, 1.0
    for effort in EFFORTS:
        pulse()
        index.effort = effort
        right, at = _found(index, asked, nearest)
        recall = float(np.mean(right)) if len(right) else 1.0
        if recall >= target:
            break
        if effort == EFFORTS[0]:
            index.near = _believed(right, at, (1 - target) / 2)
    return Tuning(index.effort, index.near, recall, target, len(labels))


def questions(rows: Rows) -> Rows:
    """(N, D) unit rows, ``APART`` from (N, D) rows of a gallery, each towards where people differ from each other."""
    random = np.random.default_rng(1)
    order = random.permutation(len(rows))
    towards = np.empty_like(rows)
    towards[order] = rows[np.roll(order, 1)] - rows[np.roll(order, 2)]
    across = towards - np.einsum("nd,nd->n", towards, rows)[:, None] * rows
    length = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.divide(across, length, out=np.zeros_like(across), where=length > SAME)
    cosine = 1 - random.permutation(np.linspace(*APART, len(rows)))[:, None] / 2
    moved = cosine * rows + np.sqrt(1 - cosine**2) * across
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _believed(right: NDArray[np.bool_], at: NDArray[np.float32], most: float) -> float:
    """The largest distance within which no more than this share of all searches went wrong; 0: none."""
    order = np.argsort(at, kind="stable")
    wrong = np.cumsum(~right[order]) > most * len(right)
    first = int(np.argmax(wrong)) if wrong.any() else len(right)
    return float(at[order[first - 1]]) if first else 0.0


def _nearest(index: HnswIndex, labels: Labels, asked: Rows, pulse: Callable[[], None]) -> NDArray[np.float32]:
    """(N,) the largest cosine of each question with any row."""
    largest = np.full(len(asked), -np.inf, np.float32)
    for start in range(0, len(labels), BLOCK):
        pulse()
        rows = index.vectors(labels[start : start + BLOCK])
        largest = np.maximum(largest, (asked @ rows.T).max(axis=1))
    return largest


def _found(
    index: HnswIndex, asked: Rows, nearest: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """(N,) whether a question is answered with a row as near as the nearest, and (N,) how far that row is."""
    if not len(asked):
        return np.empty(0, np.bool_), np.empty(0, np.float32)
    labels, distances = index.search(asked, 1)
    reached = np.einsum("nd,nd->n", asked, index.vectors(labels[:, 0]))
    return reached >= nearest - SAME, distances[:, 0]
