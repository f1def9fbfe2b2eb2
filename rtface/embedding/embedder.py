"""A network from models.toml as an ``Embedder``: its own crop, its graph on any backend, its centring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtface.embedding import align
from rtface.interfaces import AsyncBackend, Backend
from rtface.types import Detection, Image

if TYPE_CHECKING:
    from rtface.models.catalogue import ModelSpec

LARGEST_BATCH = 32
"""Crops in one run of the network; more are split, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class _Pending:
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
        self.size = spec.embedding_size
        self.crop_size = spec.crop.size
        self.by_landmarks = spec.crop.kind == "warp"
        self.asynchronous = isinstance(backend, AsyncBackend)
        self._crop_spec = spec.crop
        self._centre = spec.centre
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
        rows = self._run(crops)
        if mirror:
            rows = unit_rows(rows + self._run(np.ascontiguousarray(crops[:, :, ::-1])))
        return self._centred(rows)

    def launch(self, crops: NDArray[np.uint8]) -> _Pending:
        """Begins what ``embed`` does, without a mirror: on an ``AsyncBackend``, which then computes by itself.

        Of more than ``LARGEST_BATCH`` crops the first so many are begun, the others come when these are collected.
        """
        if not isinstance(self._engine, AsyncBackend) or not len(crops):
            rows = self.embed(crops)
            return _Pending(lambda: rows)
        first = self._engine.launch(self._feed(crops[:LARGEST_BATCH]))

        def collect() -> NDArray[np.float32]:
            parts = [first.collect()["embeddings"], self._run(crops[LARGEST_BATCH:])]
            return self._centred(np.concatenate(parts))

        return _Pending(collect)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        starts = range(0, len(crops), LARGEST_BATCH)
        parts = [self._run_batch(crops[start : start + LARGEST_BATCH]) for start in starts]
        return np.concatenate(parts) if parts else np.empty((0, self.size), np.float32)

    def _run_batch(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._engine.run(self._feed(crops))["embeddings"]

    def _feed(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
        return {"faces": crops}

    def _centred(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return rows if self._centre is None else unit_rows(rows - self._centre)

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) rows scaled to norm 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
