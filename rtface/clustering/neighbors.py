"""Which faces are alike: each one's nearest, exact for few faces and through HNSW for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.graph import HnswIndex
from rtface.gallery.index import EXACT_UP_TO, ExactIndex, Index

NEIGHBORS = 32
"""Of each face; a person of more faces is held together by those of others."""
BLOCK = 1024


def nearest_edges(
    rows: NDArray[np.float32],
    distance: float,
    *,
    pictures: NDArray[np.int64] | None = None,
    neighbors: int = NEIGHBORS,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(E, 2) pairs of faces within a distance, each once, the smaller first, and (E,) weights in 0..1, 1 for the same.

    Args:
        rows: (N, D) unit vectors.
        distance: squared L2, 0..4.
        pictures: (N,) which picture a face is in; faces of the same one are no pair.
        neighbors: of each face that are looked at.
    """
    index = _indexed(rows)
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(rows), BLOCK):
        labels, distances = index.search(rows[start : start + BLOCK], neighbors + 1)
        own = np.repeat(np.arange(start, start + len(labels)), labels.shape[1])
        found.append(np.column_stack([own, labels.ravel(), distances.ravel()]))
    table = np.concatenate(found)
    ends = np.sort(table[:, :2].astype(np.int64), axis=1)
    kept = (ends[:, 0] != ends[:, 1]) & (table[:, 2] < distance)
    if pictures is not None:
        kept &= pictures[ends[:, 0]] != pictures[ends[:, 1]]
    ends, near = ends[kept], table[kept, 2]
    _, once = np.unique(ends[:, 0] * len(rows) + ends[:, 1], return_index=True)
    return ends[once], np.clip(1 - near[once] / distance, 1e-6, 1)


def _indexed(rows: NDArray[np.float32]) -> Index:
    size = rows.shape[1]
    index: Index = ExactIndex(size) if len(rows) <= EXACT_UP_TO else HnswIndex(size, room=len(rows))
    index.add(np.arange(len(rows)), np.ascontiguousarray(rows))
    return index
