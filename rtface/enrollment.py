"""Pictures to gallery: a quality gate, a reason for everything refused, and nothing reported before it is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.contact_sheet import jpeg
from rtface.embedding import quality as face_quality
from rtface.embedding.crops import best_crop
from rtface.errors import PictureError
from rtface.gallery.people import Origin
from rtface.gallery.store import PersonGallery, Provenance, person_name
from rtface.interfaces import Detector, Embedder, FrameSource
from rtface.pipeline.judge import Judge
from rtface.sources.images import read_picture
from rtface.types import Detection, Image

FRAME_GAP_S = 0.5
"""Frames taken from a camera lie at least this far apart, so that they differ."""
CAMERA_PATIENCE_S = 60.0
"""How long a camera is watched for good frames."""
NEAREST = 20
"""Rows looked at for one that is no counter-example."""
CLEARLY_LARGEST = 2.0
"""A face among several is meant when its box has this many times the area of the next one's."""


@dataclass(frozen=True, slots=True)
class EnrollRules:
    """What a picture has to be good for; the settings ``enroll_*`` and ``keep_crops``."""

    min_face_px: int
    min_quality: float
    keep_crops: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """What pictures are enrolled as.

    Attributes:
        against: counter-examples: these faces are not this person.
        look_alike: a face that is as near to somebody else's is right: twins, or two names for one person.
        origin: where pictures come from.
    """

    against: bool = False
    look_alike: bool = False
    origin: Origin = "picture"


PLAIN = Intent()


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

    def enroll(self, name: str, pictures: Iterable[Path], intent: Intent = PLAIN) -> Iterator[PictureOutcome]:
        """Enrols a person from files; yields each picture's outcome once it is durable.

        Raises:
            BadName: nobody can be called that.
            UnknownPerson: counter-examples for nobody.
            GalleryUnavailable: the gallery cannot be written; everything reported so far is safe.
        """
        name = self._called(name, intent)
        for picture in pictures:
            try:
                image = read_picture(picture)
            except PictureError as error:
                yield PictureOutcome(str(picture), False, str(error), None)
                continue
            yield self.enroll_image(name, image, str(picture), intent)

    def enroll_image(self, name: str, image: Image, label: str, intent: Intent = PLAIN) -> PictureOutcome:
        """Enrols one (H, W, 3) uint8 BGR picture; ``label`` is kept as where it came from.

        Raises:
            BadName: nobody can be called that.
            UnknownPerson: a counter-example for nobody.
        """
        name = self._called(name, intent)
        digest = picture_sha256(image)
        known = self._known(name, digest, label, intent)
        if known is not None:
            return known
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
        other = None if intent.against or intent.look_alike else self._somebody_else(name, embedding)
        if other is not None:
            return PictureOutcome(label, False, other, quality.score)
        left, top, right, bottom = (round(float(side), 1) for side in detection.box)
        self._gallery.add(
            name,
            embedding,
            sha256=digest,
            file=label,
            quality=quality.score,
            against=intent.against,
            provenance=Provenance(
                intent.origin, self._detector.name, self._embedder.backend, (left, top, right, bottom)
            ),
            crop=jpeg(crop) if self._rules.keep_crops else None,
        )
        return PictureOutcome(label, True, "counter-example" if intent.against else "enrolled", quality.score)

    def _called(self, name: str, intent: Intent) -> str:
        name = person_name(name)
        if intent.against:
            self._gallery.person(name)
        return name

    def _known(self, name: str, digest: str, label: str, intent: Intent) -> PictureOutcome | None:
        """Refuses a picture that is somebody's already; one may be anybody's counter-example but its owner's."""
        if self._gallery.has_counter_example(name, digest):
            reason = f"this picture is already enrolled as not {name}"
            return PictureOutcome(label, False, reason, None, intent.against)
        owner = self._gallery.has_picture(digest)
        if owner is None or (intent.against and owner != name):
            return None
        already = owner == name and not intent.against
        return PictureOutcome(label, False, f"this picture is already enrolled for {owner}", None, already)

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
        near = [near for near in self._gallery.search(embedding[None], NEAREST)[0] if not near.against]
        if near and near[0].person != name and near[0].distance <= self._judge.limit:
            return f"looks like {near[0].person}, who is already enrolled (distance {near[0].distance:.2f})"
        return None


def picture_sha256(image: Image) -> str:
    """What knows a (H, W, 3) uint8 picture again: the checksum of its shape and pixels."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def enroll_from_source(
    enroller: Enroller, name: str, source: FrameSource, count: int, intent: Intent = PLAIN
) -> Iterator[PictureOutcome]:
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
            label = f"{frame.source} at {frame.captured_at - first_at:.2f} s"
            outcome = enroller.enroll_image(name, frame.image, label, replace(intent, origin="camera"))
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
