"""How near the crops cut out inside the graph come to those cut out by OpenCV, and what each way takes.

    python tests/benchmarks/in_frame.py --shared ../shared [--embedder sface] [--precision fp32] [--pictures 200]
    python tests/benchmarks/in_frame.py --shared ../shared --times

YuNet's faces of LFW pictures, as they are, brought to other widths, with noise, tilted, and at the picture's edge.
Printed as JSON lines: a condition's least and mean cosine between the two ways' embeddings, and the mean absolute
difference between their crops' pixels, of all and of the worst. With ``--times`` what one face and eight take, 120 px
wide in 1920x1080, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.embedding.embedder import ModelEmbedder
from rtface.embedding.in_frame import InFrameEmbedder
from rtface.interfaces import Backend
from rtface.models.cropping import with_crops
from rtface.models.spec import CropSpec, Precision
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.types import Detection, Image
from tests.models.cutter import cut, cutter

Shown = tuple[Image, Detection]
WIDTHS = (24, 48, 96, 131, 160, 250, 450, 700, 900)
NOISE = 8.0
"""Standard deviation, of 255: enlarged LFW pictures are smoother than a camera's."""
REPEATS = 20


def moved(shown: Shown, matrix: NDArray[np.float64], size: tuple[int, int]) -> Shown:
    """The face after a similarity transform of its picture; the box keeps upright and is scaled about its middle."""
    image, face = shown
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    there = matrix
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        there = matrix @ np.diag([1 / scale, 1 / scale, 1])
    picture = cv2.warpAffine(image, there, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    middle = matrix[:, :2] @ ((face.box[:2] + face.box[2:]) / 2) + matrix[:, 2]
    half = (face.box[2:] - face.box[:2]) * scale / 2
    box = np.concatenate([middle - half, middle + half]).astype(np.float32)
    landmarks = (face.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return np.asarray(picture, np.uint8), Detection(box, landmarks, face.score)


def widened(width: float, shown: Shown) -> Shown:
    """The face and its surroundings, its box of this width, px."""
    left, top, right, bottom = (float(side) for side in shown[1].box)
    scale, wide, high = width / (right - left), right - left, bottom - top
    # Nothing lies on whole pixels by chance.
    matrix = np.array([[scale, 0, 0.3 + (wide / 2 - left) * scale], [0, scale, 0.6 + (high * 0.3 - top) * scale]])
    return moved(shown, matrix, (round(2 * width), round(1.6 * high * scale)))


def noisy(shown: Shown) -> Shown:
    """The same picture from a worse camera."""
    noise = np.random.default_rng(0).normal(0, NOISE, shown[0].shape)
    return np.clip(shown[0] + noise, 0, 255).astype(np.uint8), shown[1]


def tilted(degrees: float, shown: Shown) -> Shown:
    """The picture turned about the face's middle."""
    x, y = (float(side) for side in (shown[1].box[:2] + shown[1].box[2:]) / 2)
    height, width = shown[0].shape[:2]
    return moved(shown, np.asarray(cv2.getRotationMatrix2D((x, y), degrees, 1.0), np.float64), (width, height))


def cut_off(left: float, top: float, shown: Shown) -> Shown:
    """The picture without what lies left of, and above, this share of the box."""
    image, face = shown
    corner = np.maximum(face.box[:2] + np.array([left, top]) * (face.box[2:] - face.box[:2]), 0).astype(int)
    shift = corner.astype(np.float32)
    there = Detection(face.box - np.tile(shift, 2), face.landmarks - shift, face.score)
    return np.ascontiguousarray(image[corner[1] :, corner[0] :]), there


def conditions() -> Iterator[tuple[str, Sequence[Callable[[Shown], Shown]]]]:
    """What is done to the pictures, step by step."""
    yield "as they are", []
    for width in WIDTHS:
        yield f"{width} px", [partial(widened, width)]
    for width in (250, 900):
        yield f"{width} px, noise", [partial(widened, width), noisy]
    for angle in (15, 30, 45):
        yield f"{angle} degrees", [partial(tilted, angle)]
    for width in (32, 600):
        yield f"{width} px, 25 degrees", [partial(widened, width), partial(tilted, -25)]
    yield "a third cut off left", [partial(cut_off, 0.33, -1)]
    yield "a third cut off left and above, 20 degrees", [partial(tilted, 20), partial(cut_off, 0.33, 0.33)]


@dataclass(frozen=True, slots=True)
class Ways:
    """The same network on crops by OpenCV and on frames, and the crops alone that the graph cuts out."""

    plain: ModelEmbedder
    inside: InFrameEmbedder
    cutter: Backend
    crop: CropSpec

    def compared(self, given: Sequence[Shown]) -> dict[str, object]:
        """Cosines and pixel differences over these pictures."""
        crops = np.stack([self.plain.crop(*shown) for shown in given])
        cosines = (self.plain.embed(crops) * self.inside.launch_in(given).collect()).sum(axis=1)
        apart = [
            np.abs(cut(self.cutter, image, [face], self.crop)[0] - crop).mean()
            for (image, face), crop in zip(given, crops, strict=True)
        ]
        return {
            "least_cosine": round(float(cosines.min()), 5),
            "mean_cosine": round(float(cosines.mean()), 5),
            "pixels": round(float(np.mean(apart)), 3),
            "worst_pixels": round(float(np.max(apart)), 3),
        }

    def times(self, given: Sequence[Shown]) -> Iterator[dict[str, object]]:
        """Faces side by side in one frame, cut out and embedded both ways."""
        frame = np.zeros((1080, 1920, 3), np.uint8)
        faces = []
        for place, shown in enumerate(given[:8]):
            image, face = widened(120, shown)
            corner = np.array([place % 4 * 400, place // 4 * 400], np.float32)
            x, y = corner.astype(int)
            frame[y : y + image.shape[0], x : x + image.shape[1]] = image
            faces.append(Detection(face.box + np.tile(corner, 2), face.landmarks + corner, face.score))
        for some in (faces[:1], faces):
            yield {
                "faces": len(some),
                "crops_by_opencv": timed(self._crops, frame, some),
                "and_embedded": timed(self._embed, frame, some),
                "in_the_graph": timed(self._embed_in, frame, some),
            }

    def _crops(self, frame: Image, faces: Sequence[Detection]) -> NDArray[np.uint8]:
        return np.stack([self.plain.crop(frame, face) for face in faces])

    def _embed_in(self, frame: Image, faces: Sequence[Detection]) -> NDArray[np.float32]:
        return self.inside.launch_in([(frame, face) for face in faces]).collect()

    def _embed(self, frame: Image, faces: Sequence[Detection]) -> NDArray[np.float32]:
        return self.plain.embed(self._crops(frame, faces))


def timed(what: Callable[[Image, Sequence[Detection]], object], frame: Image, faces: Sequence[Detection]) -> float:
    """Milliseconds, the median."""
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        what(frame, faces)
        took.append((time.perf_counter() - started) * 1e3)
    return round(float(np.median(took)), 2)


def found(system: System, folder: Path, count: int) -> list[Shown]:
    """The best face of each of so many pictures."""
    paths = sorted(folder.glob("*/*.jpg"))
    pictures = [read_picture(path) for path in paths[:: len(paths) // count][:count]]
    return [(image, face) for image in pictures for face in system.detector.detect(image)[:1]]


def opened(system: System, precision: Precision, folder: Path) -> Ways:
    """The system's embedder both ways."""
    spec = system.embedder_spec
    assert spec.crop is not None
    (graph,) = system.models.graphs(spec.name, precision).values()
    onnx.save(with_crops(onnx.load(graph), spec.crop), folder / "in-frame.onnx")
    inside = InFrameEmbedder(spec, onnxruntime.open(folder / "in-frame.onnx"), precision=precision)
    plain = ModelEmbedder(spec, onnxruntime.open(graph), precision=precision)
    return Ways(plain, inside, cutter(spec.crop, folder), spec.crop)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--embedder", default="facenet")
    parser.add_argument("--precision", type=Precision, default=Precision.FP32)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    settings = {"embedder": arguments.embedder, "backend": "onnxruntime"}
    with tempfile.TemporaryDirectory() as place, System(load_config(None, settings)) as system:
        ways = opened(system, arguments.precision, Path(place))
        given = found(system, arguments.shared / "data" / "lfw", arguments.pictures)
        if arguments.times:
            for row in ways.times(given):
                print(json.dumps(row), flush=True)
            return
        for name, steps in conditions():
            changed = given
            for step in steps:
                changed = [step(shown) for shown in changed]
            print(json.dumps({"condition": name, "faces": len(changed), **ways.compared(changed)}), flush=True)


if __name__ == "__main__":
    main()
