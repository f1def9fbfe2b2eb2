"""FaceNet in float32 and in 8 bits side by side: time, agreement, and recognition on LFW.

    python -m tests.benchmarks.precision --shared ../shared [--threads 0] [--rounds 7] [--no-lfw]

Times are medians a face through rtface's backend, the two engines taking turns on the same faces. One JSON line a
table; with LFW it takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.config import load_config
from rtface.evaluation import lfw
from rtface.interfaces import Embedder
from rtface.sources.images import read_picture
from rtface.system import System
from tests.benchmarks.calibration import central_crops

BATCHES = (1, 2, 4, 8, 16)
FACES_A_ROUND = 32
FACES = 64


def milliseconds(
    embedders: Mapping[str, Embedder], crops: NDArray[np.uint8], batch: int, rounds: int
) -> dict[str, float]:
    """Median time a face of each, in batches of this size."""
    times: dict[str, list[float]] = {name: [] for name in embedders}
    for turn in range(rounds + 1):
        for name, embedder in embedders.items():
            for start in range(0, FACES_A_ROUND, batch):
                began = time.perf_counter()
                embedder.embed(crops[start : start + batch])
                if turn:  # the first round warms up
                    times[name].append(1000 * (time.perf_counter() - began) / batch)
    return {name: round(float(np.median(found)), 2) for name, found in times.items()}


def agreement(embedders: Mapping[str, Embedder], crops: NDArray[np.uint8]) -> dict[str, float]:
    """Cosines between the two engines' embeddings, as galleries hold them."""
    first, second = (embedder.embed(crops) for embedder in embedders.values())
    cosines = (first * second).sum(axis=1)
    return {"faces": len(crops), "mean": round(float(cosines.mean()), 5), "worst": round(float(cosines.min()), 5)}


def recognition(system: System, data: Path) -> dict[str, object]:
    """Accuracy and VAL on LFW folds 1-3."""
    protocol = lfw.read_protocol(data / "lfw_pairs_folds1-3.txt", data / "lfw")
    vectors = lfw.embed_pictures(
        protocol.pictures,
        system.detector,
        system.embedder,
        read_picture=read_picture,
        report=lambda label, done, total: None,
    )
    found = lfw.evaluate(protocol, vectors)
    return {
        "accuracy": round(found.accuracy, 4),
        "val": {far: round(value, 4) for far, value in found.val_at_far.items()},
        "distance": {far: round(value, 3) for far, value in found.distance_at_far.items()},
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-lfw", action="store_true")
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    with tempfile.TemporaryDirectory() as place:
        settings = {"gallery": f"{place}/gallery.db", "embedder": "facenet", "threads": arguments.threads}
        systems = {name: System(load_config(None, {**settings, "precision": name})) for name in ("fp32", "int8")}
        embedders = {name: system.embedder for name, system in systems.items()}
        paths = [sorted(folder.iterdir())[0] for folder in sorted((data / "lfw").iterdir())[:FACES]]
        crops = central_crops(systems["fp32"], paths)
        for batch in BATCHES:
            times = milliseconds(embedders, crops, batch, arguments.rounds)
            print(json.dumps({"batch": batch, "ms_a_face": times}), flush=True)
        print(json.dumps({"cosine": agreement(embedders, crops)}), flush=True)
        for name, system in systems.items():
            if not arguments.no_lfw:
                print(json.dumps({"precision": name, "lfw": recognition(system, data)}), flush=True)
            system.close()


if __name__ == "__main__":
    main()
