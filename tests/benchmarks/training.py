"""Training that works, on real faces: a small network learns on LFW folds 1-2 and is judged on the people of fold 3.

    python -m tests.benchmarks.training --shared ../shared [--steps N] [--plot FILE.png]

Nobody is in two folds. The judgement is over all pairs of all pictures of fold 3's people, for the trained network, for
the same network before its first step and for the pixels themselves (each crop's, less their mean, scaled to norm 1),
with 95 % intervals over people.
The network of the last step is judged; the curve is for looking at and nothing is chosen by it. Crops are the fixed
middle of the deep-funneled pictures, 130 px, as in the paper's first LFW figure. One thread.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtface.evaluation.distances import among
from rtface.evaluation.figures import figures
from rtface.sources.images import list_pictures, read_picture
from rtface.training.batches import BatchShape
from rtface.training.distributed import World
from rtface.training.networks.catalogue import create, find
from rtface.training.people import CropReader, People
from rtface.training.settings import Decay, Rate, Settings
from rtface.training.trainer import Check, Step, Trainer
from rtface.training.triplets import mine, unit
from rtface.training.validation import Validation, embed, measure

MIDDLE = slice(60, 190)
"""Of 250 px."""
SETTINGS = Settings(
    network="small",
    embedding_size=128,
    batch=BatchShape(size=180, faces=12, negatives=20),
    rate=Rate(highest=0.05, decay=Decay.COSINE, warmup=10),
    steps=800,
    check_every=100,
    far=1e-2,
)


def named(pairs: Path, folds: range) -> set[str]:
    """People of some folds of the official pair file, of 600 pairs each."""
    lines = pairs.read_text(encoding="utf-8").splitlines()[1:]
    chosen = [line.split("\t") for fold in folds for line in lines[600 * fold : 600 * (fold + 1)]]
    return {name for fields in chosen for name in (fields[0], *fields[2:3]) if not name.isdigit()}


def people_of(names: set[str], folder: Path) -> People:
    """All pictures of these people."""
    kept = sorted(names)
    pictures = [list_pictures(folder / name) for name in kept]
    owners = np.repeat(np.arange(len(kept)), [len(found) for found in pictures]).astype(np.int64)
    return People(tuple(kept), tuple(path for found in pictures for path in found), owners)


def faces(names: set[str], shared: Path) -> CropReader:
    """Their crops, in memory."""
    people = people_of(names, shared / "data" / "lfw")
    side = find(SETTINGS.network).crop_size
    cut = {}
    for row, picture in enumerate(people.pictures):
        middle = read_picture(picture)[MIDDLE, MIDDLE]
        cut[row] = np.asarray(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return CropReader(people, side, _kept=cut)


def pixels(reader: CropReader) -> NDArray[np.float32]:
    """The crops themselves as unit rows."""
    rows = np.stack([reader(row).astype(np.float32).ravel() for row in range(len(reader.people.owners))])
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def embedded(network: nn.Module, reader: CropReader) -> NDArray[np.float32]:
    """The crops through a network."""
    size, rows = find(SETTINGS.network), range(len(reader.people.owners))
    return embed(network, reader, rows, device=torch.device("cpu"), size=(size.height, size.width))


def train(network: nn.Module, training: CropReader, judged: CropReader, steps: int) -> list[Check]:
    """Trains the network; checks before the first step and after every hundredth."""
    settings = replace(SETTINGS, steps=steps, check_every=max(1, min(SETTINGS.check_every, steps // 2)))
    trainer = Trainer(settings, network, training, world=World(0, 1, torch.device("cpu")), checks=judged, workers=1)
    start = trainer.check()
    assert start is not None
    checks, began = [start], time.perf_counter()
    print(_line("start", start.validation))
    for event in trainer.run():
        if isinstance(event, Check):
            checks.append(event)
            print(_line(f"step {event.step} after {time.perf_counter() - began:.0f} s", event.validation), flush=True)
        elif isinstance(event, Step) and event.number % 20 == 0:
            found = event.outcome
            apart = f"{found.spread.distance:.2f} apart"
            print(f"  {event.number}: loss {found.loss:.3f}, {found.triplets} triplets, {apart}", flush=True)
    trainer.close()
    return checks


def gain(
    before: NDArray[np.float32], after: NDArray[np.float32], owners: NDArray[np.int64], *, resamples: int = 300
) -> tuple[float, float, float]:
    """By how much the AUC grows, and the 95 % interval of that over people: both are taken of the same resamples.

    A few people have most of the same pairs, so that each AUC alone hangs on who is drawn; their difference hangs less.
    """
    first, second = np.triu_indices(len(owners), 1)
    alike = owners[first] == owners[second]
    orders = [np.argsort(-(rows @ rows.T)[first, second]) for rows in (before, after)]
    rng, people = np.random.default_rng(0), int(owners.max()) + 1
    grown = []
    for number in range(resamples + 1):
        drawn = np.bincount(rng.integers(0, people, people), minlength=people) if number else np.ones(people)
        same = np.where(alike, drawn[owners[first]], 0.0)
        different = np.where(alike, 0.0, drawn[owners[first]] * drawn[owners[second]])
        areas = [same[order] @ (different.sum() - np.cumsum(different[order])) for order in orders]
        grown.append((areas[1] - areas[0]) / (same.sum() * different.sum()))
    low, high = np.percentile(grown[1:], (2.5, 97.5))
    return float(grown[0]), float(low), float(high)


def _line(what: str, found: Validation) -> str:
    return f"{what}: AUC {found.auc:.4f}, VAL {found.val:.4f} at FAR {SETTINGS.far:g}"


def mining_time() -> float:
    """Seconds to mine a batch of the paper's size: 1,800 faces, 40 people of 40 and 200 strangers, 128 numbers."""
    generator = torch.Generator().manual_seed(0)
    people = torch.cat([torch.arange(40).repeat_interleave(40), torch.arange(40, 240)])
    centres = torch.randn(240, 128, generator=generator)
    rows = unit(centres[people] + 1.5 * torch.randn(1800, 128, generator=generator))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        mine(rows, people)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def plot(checks: list[Check], raw: Validation, file: Path) -> None:
    """AUC and VAL by step, the pixels' as lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5))
    steps = [check.step for check in checks]
    for axis, name in zip(axes, ("auc", "val"), strict=True):
        axis.plot(steps, [getattr(check.validation, name) for check in checks], label="network")
        axis.axhline(getattr(raw, name), linestyle=":", label="pixels")
        axis.set(xlabel="step", title="AUC" if name == "auc" else f"VAL at FAR {SETTINGS.far:g}")
        axis.legend()
    figure.suptitle("LFW: trained on folds 1-2, all pairs of fold 3")
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = options.shared / "data" / "lfw_pairs_folds1-3.txt"
    training = faces(named(pairs, range(2)), options.shared)
    judged = faces(named(pairs, range(2, 3)), options.shared)
    assert not set(training.people.names) & set(judged.people.names)
    print(f"{len(training.people.owners)} faces of {len(training.people.names)} people to train on")
    print(f"{len(judged.people.owners)} faces of {len(judged.people.names)} other people to judge by", flush=True)
    torch.manual_seed(0)
    network = create(SETTINGS.network, SETTINGS.embedding_size, SETTINGS.norm)
    vectors = {"pixels": pixels(judged), "start": embedded(network, judged)}
    checks = train(network, training, judged, options.steps)
    vectors["trained"] = embedded(network, judged)
    if options.plot is not None:
        plot(checks, measure(vectors["pixels"], judged.people.owners, far=SETTINGS.far), options.plot)
    for name, rows in vectors.items():
        found = figures(among(rows, judged.people.owners), resamples=300)
        interval = {"auc": found.auc_interval, "val": found.val_interval["1e-2"]}
        print(json.dumps({name: {"auc": found.auc, "val": found.val_at_far["1e-2"], "interval": interval}}))
    for name in ("pixels", "start"):
        grown, low, high = gain(vectors[name], vectors["trained"], judged.people.owners)
        print(f"AUC of the trained network over {name}: {grown:+.4f} [{low:+.4f}, {high:+.4f}]")
    print(f"a batch of 1,800 mined in {mining_time():.3f} s")


if __name__ == "__main__":
    main()
