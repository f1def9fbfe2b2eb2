"""How often a graph finds the nearest row, measured on the gallery itself, and how hard it has to look for that.

A gallery holds no second pictures to ask with, so questions are made of its rows: a row, moved in the direction from
one other person's to another's, as far as two pictures of one person lie apart. Against second pictures of 20,000
people in the likeness of LFW's, such questions are a little harder; rows moved in any direction are far easier, and a
row asked for its nearest other one too, because the graph is already joined there (``tests/benchmarks/likeness.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.index import HnswIndex, Labels, Rows

QUESTIONS = 2000
"""A recall of 0.999 is then two misses, and with 95 % confidence not under 0.997."""
APART = 1.0
"""Squared distance of a question to its row: of LFW's pictures of one person one pair in twenty lies farther apart
(FaceNet; half of them farther than 0.54)."""
EFFORTS = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""``ef`` that are tried, from the cheapest. Under 64 a tenth of a millisecond would be saved, and the farther of the
neighbours that vote be missed; the dearest still looks at a five-hundredth of a million rows."""
BLOCK = 10_000
SAME = 1e-6
"""Distances so little apart are equal rows, each of them the nearest."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured.

    Attributes:
        effort: the smallest ``ef`` that reaches the target, or the largest one tried.
        recall: recall@1 with it, 0..1.
        target: that was asked for, 0..1.
        rows: of the graph when it was measured.
    """

    effort: int
    recall: float
    target: float
    rows: int

    @property
    def reached(self) -> bool:
        """Whether the recall is at least the target."""
        return self.recall >= self.target


def tune(index: HnswIndex, target: float, *, pulse: Callable[[], None] = lambda: None) -> Tuning:
    """Sets the effort of a graph to the smallest that finds the nearest row in this share of searches, 0..1.

    ``pulse`` is called now and then; what it raises ends this.
    """
    labels = np.sort(index.labels())
    sample = labels[np.unique(np.linspace(0, len(labels) - 1, QUESTIONS).astype(np.intp))] if len(labels) else labels
    asked = questions(index.vectors(sample))
    nearest = _nearest(index, labels, asked, pulse)
    recall = 1.0
    for effort in EFFORTS:
        pulse()
        index.effort = effort
        recall = _found(index, asked, nearest)
        if recall >= target:
            break
    return Tuning(index.effort, recall, target, len(labels))


def questions(rows: Rows) -> Rows:
    """(N, D) unit rows at ``APART`` from (N, D) rows of a gallery, each towards where people differ from each other."""
    order = np.random.default_rng(1).permutation(len(rows))
    towards = np.empty_like(rows)
    towards[order] = rows[np.roll(order, 1)] - rows[np.roll(order, 2)]
    across = towards - np.einsum("nd,nd->n", towards, rows)[:, None] * rows
    length = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.divide(across, length, out=np.zeros_like(across), where=length > SAME)
    cosine = 1 - APART / 2
    moved = cosine * rows + np.sqrt(1 - cosine**2) * across
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _nearest(index: HnswIndex, labels: Labels, asked: Rows, pulse: Callable[[], None]) -> NDArray[np.float32]:
    """(N,) the largest cosine of each question with any row."""
    largest = np.full(len(asked), -np.inf, np.float32)
    for start in range(0, len(labels), BLOCK):
        pulse()
        rows = index.vectors(labels[start : start + BLOCK])
        largest = np.maximum(largest, (asked @ rows.T).max(axis=1))
    return largest


def _found(index: HnswIndex, asked: Rows, nearest: NDArray[np.float32]) -> float:
    """The share of questions answered with a row as near as the nearest."""
    if not len(asked):
        return 1.0
    labels, _ = index.search(asked, 1)
    reached = np.einsum("nd,nd->n", asked, index.vectors(labels[:, 0]))
    return float(np.mean(reached >= nearest - SAME))
