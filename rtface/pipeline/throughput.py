"""How fast an embedder is by itself, batch by batch: what a card's owner compares and sends back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from rtface.interfaces import Embedder

BATCHES = (1, 8, 32)
LEAST_RUNS = 5


def faces_a_second(
    embedder: Embedder,
    crops: NDArray[np.uint8],
    *,
    batches: Iterable[int] = BATCHES,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, float]:
    """{batch: faces a second}, from the median run of each size, pictures in memory to vectors in memory.

    Args:
        embedder: as it serves.
        crops: (N, S, S, 3) uint8 BGR real faces, repeated to fill a batch.
        batches: sizes.
        seconds: measured of each size, after one run to warm up; at least ``LEAST_RUNS`` runs.
        clock: in seconds.
    """
    found = {}
    for batch in batches:
        faces = np.ascontiguousarray(np.resize(crops, (batch, *crops.shape[1:])))
        embedder.embed(faces)
        times: list[float] = []
        while len(times) < LEAST_RUNS or sum(times) < seconds:
            began = clock()
            embedder.embed(faces)
            times.append(clock() - began)
        found[batch] = batch / float(np.median(times))
    return found
