"""Made-up people whose embeddings overlap as real ones do, and pairs of them counted the plain way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def people_on_a_sphere(
    people: int, pictures: int, *, size: int = 16, noise: float = 0.8, seed: int = 11
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(N, size) unit rows and (N,) whose they are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, size))
    numbers = rng.integers(0, people, pictures)
    rows = centres[numbers] + noise * rng.normal(size=(pictures, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), numbers.astype(np.intp)


def every_pair(rows: NDArray[np.float32], people: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of all same and of all different pairs, ascending, in double precision."""
    first, second = np.triu_indices(len(rows), 1)
    distances = ((rows[first].astype(np.float64) - rows[second]) ** 2).sum(axis=1)
    alike = people[first] == people[second]
    return np.sort(distances[alike]), np.sort(distances[~alike])
