"""How many faces each detector finds, and what else it takes for faces, on the labelled pictures in ``shared/data``.

Prints a Markdown table, then the same figures as one line of JSON:

    python tests/benchmarks/detection.py --shared ../shared [--detector yunet] [--scores 0.5 0.7 0.9]

Protocol: a face is found at intersection over union 0.5. ``dlib``: the group pictures of testing.xml and training.xml.
``unmasked``: the faces without a mask, at least 24 px wide and high, of mask_voc, with min_face_px 24; masked and
smaller faces, and reports narrower than 24 px, count neither way. ``nonface``: pictures of animals, where every report
is false. Everything but ``unmasked`` runs with the default min_face_px. A report that is no labelled face counts as
false even where a face is that nobody labelled.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx

from rtface import registry
from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.errors import ModelUnavailable
from rtface.evaluation.detection import LabelledPicture, Quality, Verdicts, judge, quality, read_dlib, read_voc
from rtface.interfaces import Backend
from rtface.models import scrfd
from rtface.models.store import ModelStore

DEFAULT_FACE_PX = 20
SMALL_FACE_PX = 24
LOWEST_SCORE = 0.3


@dataclass(frozen=True, slots=True)
class Protocol:
    """Pictures, the smallest face to ask for, and the narrowest report that counts."""

    name: str
    pictures: list[LabelledPicture]
    min_face_px: int
    min_px: float


def protocols(shared: Path) -> list[Protocol]:
    labelled, masks = shared / "data" / "detection" / "dlib_faces", shared / "data" / "detection" / "mask_voc"
    groups = [picture for file in ("testing.xml", "training.xml") for picture in read_dlib(labelled / file)]
    unmasked = [
        read_voc(file, masks / "images", wanted=lambda name: name == "sin_mascarilla", min_px=SMALL_FACE_PX)
        for file in sorted((masks / "annotations").glob("*.xml"))
    ]
    nobody = np.zeros((0, 4), np.float32)
    animals = [LabelledPicture(path, nobody, nobody) for path in sorted((shared / "data" / "nonface").iterdir())]
    return [
        Protocol("dlib", groups, DEFAULT_FACE_PX, 0),
        Protocol("unmasked", unmasked, SMALL_FACE_PX, SMALL_FACE_PX),
        Protocol("nonface", animals, DEFAULT_FACE_PX, 0),
    ]


def graphs(name: str, shared: Path, folder: Path) -> Mapping[str, Path]:
    """Built as always; SCRFD, where InsightFace's pack cannot be had, from the copy in shared/models."""
    config = load_config()
    store = ModelStore(config.engines_dir, offline=config.offline)
    try:
        return store.graphs(name)
    except ModelUnavailable:
        if name != "scrfd":
            raise
    file = shared / "models" / "scrfd_500m_bnkps.onnx"
    for graph, model in scrfd.build({file.name: file}, store.spec("scrfd")).items():
        onnx.save(model, folder / f"{graph}.onnx")
    return {"scrfd": folder / "scrfd.onnx"}


@functools.cache
def picture(path: Path) -> cv2.typing.MatLike:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        sys.exit(f"{path} cannot be read as a picture.")
    return image


def verdicts(
    name: str,
    files: Mapping[str, Path],
    protocol: Protocol,
    open_backend: Callable[[Path], Backend] = onnxruntime.open,
) -> list[Verdicts]:
    part = registry.load("detectors", name)
    detector = part.open(files, open_backend, min_score=LOWEST_SCORE, min_face_px=protocol.min_face_px)
    judged = [
        judge(detector.detect(picture(labelled.path)), labelled.faces, labelled.ignored, min_px=protocol.min_px)
        for labelled in protocol.pictures
    ]
    detector.close()
    return judged


def row(detector: str, score: float, default: float, figures: Mapping[str, Quality]) -> str:
    groups, unmasked, nonface = figures["dlib"], figures["unmasked"], figures["nonface"]
    cells = [
        detector,
        f"**{score:.2f}**" if score == default else f"{score:.2f}",
        f"{groups.recall:.3f} / {groups.precision:.3f} / {groups.median_iou:.2f}",
        f"{unmasked.recall:.3f} / {unmasked.precision:.3f} / {unmasked.median_iou:.2f}",
        str(nonface.false),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    words = argparse.ArgumentParser(description="Recall and precision of the detectors on labelled pictures.")
    words.add_argument("--shared", type=Path, required=True, help="the folder with data/ and models/")
    words.add_argument("--detector", action="append", choices=registry.names("detectors"), help="all without it")
    words.add_argument("--scores", type=float, nargs="*", default=[], help="besides each detector's default")
    asked = words.parse_args()
    sets = protocols(asked.shared)
    counts = {one.name: sum(len(item.faces) for item in one.pictures) for one in sets}
    print(
        f"{counts['dlib']} faces in dlib, {counts['unmasked']} in unmasked, {len(sets[2].pictures)} nonface pictures.\n"
    )
    print("| detector | min_score | dlib: recall / precision / median IoU | unmasked: likewise | false in nonface |")
    print("|---|---|---|---|---|")
    report = []
    for name in asked.detector or registry.names("detectors"):
        default = registry.load("detectors", name).MIN_SCORE
        with tempfile.TemporaryDirectory() as folder:
            files = graphs(name, asked.shared, Path(folder))
            judged = {one.name: verdicts(name, files, one) for one in sets}
        for score in sorted({default, *asked.scores}):
            figures = {key: quality(judged[key], score) for key in judged}
            print(row(name, score, default, figures), flush=True)
            report.append(
                {
                    "detector": name,
                    "min_score": score,
                    "default": score == default,
                    "dlib": summary(figures["dlib"]),
                    "unmasked": summary(figures["unmasked"]),
                    "nonface": {"false": figures["nonface"].false},
                }
            )
    print("\n" + json.dumps(report))


def summary(figures: Quality) -> dict[str, float | None]:
    return {
        "faces": figures.faces,
        "found": figures.found,
        "false": figures.false,
        "recall": rounded(figures.recall),
        "precision": rounded(figures.precision),
        "median_iou": rounded(figures.median_iou),
    }


def rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(share, 4)


if __name__ == "__main__":
    main()
