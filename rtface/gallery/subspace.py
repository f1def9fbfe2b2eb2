"""Embeddings in fewer numbers at the same distances, where a model uses only part of its space.

FaceNet's 512 numbers lie in about 96 dimensions: from a subspace fitted on some of LFW's people, the rows of the others
are at most 1.5e-4 (squared) away (``tests/benchmarks/likeness.py``). A graph of 96 numbers a row takes a third
of the memory and of the time. SFace uses all of its 128.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

MEAN_LEFT = 1e-4
"""Squared distance of a row to the subspace, in the mean of those it is fitted on; a distance between two rows, some
0.5 to 2, is then as right as the embedding itself repeats on another processor."""
MOST_LEFT = 1e-3
"""Squared, of one row; FaceNet's worst was 1.5e-4. A row farther away does not fit."""
ROWS_A_NUMBER = 4
"""Rows for each number of theirs that a fit takes; with fewer it would fit these rows, not the model."""
STEP = 16
"""Numbers are a multiple of this: whole vector registers."""


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """A flat through the embeddings.

    Attributes:
        middle: (D,) float32 point of it.
        axes: (d, D) float32 orthonormal rows, d < D.
    """

    middle: Rows
    axes: Rows

    def inside(self, rows: Rows) -> tuple[Rows, Rows]:
        """(N, d) places in it, and (N,) the squared distance to it, of (N, D) rows."""
        moved = np.asarray(rows, np.float32) - self.middle
        places = moved @ self.axes.T
        left = np.einsum("nd,nd->n", moved, moved) - np.einsum("nd,nd->n", places, places)
        return np.ascontiguousarray(places, np.float32), np.maximum(left, 0)

    def outside(self, places: Rows) -> Rows:
        """(N, D) rows at (N, d) places."""
        return np.asarray(places @ self.axes + self.middle, np.float32)


def fitted(rows: Rows) -> Subspace | None:
    """The smallest that (N, D) rows fit; None where it would not be half as small, or the rows are too few to tell."""
    count, size = rows.shape
    if count < ROWS_A_NUMBER * size:
        return None
    middle = rows.mean(axis=0, dtype=np.float64)
    moved = rows - middle
    values, vectors = np.linalg.eigh(moved.T @ moved / count)
    left = np.cumsum(np.maximum(values, 0))  # of leaving out the first, the second ... smallest axis
    needed = size - int(np.searchsorted(left, MEAN_LEFT, side="right"))
    kept = max(STEP, -(-needed // STEP) * STEP)
    if 2 * kept > size:
        return None
    space = Subspace(middle.astype(np.float32), np.ascontiguousarray(vectors[:, -kept:].T, np.float32))
    return space if space.inside(rows)[1].max() <= MOST_LEFT else None
