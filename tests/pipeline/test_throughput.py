"""Faces a second is the batch over its median run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.pipeline.throughput import LEAST_RUNS, faces_a_second
from tests.fakes import FakeEmbedder


class Timed(FakeEmbedder):
    """Takes 10 ms and 2 ms a face, but every seventh run a whole second."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        self.now += 1.0 if len(self.batches) % 7 == 0 else 0.010 + 0.002 * len(crops)
        return np.zeros((len(crops), self.size), np.float32)


def test_rate_of_each_batch_is_that_of_its_median_run() -> None:
    embedder = Timed()
    crops = np.zeros((3, 80, 80, 3), np.uint8)
    found = faces_a_second(embedder, crops, batches=(1, 8), seconds=0.2, clock=lambda: embedder.now)
    assert found == {1: pytest.approx(1 / 0.012), 8: pytest.approx(8 / 0.026)}


def test_batches_are_filled_with_the_faces_given_and_a_slow_engine_is_run_few_times() -> None:
    embedder = Timed()
    clock: Iterator[float] = iter(np.arange(100.0))
    faces_a_second(embedder, np.zeros((3, 80, 80, 3), np.uint8), batches=(32,), seconds=1, clock=lambda: next(clock))
    assert embedder.batches == [32] * (LEAST_RUNS + 1)
