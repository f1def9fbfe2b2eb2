"""From the distance of two faces to the probability that they are one person's: ``same_person`` of models.toml.

    python -m tests.benchmarks.probability --shared ../shared [--model facenet] [--model sface] [--split 0]

Logistic regression over pairs of LFW people, half of the weight on pairs of the same person, every person of several
pictures counting once, and half on pairs of different people. First fitted to half of the people and judged on the
others (mean gap between probability told and share true, over ten parts of 0..1, by weight), then fitted to all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rtface.config import load_config
from rtface.evaluation.pictures import embed_pictures
from rtface.models.spec import ProbabilityCurve
from rtface.sources.images import read_picture
from rtface.system import System

STRANGERS = 200_000
"""Pairs of different people, drawn."""
Pairs = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]


def pairs(rows: NDArray[np.float32], people: list[str], seed: int) -> Pairs:
    """Distances of all pairs of the same person and of some of strangers, which they are, and weights."""
    first, second = np.triu_indices(len(people), 1)
    codes = np.unique(people, return_inverse=True)[1]
    same = codes[first] == codes[second]
    strangers = np.random.default_rng(seed).choice(np.flatnonzero(~same), STRANGERS, replace=False)
    chosen = np.concatenate([np.flatnonzero(same), strangers])
    distances = 2 - 2 * np.einsum("nd,nd->n", rows[first[chosen]], rows[second[chosen]], dtype=np.float64)
    owners = codes[first[np.flatnonzero(same)]]
    each = Counter(owners.tolist())
    own = np.array([1 / each[owner] for owner in owners.tolist()])
    weights = np.concatenate([own / own.sum(), np.full(len(strangers), 1 / len(strangers))])
    return distances, same[chosen], weights


def fitted(found: Pairs) -> ProbabilityCurve:
    """The curve that fits best."""
    distances, same, weights = found
    model = LogisticRegression(C=1e6).fit(distances[:, None], same, sample_weight=1000 * weights)
    return ProbabilityCurve(round(float(model.intercept_[0]), 2), round(float(model.coef_[0, 0]), 2))


def gap(curve: ProbabilityCurve, found: Pairs) -> float:
    """The mean difference between what is told and what is true."""
    distances, same, weights = found
    told = np.array([curve(distance) for distance in distances])
    total = 0.0
    for low in np.arange(0, 1, 0.1):
        inside = (told >= low) & (told < low + 0.1)
        if inside.any():
            share = weights[inside]
            total += abs(float((share * (told[inside] - same[inside])).sum()))
    return total / float(weights.sum())


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--split", type=int, default=0, help="seed of the halves")
    arguments = parser.parse_args()
    paths = sorted((arguments.shared / "data" / "lfw").glob("*/*.jpg"))
    for model in arguments.model or ("facenet", "sface"):
        with tempfile.TemporaryDirectory() as place:
            settings = {"gallery": f"{place}/gallery.db", "embedder": model, "backend": "onnxruntime"}
            with System(load_config(None, settings)) as system:
                found = embed_pictures(
                    paths,
                    system.detector,
                    system.embedder,
                    read_picture=read_picture,
                    report=lambda label, done, total: None,
                )
        acquired = [path for path in paths if found[path] is not None]
        rows = np.stack([row for row in found.values() if row is not None])
        people = [path.parent.name for path in acquired]
        half = np.random.default_rng(arguments.split).permutation(sorted(set(people)))
        train = set(half[: len(half) // 2].tolist())
        mine = np.array([person in train for person in people])
        curve = fitted(pairs(rows[mine], [one for one in people if one in train], 0))
        judged = gap(curve, pairs(rows[~mine], [one for one in people if one not in train], 1))
        whole = fitted(pairs(rows, people, 2))
        figures = {"half_offset": curve.offset, "half_slope": curve.slope, "gap_on_the_others": round(judged, 4)}
        print(json.dumps({"model": model, **figures, "offset": whole.offset, "slope": whole.slope}), flush=True)


if __name__ == "__main__":
    main()
