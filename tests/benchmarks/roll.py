"""What a tilted head costs, and what the second look gives back.

    python tests/benchmarks/roll.py --shared ../shared [--embedder sface]

The second picture of 120 LFW people is turned by each angle and compared with the first as it is. Printed: the share of
people accepted at the model's distance for FAR 1e-4, with the plain crop and with ``best_crop``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from rtface.config import load_config
from rtface.embedding.crops import best_crop
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.types import Image

ANGLES = (0, 10, 20, 30, 45)
PEOPLE = 120


def turned(image: Image, degrees: float) -> Image:
    """The picture turned clockwise about its middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def crop(system: System, image: Image, *, closer: bool) -> Image | None:
    """The face nearest the middle, cut out with or without the second look."""
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    faces = system.detector.detect(image)
    if not faces:
        return None
    face = min(faces, key=lambda found: float(np.abs((found.box[:2] + found.box[2:]) / 2 - middle).sum()))
    if closer:
        return best_crop(system.detector, system.embedder, image, face)
    return system.embedder.crop(image, face)


def accepted(system: System, pairs: list[tuple[Image, Image]], degrees: float, *, closer: bool) -> float:
    """Share of the pairs within the distance for FAR 1e-4; a face not found is not accepted."""
    limit, passed = system.embedder_spec.limits[1e-4], 0
    for upright, other in pairs:
        crops = [crop(system, upright, closer=closer), crop(system, turned(other, degrees), closer=closer)]
        if crops[0] is not None and crops[1] is not None:
            first, second = system.embedder.embed(np.stack([crops[0], crops[1]]))
            passed += float(np.sum((first - second) ** 2)) <= limit
    return round(passed / len(pairs), 3)


def main() -> None:
    """Measures and prints a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--embedder", default="facenet")
    arguments = parser.parse_args()
    folders = [
        folder for folder in sorted((arguments.shared / "data" / "lfw").iterdir()) if len(list(folder.iterdir())) > 1
    ]
    step = len(folders) // PEOPLE
    pictures = [sorted(folder.iterdir())[:2] for folder in folders[::step][:PEOPLE]]
    pairs = [(read_picture(first), read_picture(second)) for first, second in pictures]
    with tempfile.TemporaryDirectory() as place:
        settings = {"embedder": arguments.embedder, "gallery": f"{place}/g.db"}
        with System(load_config(None, settings)) as system:
            table = {
                angle: {
                    "plain": accepted(system, pairs, angle, closer=False),
                    "second_look": accepted(system, pairs, angle, closer=True),
                }
                for angle in ANGLES
            }
    print(json.dumps({"embedder": arguments.embedder, "people": len(pairs), "accepted": table}))


if __name__ == "__main__":
    main()
