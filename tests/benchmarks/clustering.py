"""How well faces are put together by person, and what that takes as they become many.

    python -m tests.benchmarks.clustering --shared ../shared [--model facenet] [--model sface]
    python -m tests.benchmarks.clustering --times [--faces 1000 --faces 10000 --faces 100000]

Quality: the people of LFW with at least four pictures, the five Johns, and the eight people of bbt_faceapi; precision,
recall and F1 over pairs and BCubed, at the distance that each method takes by itself; k-means is told the number. The
distance comes from the model's limits, which were measured on LFW; the method was chosen on half of these people.

Times: people made up of 128 numbers, ten faces each, on the graph of nearest faces.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.clustering.agreement import bcubed, pairwise
from rtface.clustering.grouping import Method, default_distance, group_faces
from rtface.config import load_config
from rtface.evaluation.pictures import embed_pictures
from rtface.sources.images import read_picture
from rtface.system import System
from tests.clustering.faces import people as made_up

FEWEST = 4
"""Pictures of an LFW person; fewer say little about recall."""


def pictures(data: Path) -> dict[str, list[Path]]:
    """Of each set the pictures; the folder is the person."""
    lfw = [sorted(folder.glob("*.jpg")) for folder in sorted((data / "lfw").iterdir())]
    return {
        f"LFW, {FEWEST} pictures and more": [path for own in lfw if len(own) >= FEWEST for path in own],
        "dlib_johns": sorted((data / "dlib_johns").glob("*/*.jpg")),
        "bbt_faceapi": [
            path for path in sorted((data / "bbt_faceapi").glob("*/*.*")) if path.suffix in (".jpg", ".png")
        ],
    }


def quality(system: System, name: str, paths: list[Path]) -> None:
    """Prints a JSON line a method."""
    found = embed_pictures(
        paths, system.detector, system.embedder, read_picture=read_picture, report=lambda label, done, total: None
    )
    acquired = [path for path in paths if found[path] is not None]
    rows = np.stack([row for row in found.values() if row is not None])
    people = [path.parent.name for path in acquired]
    distance = default_distance(system.embedder_spec.limits, len(rows))
    facts = {"set": name, "model": system.embedder.name, "faces": len(people), "people": len(set(people))}
    for method in Method:
        groups = group_faces(rows, method, distance=distance, people=len(set(people)))
        figures = {
            f"{kind}_{what}": round(getattr(one, what), 4)
            for kind, one in (
                ("pairwise", pairwise(people, groups.tolist())),
                ("bcubed", bcubed(people, groups.tolist())),
            )
            for what in ("precision", "recall", "f1")
        }
        counts = {"groups": len(set(groups.tolist())), "missed": len(paths) - len(people)}
        print(json.dumps({**facts, "method": method, "distance": round(distance, 3), **figures, **counts}), flush=True)


def times(count: int) -> None:
    """Prints what one size takes."""
    rows, who = made_up(count // 10, 10, size=128, spread=0.6)
    started = time.perf_counter()
    groups: NDArray[np.int64] = group_faces(rows, Method.GRAPH, distance=0.6)
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    agreed = pairwise(who.tolist(), groups.tolist())
    figures = {"seconds": round(seconds, 2), "megabytes": round(memory), "pairwise_f1": round(agreed.f1, 4)}
    sizes = Counter(Counter(groups.tolist()).values())
    print(json.dumps({"faces": len(rows), **figures, "groups_of_ten": sizes[10]}), flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--faces", type=int, action="append")
    arguments = parser.parse_args()
    if arguments.times:
        for count in arguments.faces or (1000, 10_000, 100_000):
            times(count)
        return
    if arguments.shared is None:
        parser.error("quality is measured on --shared DIR")
    for model in arguments.model or ("facenet", "sface"):
        with tempfile.TemporaryDirectory() as place:
            settings = {"gallery": f"{place}/gallery.db", "embedder": model, "backend": "onnxruntime"}
            with System(load_config(None, settings)) as system:
                for name, paths in pictures(arguments.shared / "data").items():
                    quality(system, name, paths)


if __name__ == "__main__":
    main()
