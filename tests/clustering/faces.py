"""People made up of unit vectors: each a direction, each face a little off it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def people(
    count: int, faces: int, *, size: int = 64, spread: float = 0.35, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count * faces, size) unit rows in an order of their own, and whose each is. Strangers are about 2 apart."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(count), faces))
    centres = rng.normal(size=(count, size))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = centres[who] + rng.normal(size=(len(who), size)) * spread / np.sqrt(size)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who
