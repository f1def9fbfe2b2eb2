"""Harmonic embeddings on two really different networks, FaceNet and SFace, in both directions.

    python -m tests.benchmarks.harmonic --shared ../shared [--judge 3] [--set threads=1]

LFW's people of one fold of View 2 are judged, all pairs of all their pictures; everybody else who is here is learned
from, some of them to decide when to end. VAL at FAR with a 95 % interval from drawing people, as the paper puts it: the
old model alone, the new one against a gallery of the old one, the new one alone. Everything goes through the product:
its detector, its embedders, its training. Embeddings are kept in the cache of ``rtface evaluate``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.cli._evaluate_shared import Wishes, opened
from rtface.evaluation.lfw import read_protocol
from rtface.models.harmonic import Layer
from rtface.training import harmonic
from rtface.training.people import People, read_people
from tests.benchmarks.rates import Judge, Measured

RATES = (1e-3, 1e-4, 1e-5)
Rows = NDArray[np.float32]


def embedded(people: People, model: str, settings: list[str]) -> list[Rows | None]:
    """The vector of each picture, as stills are embedded; None where no face is found."""
    wanted = Wishes(False, None, True, 0, "central", None, (*settings, f"embedder={model}"))
    with opened(wanted) as run:
        found = run.reader.embed(people.pictures, run.report)
        return [found[path] for path in people.pictures]


def judged_people(shared: Path, fold: int) -> set[str]:
    """Who is in a fold of View 2."""
    data = shared / "data"
    protocol = read_protocol(data / "lfw_pairs_folds1-3.txt", data / "lfw")
    return {side.parent.name for pair in protocol.folds[fold - 1] for side in (pair.first, pair.second)}


def learned(pictures: harmonic.Twice) -> tuple[tuple[Layer, Layer], tuple[Layer, Layer], int]:
    """The start by correlation, the maps after the triplet loss, and how many steps were kept."""
    watched, taught = harmonic.held_out(pictures, harmonic.STOPPING, 1)
    start = harmonic.best_start(taught, watched)
    maps, steps = harmonic.refined(start, taught, watched, steps=harmonic.STEPS, seed=0, report=lambda *_: None)
    return start, maps, steps


def row(label: str, measured: Measured) -> str:
    """A row of the table."""
    ends = zip(measured.val, *np.percentile(measured.draws, [2.5, 97.5], axis=0), strict=True)
    return f"| {label} | " + " | ".join(f"{100 * v:.1f} ({100 * a:.1f}-{100 * b:.1f})" for v, a, b in ends) + " |"


def table(names: tuple[str, str], taught: harmonic.Twice, judged: harmonic.Twice, judge: Judge) -> None:
    """Prints one direction."""
    old, new = names
    start, maps, steps = learned(taught)
    old_alone, new_alone = judge.measure(judged.old), judge.measure(judged.new)
    mapped, last = maps[0](judged.old), maps[1](judged.new)
    crossed, harmonic_alone = judge.measure(mapped, last), judge.measure(last)
    print(f"\n**{old} to {new}** ({steps} steps of the harmonic triplet loss)\n")
    print("| compared | " + " | ".join(f"VAL at FAR {rate:g}" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    print(row(f"{old} against {old} (old, as enrolled)", old_alone))
    print(row(f"{old} mapped against {old} mapped", judge.measure(mapped)))
    print(row(f"**{new} against a gallery of {old} (migrated)**", crossed))
    print(row(f"{new} with its last layer against itself", harmonic_alone))
    print(row(f"{new} against {new} (new, all enrolled again)", new_alone))
    print(
        row(
            "the same comparison with the start alone, without triplets",
            judge.measure(start[0](judged.old), start[1](judged.new)),
        )
    )
    for label, one, other in (
        ("migrated over old", crossed, old_alone),
        ("new alone over migrated", new_alone, crossed),
        ("last layer over new alone", harmonic_alone, new_alone),
    ):
        gains = zip(*one.gain_over(other), strict=True)
        print(f"{label}: " + ", ".join(f"{100 * g:+.1f} ({100 * a:+.1f} {100 * b:+.1f})" for g, a, b in gains))


def main() -> None:
    """Prints both directions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--judge", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    arguments = parser.parse_args()
    people = read_people(arguments.shared / "data" / "lfw")
    vectors = {model: embedded(people, model, arguments.settings) for model in ("facenet", "sface")}
    pairs = list(zip(vectors["facenet"], vectors["sface"], strict=True))
    both = [place for place, (one, other) in enumerate(pairs) if one is not None and other is not None]
    names = np.array(people.names)[people.owners[both]]
    inside = np.isin(names, sorted(judged_people(arguments.shared, arguments.judge)))
    judge = Judge(names[inside], RATES)
    print(
        f"LFW, fold {arguments.judge}: {len(np.unique(names[inside]))} people, {inside.sum()} pictures judged; ", end=""
    )
    print(f"{len(np.unique(names[~inside]))} people, {(~inside).sum()} pictures learned from")
    for old, new in (("facenet", "sface"), ("sface", "facenet")):
        one, other = (np.array([vectors[model][place] for place in both], np.float32) for model in (old, new))
        whole = harmonic.Twice(one, other, people.owners[both])
        table((old, new), whole.of(~inside), whole.of(inside), judge)


if __name__ == "__main__":
    main()
