"""What goes into the network: a second look at the face first, where that pays."""

from __future__ import annotations

from rtface.embedding.align import UPRIGHT_DEG, roll
from rtface.interfaces import Detector, Embedder
from rtface.types import Detection, Image


def best_detection(detector: Detector, embedder: Embedder, image: Image, detection: Detection) -> Detection:
    """The detection that a face is to be cut out by: a closer look at it, or the very same one.

    Args:
        detector: that found the face.
        embedder: that wants the crop.
        image: (H, W, 3) uint8 BGR.
        detection: of the face.
    """
    if embedder.by_landmarks or abs(roll(detection.landmarks)) > UPRIGHT_DEG:
        return detector.refine(image, detection)
    return detection


def best_crop(
    detector: Detector, embedder: Embedder, image: Image, detection: Detection, plain: Image | None = None
) -> Image:
    """The (S, S, 3) crop of a face that is to be embedded.

    Args:
        detector, embedder, image, detection: as for ``best_detection``.
        plain: ``embedder.crop(image, detection)`` where it has been made already.
    """
    best = best_detection(detector, embedder, image, detection)
    return plain if best is detection and plain is not None else embedder.crop(image, best)
