"""Pictures to embeddings for an evaluation: one face a picture, found, cut out, embedded in batches, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface import __version__
from rtface.embedding.crops import best_crop
from rtface.errors import EvaluationError, PictureError
from rtface.evaluation.distances import Report
from rtface.evaluation.template_cache import TemplateCache, digest_of, key_of
from rtface.interfaces import Detector, Embedder
from rtface.types import Detection, Image

Vectors = Mapping[Path, NDArray[np.float32] | None]
ReadPicture = Callable[[Path], Image]
BATCH = 16
LISTED = 10
"""Names of missing pictures that fit an error message."""


class Subject(StrEnum):
    """Whose face counts where a picture shows several: the one nearest the middle, or the one with the widest box."""

    CENTRAL = "central"
    LARGEST = "largest"


def subject_of(faces: Sequence[Detection], image: Image, subject: Subject) -> Detection | None:
    """The face that counts; None where nobody is found."""
    if subject is Subject.LARGEST:
        return max(faces, key=lambda face: float(face.box[2] - face.box[0]), default=None)
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    return min(faces, key=lambda face: float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle)), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class FaceReader:
    """Makes a picture the unit vector of its subject.

    Attributes:
        detector, embedder, read_picture: what it stands on.
        subject: whose face counts.
        recipe: whatever else decides the numbers, such as the detector's settings; part of a cached template's key.
        cache: of embeddings; None for none.
        mirror: each row is the middle between the crop's and its mirror image's, as stills are embedded everywhere.
    """

    detector: Detector
    embedder: Embedder
    read_picture: ReadPicture
    subject: Subject = Subject.CENTRAL
    recipe: tuple[str, ...] = ()
    cache: TemplateCache | None = None
    mirror: bool = True

    def embed(self, paths: Sequence[Path], report: Report) -> dict[Path, NDArray[np.float32] | None]:
        """The unit vector of each picture's subject.

        None where no face is found or the picture cannot be read: both are failures to acquire.
        """
        vectors: dict[Path, NDArray[np.float32] | None] = dict.fromkeys(paths)
        waiting: list[tuple[Path, bytes | None, Image]] = []
        for done, path in enumerate(paths, 1):
            key = self.key(path)
            known = self.cache.get(key) if self.cache and key else None
            if known is not None:
                vectors[path] = known.vector
            elif (crop := self.crop(path)) is not None:
                waiting.append((path, key, crop))
            elif self.cache and key:
                self.cache.put(key, None)
            if waiting and (len(waiting) == BATCH or done == len(paths)):
                rows = self.embedder.embed(np.stack([crop for *_, crop in waiting]), mirror=self.mirror)
                for (embedded, under, _), row in zip(waiting, rows, strict=True):
                    vectors[embedded] = row
                    if self.cache and under:
                        self.cache.put(under, row)
                waiting.clear()
            report("pictures", done, len(paths))
        return vectors

    def crop(self, path: Path) -> Image | None:
        """What the network sees of a picture; None where no face is found or it cannot be read."""
        try:
            image = self.read_picture(path)
        except PictureError:
            return None
        face = subject_of(self.detector.detect(image), image, self.subject)
        return None if face is None else best_crop(self.detector, self.embedder, image, face)

    def key(self, path: Path, *more: str) -> bytes | None:
        """What a picture's template is kept under; None without a cache, or where the file cannot be read."""
        content = digest_of(path) if self.cache else None
        return None if content is None else key_of(content, (*self.settings(), *more))

    def settings(self) -> tuple[str, ...]:
        """All that decides a vector's numbers but the picture."""
        embedder = self.embedder
        crop = (str(self.subject), "mirror" if self.mirror else "plain")
        return (__version__, embedder.name, embedder.fingerprint, embedder.backend, *self.recipe, *crop)


def embed_pictures(
    paths: Sequence[Path], detector: Detector, embedder: Embedder, *, read_picture: ReadPicture, report: Report
) -> dict[Path, NDArray[np.float32] | None]:
    """The unit vector of the face nearest the middle of each picture, as LFW centres the person it names.

    None where no face is found or the picture cannot be read: both are failures to acquire.
    """
    return FaceReader(detector, embedder, read_picture).embed(paths, report)


def matrix(paths: Sequence[Path], vectors: Vectors) -> NDArray[np.float32]:
    """(N, D) float32 in the order of the paths; rows of NaN where there is no vector.

    Raises:
        EvaluationError: not one of them has one.
    """
    size = next((len(vector) for path in paths if (vector := vectors[path]) is not None), 0)
    if not size:
        raise EvaluationError(
            f"In none of the {len(paths)} pictures was a face found: there is nothing to measure. "
            "Use pictures in which the face is larger or frontal."
        )
    rows = np.full((len(paths), size), np.nan, np.float32)
    for row, path in zip(rows, paths, strict=True):
        vector = vectors[path]
        if vector is not None:
            row[:] = vector
    return rows


def require(paths: Sequence[Path], folder: Path | None, *, form: str) -> None:
    """Checks that files are there.

    Args:
        paths: that have to be there.
        folder: that they are told relative to.
        form: a sentence about what belongs there.

    Raises:
        EvaluationError: counts the missing ones and names the first.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        told = [str(path.relative_to(folder) if folder and path.is_relative_to(folder) else path) for path in missing]
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        where = f" in {folder}" if folder else ""
        raise EvaluationError(
            f"{len(missing)} of {len(paths)} pictures are missing{where}: {', '.join(told[:LISTED])}{more}. {form}"
        )
