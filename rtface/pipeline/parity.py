"""Whether an engine computes what its network should: the same faces through both, before it may decide anything.

The faces are those of the demonstration's photo and of darker, smaller, mirrored copies of it. What they should give
is computed once on ONNX Runtime in float32, in a process of its own where a video is running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.crops import best_crop
from rtface.engine_files import read_manifest
from rtface.errors import BackendError
from rtface.geometry import iou
from rtface.interfaces import Detector, Embedder
from rtface.models.files import beside
from rtface.models.spec import Precision
from rtface.types import Image

LEAST_COSINE = {Precision.FP32: 0.9999, Precision.FP16: 0.999, Precision.INT8_SIGNED: 0.995}
"""What every face's embedding must reach against float32."""
SAME_BOX = 0.9
"""Intersection over union of two boxes that are one finding."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the networks give in float32.

    Attributes:
        crops: (N, S, S, 3) uint8 BGR faces as the embedder wants them.
        embeddings: (N, D) unit rows.
        boxes: (M, 5) picture's number, left, top, right, bottom of every face found.
    """

    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    boxes: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Writes it as .npz."""
        with path.open("wb") as stream:
            np.savez(stream, crops=self.crops, embeddings=self.embeddings, boxes=self.boxes)

    @classmethod
    def load(cls, path: Path) -> Reference:
        """What ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["crops"], arrays["embeddings"], arrays["boxes"])


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an engine is from the reference.

    Attributes:
        faces: embedded.
        worst_cosine: of a face's two embeddings, -1..1.
        asked_cosine: what it had to be at least.
        other_verdicts: pairs of faces that one takes for the same person and the other does not.
        found, missed: faces of the pictures that the detector finds in the same place, and those it does not.
    """

    faces: int
    worst_cosine: float
    asked_cosine: float
    other_verdicts: int
    found: int
    missed: int

    @property
    def ok(self) -> bool:
        """Whether the engine may take over."""
        return self.worst_cosine >= self.asked_cosine and not self.other_verdicts and not self.missed

    def __str__(self) -> str:
        return (
            f"worst cosine {self.worst_cosine:.5f} of {self.faces} faces (at least {self.asked_cosine} is asked), "
            f"{self.other_verdicts} other verdicts, {self.found} of {self.found + self.missed} faces found in the same "
            "place"
        )


def pictures() -> Iterator[Image]:
    """The (H, W, 3) uint8 BGR pictures compared on: the photo, mirrored, darker, and of half the size."""
    from rtface.sources.demo import portrait

    photo = portrait()
    yield photo
    yield np.ascontiguousarray(photo[:, ::-1])
    yield np.asarray(photo * 0.5, np.uint8)
    quarters = photo[: len(photo) // 2 * 2, : photo.shape[1] // 2 * 2].reshape(len(photo) // 2, 2, -1, 2, 3)
    yield quarters.mean(axis=(1, 3)).astype(np.uint8)


def refer(detector: Detector, embedder: Embedder) -> Reference:
    """What these two, of float32 on ONNX Runtime, make of the pictures.

    Raises:
        BackendError: no face is found, so there is nothing to compare.
    """
    crops, boxes = [], []
    for number, picture in enumerate(pictures()):
        for detection in detector.detect(picture):
            crops.append(best_crop(detector, embedder, picture, detection))
            boxes.append([number, *detection.box])
    if not crops:
        raise BackendError(f"{detector.name} finds no face in the photo that engines are compared on: lower min_score.")
    faces = np.stack(crops)
    return Reference(faces, embedder.embed(faces), np.array(boxes, np.float32))


def compare(
    reference: Reference, detector: Detector, embedder: Embedder, *, limit: float, precision: Precision
) -> Parity:
    """Runs the same pictures through other engines.

    Args:
        reference: from ``refer``.
        detector, embedder: on the engines in question.
        limit: squared L2 distance up to which two faces are one person.
        precision: of the embedder's engine.
    """
    rows = embedder.embed(reference.crops)
    cosines = (rows * reference.embeddings).sum(axis=1)
    verdicts = [(2 - 2 * part @ part.T) <= limit for part in (rows, reference.embeddings)]
    changed = int(np.triu(verdicts[0] != verdicts[1], 1).sum())
    found = sum(
        _again(reference.boxes[reference.boxes[:, 0] == number, 1:], detector, picture)
        for number, picture in enumerate(pictures())
    )
    return Parity(
        len(rows), float(cosines.min()), LEAST_COSINE[precision], changed, found, len(reference.boxes) - found
    )


def _again(boxes: NDArray[np.float32], detector: Detector, picture: Image) -> int:
    """How many of these boxes the detector finds."""
    there = [detection.box for detection in detector.detect(picture)]
    if not there:
        return 0
    return int((iou(boxes, np.stack(there)).max(axis=1) >= SAME_BOX).sum())


def record(engine: Path, parity: Parity) -> None:
    """Notes beside an engine that it agrees, so that it is not compared again at every start."""
    manifest = read_manifest(engine)
    assert manifest, f"{engine} has no manifest"
    with beside(_record_of(engine)) as partial:
        partial.write_text(json.dumps({"engine_sha256": manifest.sha256, **asdict(parity)}, indent=1) + "\n")


def proved(engine: Path) -> bool:
    """Whether this very engine is there at full length, has been compared and agrees."""
    manifest = read_manifest(engine)
    try:
        found = json.loads(_record_of(engine).read_text(encoding="utf-8"))["engine_sha256"]
        length = engine.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return manifest is not None and (found, length) == (manifest.sha256, manifest.bytes)


def _record_of(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.parity.json")


def demand(parity: Parity, what: str) -> None:
    """Passes an engine that agrees.

    Raises:
        BackendError: it does not; says by how much.
    """
    if not parity.ok:
        raise BackendError(
            f"{what} does not compute what its network should: {parity}. Build it again: rtface engine build --force; "
            "until then --set backend=onnxruntime serves."
        )
