"""Pictures to gallery: a quality gate, a reason for everything refused, and nothing reported before it is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding import quality as face_quality
from rtface.embedding.crops import best_crop
from rtface.errors import PictureError
from rtface.gallery.store import PersonGallery, person_name
from rtface.interfaces import Detector, Embedder, FrameSource
from rtface.pipeline.judge import Judge
from rtface.sources.images import read_picture
from rtface.types import Detection, Image

FRAME_GAP_S = 0.5
"""Frames taken from a camera lie at least this far apart, so that they differ."""
CAMERA_PATIENCE_S = 60.0
"""How long a camera is watched for good frames."""
CLEARLY_LARGEST = 2.0
"""A face among several is meant when its box has this many times the area of the next one's."""


@dataclass(frozen=True, slots=True)
class EnrollRules:
    """What a picture has to be good for; the settings ``enroll_*``."""

    min_face_px: int
    min_quality: float


@dataclass(frozen=True, slots=True)
class PictureOutcome:
    """What became of one picture: why it was refused, or "enrolled"; ``quality`` 0..1, None if no face was judged.

    ``already`` tells a picture refused only because this very person has it.
    """

    picture: str
    accepted: bool
    reason: str
    quality: float | None
    already: bool = False


class Enroller:
    """Adds people to a gallery picture by picture."""

    def __init__(
        self, detector: Detector, embedder: Embedder, gallery: PersonGallery, judge: Judge, rules: EnrollRules
    ) -> None:
        self._detector = detector
        self._embedder = embedder
        self._gallery = gallery
        self._judge = judge
        self._rules = rules

    def enroll(self, name: str, pictures: Iterable[Path]) -> Iterator[PictureOutcome]:
        """Enrols a person from files; yields each picture's outcome once it is durable.

        Raises:
            BadName: nobody can be called that.
            GalleryUnavailable: the gallery cannot be written; everything reported so far is safe.
        """
        name = person_name(name)
        for picture in pictures:
            try:
                image = read_picture(picture)
            except PictureError as error:
                yield PictureOutcome(str(picture), False, str(error), None)
                continue
            yield self.enroll_image(name, image, str(picture))

    def enroll_image(self, name: str, image: Image, label: str) -> PictureOutcome:
        """Enrols one (H, W, 3) uint8 BGR picture; ``label`` is kept as where it came from.

        Raises:
            BadName: nobody can be called that.
        """
        name = person_name(name)
        digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
        owner = self._gallery.has_picture(digest)
        if owner is not None:
            return PictureOutcome(label, False, f"this picture is already enrolled for {owner}", None, owner == name)
        detections = self._detector.detect(image)
        detection = self._meant(detections)
        if detection is None:
            many = f"{len(detections)} faces, none of them clearly the largest"
            return PictureOutcome(label, False, many if detections else "no face", None)
        crop = self._embedder.crop(image, detection)
        quality = face_quality.judge(detection, crop)
        poor = self._too_poor(quality)
        if poor is not None:
            return PictureOutcome(label, False, poor, quality.score)
        crop = best_crop(self._detector, self._embedder, image, detection, crop)
        embedding = self._embedder.embed(crop[None], mirror=True)[0]
        other = self._somebody_else(name, embedding)
        if other is not None:
            return PictureOutcome(label, False, other, quality.score)
        self._gallery.add(name, embedding, sha256=digest, file=label, quality=quality.score)
        return PictureOutcome(label, True, "enrolled", quality.score)

    @staticmethod
    def _meant(detections: list[Detection]) -> Detection | None:
        """The only face, or the one clearly larger than all others."""

        def area(detection: Detection) -> float:
            left, top, right, bottom = detection.box
            return float((right - left) * (bottom - top))

        by_size = sorted(detections, key=area, reverse=True)
        if len(by_size) > 1 and area(by_size[0]) < CLEARLY_LARGEST * area(by_size[1]):
            return None
        return by_size[0] if by_size else None

    def _too_poor(self, quality: face_quality.Quality) -> str | None:
        if quality.width_px < self._rules.min_face_px:
            return f"face too small: {quality.width_px:.0f} px wide, at least {self._rules.min_face_px} are needed"
        if quality.sharpness < face_quality.LEAST_SHARPNESS:
            return "too blurred"
        if quality.contrast < face_quality.LEAST_CONTRAST:
            return "too dark or too pale"
        if quality.yaw > face_quality.MOST_YAW:
            return "face turned too far to the side"
        if quality.score < self._rules.min_quality:
            return f"quality {quality.score:.2f}, at least {self._rules.min_quality:.2f} is needed"
        return None

    def _somebody_else(self, name: str, embedding: NDArray[np.float32]) -> str | None:
        """Refuses a face whose nearest row inside the limit has another name: one of the two names is wrong."""
        nearest = self._gallery.search(embedding[None], 1)[0]
        if nearest and nearest[0].person != name and nearest[0].distance <= self._judge.limit:
            return f"looks like {nearest[0].person}, who is already enrolled (distance {nearest[0].distance:.2f})"
        return None


def enroll_from_source(enroller: Enroller, name: str, source: FrameSource, count: int) -> Iterator[PictureOutcome]:
    """Takes up to ``count`` good frames of a camera or video; closes it.

    Refused frames are many and not told one by one; when none was good the last refusal is.

    Raises:
        SourceLost: the source broke off.
    """
    accepted, refusal = 0, None
    first_at, taken_at = None, -np.inf
    try:
        for frame in source.frames():
            first_at = frame.captured_at if first_at is None else first_at
            if frame.captured_at - first_at > CAMERA_PATIENCE_S:
                break
            if frame.captured_at - taken_at < FRAME_GAP_S:
                continue
            outcome = enroller.enroll_image(
                name, frame.image, f"{frame.source} at {frame.captured_at - first_at:.2f} s"
            )
            if not outcome.accepted:
                refusal = outcome
                continue
            taken_at = frame.captured_at
            yield outcome
            accepted += 1
            if accepted == count:
                break
    finally:
        source.close()
    if not accepted:
        yield refusal or PictureOutcome(source.name, False, "no frame came", None)
