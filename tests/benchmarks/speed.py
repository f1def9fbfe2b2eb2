"""What one look and one embedding cost, beside OpenCV's own and the rate of a large matrix product.

    python tests/benchmarks/speed.py --shared ../shared [--rounds 5]

Frames of the webcam clips in ../shared, at 640x480 as they are and enlarged to 1280x720, each searched whole from
pixels to detections; crops of their faces embedded one at a time. Medians over rounds of medians, taking turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.sources import open_source
from rtface.system import open_system
from rtface.types import Image

FRAMES = 40


def median_ms(work: Callable[[Any], object], things: Sequence[Any]) -> float:
    """Of one call, over all things."""
    times = []
    for thing in things:
        began = time.perf_counter()
        work(thing)
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def matrix_gflops(side: int = 2048) -> float:
    """Rate of a float32 matrix product."""
    matrix = np.ones((side, side), np.float32)
    began = time.perf_counter()
    matrix @ matrix
    return 2 * side**3 / (time.perf_counter() - began) / 1e9


def frames(shared: Path) -> list[Image]:
    """640x480, one face, from eight clips."""
    found: list[Image] = []
    for path in sorted((shared / "data" / "videos" / "intel" / "asl").glob("*.mkv"))[:8]:
        source = open_source(str(path))
        found += [frame.image for frame in islice(source.frames(), FRAMES // 8)]
        source.close()
    return found


def opencv(shared: Path, size: tuple[int, int]) -> Callable[[Image], object]:
    """OpenCV's own YuNet at the same score."""
    (path,) = (shared / "models").glob("*yunet*")
    detector = cv2.FaceDetectorYN.create(str(path), "", size, 0.7)
    return lambda image: detector.detect(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    small = frames(options.shared)
    large = [np.asarray(cv2.resize(image, (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8) for image in small]
    with open_system() as system, open_system(embedder="sface") as other, open_system(precision="fp32") as exact:
        faces = [(image, found[0]) for image in small if (found := system.detector.detect(image))]
        parts: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
            "yunet 640x480": (system.detector.detect, small),
            "yunet 1280x720": (system.detector.detect, large),
            "opencv's yunet 640x480": (opencv(options.shared, (640, 480)), small),
            "opencv's yunet 1280x720": (opencv(options.shared, (1280, 720)), large),
        }
        for made, name in ((system, "facenet int8"), (exact, "facenet fp32"), (other, "sface")):
            parts[name] = (made.embedder.embed, [made.embedder.crop(*face)[None] for face in faces])
        times: dict[str, list[float]] = {name: [] for name in parts}
        rates = []
        for _ in range(options.rounds):
            rates.append(matrix_gflops())
            for name, (work, things) in parts.items():
                times[name].append(median_ms(work, things))
    told = {
        name: {"median_ms": float(np.median(ms)), "rounds": [round(one, 2) for one in ms]} for name, ms in times.items()
    }
    print(json.dumps({"ms": told, "matrix_gflops": float(np.median(rates))}, indent=1))


if __name__ == "__main__":
    main()
