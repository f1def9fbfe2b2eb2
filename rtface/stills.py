"""Faces of still pictures: found, embedded, named and compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.crops import best_crop
from rtface.embedding.quality import judge as judge_quality
from rtface.errors import PictureError
from rtface.gallery.voting import settle
from rtface.interfaces import Detector, Embedder
from rtface.models.spec import ProbabilityCurve
from rtface.pipeline.judge import Judge
from rtface.sources.images import read_picture
from rtface.types import Face, Identity, Image

Picture = str | Path | Image
"""A file, or (H, W, 3) uint8 BGR."""


@dataclass(frozen=True, slots=True, eq=False)
class IdentifiedFace:
    """A face of a still and who it is."""

    face: Face
    identity: Identity


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether two pictures, folders or videos show the same person.

    Attributes:
        same: whether ``distance`` is at most ``threshold``.
        distance: squared L2, 0..4; of folders and videos the mean over all pairs of their faces.
        threshold: of the model or the settings.
        probability: that they are the same person, 0..1, if that is as likely as not beforehand; None where the model
            has not been measured.
    """

    same: bool
    distance: float
    threshold: float
    probability: float | None = None


def find_faces(detector: Detector, embedder: Embedder, picture: Picture) -> list[Face]:
    """All faces of a picture, best detection first, embedded in one batch.

    Raises:
        PictureError: it cannot be read.
    """
    image = picture if isinstance(picture, np.ndarray) else read_picture(Path(picture))
    detections = detector.detect(image)
    if not detections:
        return []
    crops = np.stack([best_crop(detector, embedder, image, detection) for detection in detections])
    return [
        Face(detection, crop, embedding, judge_quality(detection, crop).score)
        for detection, crop, embedding in zip(detections, crops, embedder.embed(crops, mirror=True), strict=True)
    ]


def name_faces(faces: list[Face], judge: Judge) -> list[IdentifiedFace]:
    """Who they are, all of one picture; one person is in it once."""
    votes = judge.vote(np.stack([face.embedding for face in faces])) if faces else []
    settled = settle(dict(enumerate(votes)))
    return [IdentifiedFace(face, settled[place]) for place, face in enumerate(faces)]


def largest_face(detector: Detector, embedder: Embedder, picture: Picture) -> Face:
    """The face with the widest box.

    Raises:
        PictureError: the picture cannot be read or shows no face.
    """
    faces = find_faces(detector, embedder, picture)
    if not faces:
        where = "the picture" if isinstance(picture, np.ndarray) else picture
        raise PictureError(f"No face was found in {where}. Use a picture in which the face is larger or frontal.")
    return max(faces, key=lambda face: float(face.detection.box[2] - face.detection.box[0]))


def compare(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    threshold: float,
    curve: ProbabilityCurve | None = None,
) -> Verification:
    """Whether two faces, or two sets of faces, are one person's.

    Args:
        first, second: (D,) an embedding, or the mean of several: their product is the mean over all pairs.
        threshold: squared L2, 0..4.
        curve: from distances to probabilities.
    """
    distance = float(np.clip(2 - 2 * float(first.astype(np.float64) @ second.astype(np.float64)), 0, 4))
    return Verification(distance <= threshold, distance, threshold, curve(distance) if curve else None)
