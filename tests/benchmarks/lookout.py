"""What looking only where the picture has changed saves, and what it misses, against looking everywhere every time.

    python tests/benchmarks/lookout.py --shared ../shared [--full-look-s 1.0] [--new-face-s 0.1] [--height 720]

A face counts as missed in a frame when the search of the whole frame finds it (IoU 0.5) and the lookout does not; as
additional the other way round. Times are means over all frames, both ways one after the other on each frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rtface.geometry import iou
from rtface.pipeline.lookout import Lookout
from rtface.system import open_system
from rtface.types import Detection, Image


def frames(path: Path, height: int | None) -> Iterator[tuple[Image, float]]:
    """Frames and their times in s."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
    number = 0
    while True:
        read, image = capture.read()
        if not read:
            return
        if height:
            width = round(image.shape[1] * height / image.shape[0])
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        yield np.asarray(image, np.uint8), number / fps
        number += 1


def unmatched(faces: list[Detection], others: list[Detection]) -> int:
    """How many of ``faces`` no one of ``others`` overlaps by half."""
    if not faces or not others:
        return len(faces)
    overlap = iou(np.stack([face.box for face in faces]), np.stack([other.box for other in others]))
    return int(np.count_nonzero(overlap.max(axis=1) < 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--full-look-s", type=float, default=1.0)
    parser.add_argument("--new-face-s", type=float, default=0.1)
    parser.add_argument("--height", type=int, help="Scale the videos to this height.")
    parser.add_argument("--detector", default="yunet")
    options = parser.parse_args()
    videos = options.shared / "data" / "videos"
    print("| video | frames | faces | missed | additional | whole ms | lookout ms | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    totals = np.zeros(4, int)
    with open_system(detector=options.detector) as system:
        for path in sorted([*videos.glob("*.mp4"), *videos.glob("intel/asl/*.mkv")]):
            lookout = Lookout(system.detector, full_look_s=options.full_look_s, new_face_s=options.new_face_s)
            counts, whole_ms, part_ms = np.zeros(4, int), [], []
            for image, at in frames(path, options.height):
                began = time.perf_counter()
                whole = system.detector.detect(image)
                between = time.perf_counter()
                seen = lookout.detect(image, at)
                part_ms.append((time.perf_counter() - between) * 1e3)
                whole_ms.append((between - began) * 1e3)
                counts += [1, len(whole), unmatched(whole, seen), unmatched(seen, whole)]
            totals += counts
            part, all_of_it = float(np.mean(part_ms)), float(np.mean(whole_ms))
            cells = " | ".join(map(str, counts))
            print(f"| {path.name} | {cells} | {all_of_it:.2f} | {part:.2f} | {part / all_of_it:.2f} |")
    print(f"| all | {' | '.join(map(str, totals))} | | | |")


if __name__ == "__main__":
    main()
