"""A network from models.toml as an ``Embedder``: its crop, its graph on any backend, centring or head, last layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtface.embedding import align
from rtface.interfaces import AsyncBackend, Backend
from rtface.models.head import unit_rows
from rtface.types import Detection, Image

if TYPE_CHECKING:
    from rtface.models.catalogue import ModelSpec

Feed = Mapping[str, NDArray[np.generic]]
"""The arrays of one run."""

LARGEST_BATCH = 32
"""Crops in one run of the network; more are split, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows to come; fulfils ``interfaces.PendingRows``."""

    collect: Callable[[], NDArray[np.float32]]


class ModelEmbedder:
    """Maps crops to the unit sphere with one network; fulfils ``interfaces.Embedder``."""

    def __init__(self, spec: ModelSpec, backend: Backend, *, precision: str = "fp32") -> None:
        """Args: ``precision`` of the backend's graph; ``self.backend`` tells one that is not float32."""
        assert spec.crop is not None, f"{spec.name} is no embedder"
        self.name = spec.name
        self.fingerprint = spec.fingerprint
        self.backend = backend.name if precision == "fp32" else f"{backend.name} {precision}"
        self.size = spec.size
        self.crop_size = spec.crop.size
        self.by_landmarks = spec.crop.kind == "warp"
        self.asynchronous = isinstance(backend, AsyncBackend)
        self._crop_spec = spec.crop
        self._centre = spec.centre
        self._head = spec.head
        self._layer = spec.layer
        self._given = spec.embedding_size
        self._engine = backend

    def crop(self, image: Image, detection: Detection) -> Image:
        """The (crop_size, crop_size, 3) uint8 BGR picture this model was measured best with."""
        if self.by_landmarks:
            return align.warp_landmarks(image, detection.landmarks, self.crop_size)
        tilt = align.roll(detection.landmarks)
        return align.crop_box(image, detection.box, self.crop_size, self._crop_spec.margin, angle=tilt)

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        """(N, crop_size, crop_size, 3) uint8 BGR to (N, size) float32 unit rows; N may be 0.

        With ``mirror`` each row is the middle between the crop's and its mirror image's: steadier, at twice the cost.
        """
        rows = self._run(self._feeds(crops))
        if mirror:
            rows = unit_rows(rows + self._run(self._feeds(np.ascontiguousarray(crops[:, :, ::-1]))))
        return self._finished(rows)

    def launch(self, crops: NDArray[np.uint8]) -> Pending:
        """Begins what ``embed`` does, without a mirror: on an ``AsyncBackend``, which then computes by itself.

        Of more than ``LARGEST_BATCH`` crops the first so many are begun, the others come when these are collected.
        """
        return self._begin(self._feeds(crops))

    def _feeds(self, crops: NDArray[np.uint8]) -> list[Feed]:
        """What the network takes for these crops, run by run."""
        return [{"faces": crops[start : start + LARGEST_BATCH]} for start in range(0, len(crops), LARGEST_BATCH)]

    def _begin(self, feeds: Sequence[Feed]) -> Pending:
        """The first run is begun where it can be, the others follow when it is collected."""
        if not isinstance(self._engine, AsyncBackend) or not feeds:
            rows = self._finished(self._run(feeds))
            return Pending(lambda: rows)
        first = self._engine.launch(feeds[0])

        def collect() -> NDArray[np.float32]:
            return self._finished(np.concatenate([first.collect()["embeddings"], self._run(feeds[1:])]))

        return Pending(collect)

    def _run(self, feeds: Sequence[Feed]) -> NDArray[np.float32]:
        parts = [self._engine.run(feed)["embeddings"] for feed in feeds]
        return np.concatenate(parts) if parts else np.empty((0, self._given), np.float32)

    def _finished(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network gave, centred or through the head, and through the last layer."""
        if self._head is not None:
            rows = self._head(rows)
        elif self._centre is not None:
            rows = unit_rows(rows - self._centre)
        return rows if self._layer is None else self._layer(rows)

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()
