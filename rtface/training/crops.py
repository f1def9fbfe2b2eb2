"""Pictures of people to crops of their faces, cut once and kept: what training reads again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from rtface.embedding import align
from rtface.errors import PictureError, TrainingError
from rtface.interfaces import Detector
from rtface.models.files import beside
from rtface.models.spec import CropKind, CropSpec
from rtface.sources.images import read_picture
from rtface.training.people import People
from rtface.types import Detection, Image

JPEG_QUALITY = 95
FACELESS = "without_face.txt"
"""Pictures in which no face was found, so that they are not looked at again."""
AS_WIDE = 0.5
"""Of several faces the one nearest the middle is taken, of those at least so wide beside the widest."""

Report = Callable[[str, int, int], None]


def cut_crops(people: People, cache: Path, crop: CropSpec, detector: Detector, *, report: Report | None = None) -> Path:
    """The folder of crops of these pictures, a folder a person as there; what is there already is not cut again.

    Args:
        people: of whole pictures.
        cache: under which the crops are kept, apart by the way they are cut.
        crop: how.
        detector: finds the faces.
        report: is told how it goes.

    Raises:
        TrainingError: crops cannot be written.
    """
    place = cache / f"{crop.kind}-{crop.size}-{crop.margin:g}-{detector.name}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        faceless = set(_lines(place / FACELESS))
        for number, (picture, owner) in enumerate(zip(people.pictures, people.owners, strict=True), 1):
            name = f"{people.names[int(owner)]}/{picture.name}"
            target = place / f"{name}.jpg"
            if not target.is_file() and name not in faceless and not _cut(picture, target, crop, detector):
                with (place / FACELESS).open("a", encoding="utf-8") as stream:
                    stream.write(f"{name}\n")
            if report is not None:
                report("Cutting out faces", number, len(people.pictures))
    except OSError as error:
        raise TrainingError(f"Crops cannot be kept in {cache}: {error.strerror}. Name another with --cache.") from error
    return place


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _cut(picture: Path, target: Path, crop: CropSpec, detector: Detector) -> bool:
    """Whether there was a face to cut out."""
    try:
        image = read_picture(picture)
    except PictureError:
        return False
    detection = subject(detector.detect(image), image)
    if detection is None:
        return False
    target.parent.mkdir(exist_ok=True)
    done, encoded = cv2.imencode(".jpg", cut(image, detection, crop), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    with beside(target) as partial:
        partial.write_bytes(encoded.tobytes())
    return True


def cut(image: Image, detection: Detection, crop: CropSpec) -> Image:
    """The crop as the embedder will be given it, see ``rtface.embedding.embedder``."""
    if crop.kind is CropKind.WARP:
        return align.warp_landmarks(image, detection.landmarks, crop.size)
    tilt = align.roll(detection.landmarks)
    return align.crop_box(image, detection.box, crop.size, crop.margin, angle=tilt)


def subject(detections: Sequence[Detection], image: Image) -> Detection | None:
    """Whom a picture is of: among the wide faces the one nearest its middle; None without faces."""
    if not detections:
        return None
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    widths = [float(found.box[2] - found.box[0]) for found in detections]
    wide = [found for found, width in zip(detections, widths, strict=True) if width >= AS_WIDE * max(widths)]
    return min(wide, key=lambda found: float(np.sum(((found.box[:2] + found.box[2:]) / 2 - middle) ** 2)))
