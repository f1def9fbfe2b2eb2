"""Batches read and augmented by threads, one batch ahead of the network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.training.augmentation import Augmentation, augment
from rtface.training.batches import Batch, BatchSource, Position
from rtface.types import Image


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A batch, and this process's part of its crops.

    Attributes:
        batch: the whole batch.
        crops: (M, S, S, 3) uint8 BGR, those of the rows ``share`` of the batch.
        share: which of the batch's rows.
        after: the source's position behind this batch.
    """

    batch: Batch
    crops: NDArray[np.uint8]
    share: slice
    after: Position


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    step: int
    batch: Batch
    share: slice
    after: Position
    crops: list[Future[Image]]


class Loader:
    """Takes from a source and reads. What happens to a crop hangs on the seed, the step and its place in the batch."""

    def __init__(
        self,
        source: BatchSource,
        read: Callable[[int], Image],
        augmentation: Augmentation,
        *,
        seed: int,
        workers: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Begins nothing yet.

        Args:
            source: of batches.
            read: the crop of a row of the data set.
            augmentation: of the crops.
            seed: of every draw.
            workers: threads.
            rank, world: which of how many equal parts of each batch is read.
        """
        self._source, self._read, self._augmentation = source, read, augmentation
        self._seed, self._rank, self._world = seed, rank, world
        self._threads = ThreadPoolExecutor(workers, "crops")
        self._ahead: _Begun | None = None

    def take(self, step: int) -> Loaded:
        """The batch of this step; reading the next one begins.

        Raises:
            PictureError: a crop cannot be read.
        """
        begun = self._ahead if self._ahead is not None and self._ahead.step == step else self._begin(step)
        self._ahead = self._begin(step + 1)
        crops = np.stack([crop.result() for crop in begun.crops])
        return Loaded(begun.batch, crops, begun.share, begun.after)

    def replace(self, source: BatchSource) -> None:
        """Goes on with another source; what was read ahead is dropped."""
        self._source, self._ahead = source, None

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _begin(self, step: int) -> _Begun:
        batch = self._source.take()
        part = len(batch.rows) // self._world
        share = slice(self._rank * part, (self._rank + 1) * part)
        jobs = [
            self._threads.submit(self._crop, int(row), step, share.start + place)
            for place, row in enumerate(batch.rows[share])
        ]
        return _Begun(step, batch, share, self._source.position(), jobs)

    def _crop(self, row: int, step: int, place: int) -> Image:
        return augment(self._read(row), self._augmentation, np.random.default_rng((self._seed, 3, step, place)))
