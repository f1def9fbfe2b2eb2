"""The crop that goes into the network: a second look at the face first, where that pays."""

from __future__ import annotations

from rtface.embedding.align import UPRIGHT_DEG, roll
from rtface.interfaces import Detector, Embedder
from rtface.types import Detection, Image


def best_crop(
    detector: Detector, embedder: Embedder, image: Image, detection: Detection, plain: Image | None = None
) -> Image:
    """The (S, S, 3) crop of a face that is to be embedded.

    Args:
        detector: that found the face.
        embedder: that wants the crop.
        image: (H, W, 3) uint8 BGR.
        detection: of the face.
        plain: ``embedder.crop(image, detection)`` where it has been made already.
    """
    if embedder.by_landmarks or abs(roll(detection.landmarks)) > UPRIGHT_DEG:
        return embedder.crop(image, detector.refine(image, detection))
    return embedder.crop(image, detection) if plain is None else plain
