"""An embedder whose graph cuts out the faces itself: frames and detections in, embeddings out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.embedder import LARGEST_BATCH, Feed, ModelEmbedder, Pending
from rtface.embedding.placement import placement, tile
from rtface.types import Detection, Image


class InFrameEmbedder(ModelEmbedder):
    """Maps faces to the unit sphere from where they lie in their frames; fulfils ``interfaces.FrameEmbedder``.

    Its backend runs a graph of ``models.cropping.with_crops``. Crops that have been cut out already are laid side by
    side and given to it as a frame, so that one engine serves both.
    """

    def launch_in(self, faces: Sequence[tuple[Image, Detection]]) -> Pending:
        """Begins what ``embed`` does, for N faces each with the (H, W, 3) uint8 BGR frame it is in; N may be 0.

        Rows come in the order of the faces. Those of one frame share a run, up to ``LARGEST_BATCH`` of them; the first
        run is begun where the backend computes by itself, the others come when it is collected.
        """
        places: dict[int, list[int]] = {}
        for place, (image, _) in enumerate(faces):
            places.setdefault(id(image), []).append(place)
        feeds = [feed for group in places.values() for feed in self._frame_feeds([faces[place] for place in group])]
        begun = self._begin(feeds)
        order = np.argsort([place for group in places.values() for place in group])
        return Pending(lambda: begun.collect()[order])

    def _frame_feeds(self, faces: Sequence[tuple[Image, Detection]]) -> list[Feed]:
        """Of faces in one frame."""
        frame = faces[0][0][None]
        matrices = np.stack([placement(detection, self._crop_spec) for _, detection in faces])
        starts = range(0, len(matrices), LARGEST_BATCH)
        return [{"frame": frame, "matrices": matrices[start : start + LARGEST_BATCH]} for start in starts]

    def _feeds(self, crops: NDArray[np.uint8]) -> list[Feed]:
        return [_sheet(feed["faces"]) for feed in super()._feeds(crops)]


def _sheet(crops: NDArray[np.generic]) -> Feed:
    """(N, S, S, 3) crops as one frame, as nearly square as they allow, and where each lies."""
    count, size = crops.shape[:2]
    across = math.isqrt(count - 1) + 1
    down = -(-count // across)
    tiles = np.zeros((down * across, size, size, 3), np.uint8)
    tiles[:count] = crops
    frame = (
        tiles.reshape(down, across, size, size, 3).transpose(0, 2, 1, 3, 4).reshape(1, down * size, across * size, 3)
    )
    places = [divmod(number, across) for number in range(count)]
    return {"frame": frame, "matrices": np.stack([tile(column, row, size) for row, column in places])}
