"""What more work costs: more faces in a picture, more cameras, more faces in a batch.

    python tests/benchmarks/growth.py [--out DIR] [--seconds 8] [--rounds 3] [--only faces|cameras|batch]
                                      [--set key=value]

``faces``: 1-16 of them at 1280x720, flat out. ``cameras``: 1-8 of 640x480 with one face each, at 15 frames a second.
``batch``: the embedding network alone. Every load runs ``rounds`` times, in turn with the others; told is the median.
Prints tables; DIR gets growth.json and growth.png.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.config import load_config, parse_flags
from rtface.system import System

FACES = (1, 2, 4, 6, 8, 12, 16)
CAMERAS = (1, 2, 3, 4, 6, 8)
BATCHES = (1, 2, 4, 8, 16)
CAMERA_FPS = 15
LEAST_S = 0.5
"""A batch is timed over at least so long."""

Row = dict[str, float]


def bench(seconds: float, settings: Sequence[str], *words: object) -> dict[str, Any]:
    """``rtface bench`` in a process of its own."""
    chosen = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "rtface", "bench", "--json", "--seconds", str(seconds), *map(str, words), *chosen]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def of_faces(count: int, seconds: float, settings: Sequence[str]) -> Row:
    report = bench(seconds, settings, "--faces", count, "--size", "1280x720")
    return {
        "fps": report["fps"],
        "ms_a_frame": 1e3 / report["fps"],
        "detect_ms": report["stages_ms"]["detect"]["p50"],
        "faces_seen": report["faces_per_frame"],
        "peak_rss_mb": report["peak_rss_mb"],
    }


def of_cameras(count: int, seconds: float, settings: Sequence[str]) -> Row:
    report = bench(seconds, settings, "--cameras", count, "--paced", CAMERA_FPS)
    cameras = report["sources"].values()
    return {
        "age_p50_ms": report["frame_age_ms"]["p50"],
        "age_p95_ms": report["frame_age_ms"]["p95"],
        "worst_camera_p95_ms": max(camera["frame_age_ms"]["p95"] for camera in cameras),
        "slowest_camera_fps": min(camera["fps"] for camera in cameras) if len(cameras) == count else 0.0,
        "dropped": report["dropped"],
        "cpu_share": report["cpu"]["share"],
        "peak_rss_mb": report["peak_rss_mb"],
    }


def of_batches(rounds: int, settings: Sequence[str]) -> dict[int, Row]:
    """Milliseconds a face by batch, the batches in turn."""
    from rtface.sources.demo import portrait

    times: dict[int, list[float]] = {size: [] for size in BATCHES}
    with System(load_config(None, parse_flags(tuple(settings)))) as system:
        faces = [system.embedder.crop(portrait(), found) for found in system.detector.detect(portrait())]
        crops = {size: np.stack([faces[place % len(faces)] for place in range(size)]) for size in BATCHES}
        for batch in crops.values():
            system.embedder.embed(batch)
        for _ in range(rounds):
            for size, batch in crops.items():
                began = time.perf_counter()
                while time.perf_counter() - began < LEAST_S:
                    start = time.perf_counter()
                    system.embedder.embed(batch)
                    times[size].append((time.perf_counter() - start) * 1e3 / size)
    return {size: {"ms_a_face": statistics.median(taken)} for size, taken in times.items()}


def in_turn(counts: Iterable[int], rounds: int, measure: Callable[[int], Row]) -> dict[int, Row]:
    """Medians of the rounds; each round goes through all counts, so that a busy minute harms none alone."""
    taken: dict[int, list[Row]] = {count: [] for count in counts}
    for number in range(rounds):
        for count, rows in taken.items():
            print(f"round {number + 1} of {rounds}: {count}", file=sys.stderr)
            rows.append(measure(count))
    return {
        count: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for count, rows in taken.items()
    }


def tell(title: str, rows: dict[int, Row]) -> None:
    """A table on stdout."""
    keys = list(next(iter(rows.values())))
    print(f"\n{title:>8} " + " ".join(f"{key:>20}" for key in keys))
    for count, row in rows.items():
        print(f"{count:>8} " + " ".join(f"{row[key]:>20.2f}" for key in keys))


def draw(path: Path, measured: dict[str, dict[int, Row]]) -> None:
    """Each table as a picture of its own, side by side."""
    from matplotlib.figure import Figure

    lines = {
        "faces": (("ms_a_frame", "detect_ms"), "faces at 1280x720", "ms a frame, flat out"),
        "cameras": (("age_p50_ms", "age_p95_ms", "worst_camera_p95_ms"), "cameras, 640x480 at 15/s", "frame age, ms"),
        "batch": (("ms_a_face",), "faces in a batch", "embedding, ms a face"),
    }
    figure = Figure(figsize=(5 * len(measured), 4), layout="constrained")
    for place, (name, rows) in enumerate(measured.items()):
        keys, across, up = lines[name]
        axes = figure.add_subplot(1, len(measured), place + 1)
        for key in keys:
            axes.plot(list(rows), [row[key] for row in rows.values()], "o-", label=key)
        axes.set(xlabel=across, ylabel=up, xticks=list(rows))
        axes.set_ylim(0, 1.1 * max(row[key] for row in rows.values() for key in keys))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--out", type=Path, default=Path())
    options.add_argument("--seconds", type=float, default=8.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=("faces", "cameras", "batch"), action="append")
    options.add_argument("--set", dest="settings", action="append", default=[])
    wishes = options.parse_args()
    measures: dict[str, Callable[[], dict[int, Row]]] = {
        "faces": lambda: in_turn(FACES, wishes.rounds, lambda n: of_faces(n, wishes.seconds, wishes.settings)),
        "cameras": lambda: in_turn(CAMERAS, wishes.rounds, lambda n: of_cameras(n, wishes.seconds, wishes.settings)),
        "batch": lambda: of_batches(wishes.rounds, wishes.settings),
    }
    measured = {}
    for name in wishes.only or measures:
        measured[name] = measures[name]()
        tell(name, measured[name])
    wishes.out.mkdir(parents=True, exist_ok=True)
    (wishes.out / "growth.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    draw(wishes.out / "growth.png", measured)


if __name__ == "__main__":
    main()
