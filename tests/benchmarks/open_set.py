"""Open-set identification with the shipped defaults: known people, and strangers who must stay unknown.

    python tests/benchmarks/open_set.py --shared ../shared [--embedder sface] [--rate 0.001]

``stills``: 100 LFW people of at least four pictures are enrolled from three; up to four others of each are asked,
and one picture each of 600 strangers. ``clips``: the webcam clips of five people, each person in turn left out of the
gallery. One JSON line for each.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from rtface.config import load_config
from rtface.enrollment import enroll_from_source
from rtface.sources import open_source
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.types import EventKind

MISLABELLED = {"Takahiro_Mori", "Carlos_Ruckauf", "Glenn_Rivers", "Hasan_Wirayuda"}
"""LFW people of folds 1-3 whose pictures show somebody else of the set as well."""


def named(system: System, picture: Path) -> str | None:
    """Who the face nearest the picture's middle is said to be."""
    image = read_picture(picture)
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    faces = system.identify(image)
    if not faces:
        return None

    def off(box: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
        return float(np.abs((box[:2] + box[2:]) / 2 - middle).sum())

    return min(faces, key=lambda found: off(found.face.detection.box)).identity.person


def stills(system: System, lfw: Path) -> dict[str, object]:
    """Known people and strangers of LFW."""
    people = [folder for folder in sorted(lfw.iterdir()) if folder.name not in MISLABELLED]
    random.Random(7).shuffle(people)
    known = [folder for folder in people if len(list(folder.iterdir())) >= 4][:100]
    strangers = [folder for folder in people if folder not in known][:600]
    for folder in known:
        system.enroll(folder.name, sorted(folder.iterdir())[:3])
    verdicts: Counter[str] = Counter()
    for folder in known:
        for picture in sorted(folder.iterdir())[3:7]:
            name = named(system, picture)
            verdicts["unknown" if name is None else "right" if name == folder.name else "wrong"] += 1
    false = sum(named(system, sorted(folder.iterdir())[0]) is not None for folder in strangers)
    return {"rows": len(system.gallery), **verdicts, "strangers": len(strangers), "strangers_named": false}


def clips(settings: dict[str, object], folder: Path) -> dict[str, object]:
    """Webcam clips of people left out of the gallery."""
    people: dict[str, list[Path]] = {}
    with (folder / "labels.csv").open() as stream:
        for row in csv.DictReader(stream):
            people.setdefault(row["person"], []).append(folder / f"{row['clip']}.mkv")
    false = []
    for stranger, films in people.items():
        with (
            tempfile.TemporaryDirectory() as place,
            System(load_config(None, {**settings, "gallery": f"{place}/g.db"})) as system,
        ):
            for person, own in people.items():
                if person != stranger:
                    list(enroll_from_source(system.enroller(), person, open_source(str(own[0])), 10))
            for film in films:
                events = [event for result in system.stream(film) for event in result.events]
                if any(event.kind is EventKind.IDENTIFIED for event in events):
                    false.append(film.stem)
    return {"clips": sum(map(len, people.values())), "with_a_false_name": false}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--embedder", default="facenet")
    parser.add_argument("--rate", type=float, default=0.001)
    arguments = parser.parse_args()
    settings: dict[str, object] = {"embedder": arguments.embedder, "false_identification_rate": arguments.rate}
    with (
        tempfile.TemporaryDirectory() as place,
        System(load_config(None, {**settings, "gallery": f"{place}/g.db"})) as system,
    ):
        print(json.dumps({**settings, "stills": stills(system, arguments.shared / "data" / "lfw")}), flush=True)
    found = clips(settings, arguments.shared / "data" / "videos" / "intel" / "asl")
    print(json.dumps({**settings, "clips": found}))


if __name__ == "__main__":
    main()
