"""FaceNet's limits, tail of impostors and probability curve, of people its head did not learn from.

    python -m tests.benchmarks.head_limits --shared ../shared --keep DIR

The shipped head learned on folds 1 to 3 of LFW, so their distances through it would flatter. Here the people of each
fold, and those that are in no fold, go through a head trained on the two other folds, and are compared among
themselves; pairs of people of two folds are left out, and the others count for them. The last lines show what it would
have been otherwise, and the shipped head on the people nothing was learned from. Embeddings are kept in DIR (see
``quality``).
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rtface.gallery.impostor_pairs import NearPairs, tail_from
from rtface.models import catalogue
from tests.benchmarks import heads
from tests.benchmarks.quality import FOLDS, MISLABELLED, Faces, by_fold, embedded, together

RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FARTHEST = 1.75
"""More than a tenth of all pairs lie within; farther ones would only take memory."""
DRAWN = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs of pictures: distance, and the numbers of the two people; all (N,)."""

    distances: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @property
    def same(self) -> NDArray[np.bool_]:
        """(N,) whether both are one person."""
        return np.asarray(self.first == self.second)


def compared(rows: NDArray[np.float32], people: NDArray[np.int64], asked: NDArray[np.bool_]) -> Compared:
    """Every two pictures of which one is asked for; ``asked`` is (N,)."""
    first, second = np.triu_indices(len(rows), 1)
    wanted = asked[first] | asked[second]
    first, second = first[wanted], second[wanted]
    return Compared((2 - 2 * rows @ rows.T)[first, second].astype(np.float64), people[first], people[second])


def limits(label: str, found: Compared) -> None:
    """Distances at which so many of the different pairs pass, and how many of the same ones do."""
    different, same = np.sort(found.distances[~found.same]), found.distances[found.same]
    at = {rate: float(different[int(rate * len(different))]) for rate in RATES if rate * len(different) >= 1}
    told = "  ".join(f"{rate:g}: {limit:.3f} ({100 * np.mean(same <= limit):.1f} %)" for rate, limit in at.items())
    print(f"{label}: {told}; {len(same)} same and {len(different)} different pairs", flush=True)


def tail(found: Compared, people: int, pictures: NDArray[np.int64]) -> None:
    """Prints the table of impostors.toml; pairs of people that were not compared count as the others do."""
    different = ~found.same
    pairs = len({(min(pair), max(pair)) for pair in zip(found.first[different], found.second[different], strict=True)})
    near = np.flatnonzero(different & (found.distances <= FARTHEST))
    near = near[np.argsort(found.distances[near], kind="stable")]
    first, second = found.first[near], found.second[near]
    weights = math.comb(people, 2) / pairs / (pictures[first] * pictures[second])
    made = tail_from(NearPairs(people, first, second, found.distances[near], weights))
    assert made is not None
    print(f"people = {made.people}\nsteps = [")
    for step in made.steps:
        print(f"    [{step.distance:.4f}, {step.rate:.3g}, {step.low:.3g}, {step.high:.3g}],")
    print("]", flush=True)


def curve(found: Compared) -> None:
    """Prints the logistic regression that ``probability`` makes: same pairs have half the weight, people count once."""
    strangers = np.random.default_rng(0).choice(np.flatnonzero(~found.same), DRAWN, replace=False)
    same = np.flatnonzero(found.same)
    each = Counter(found.first[same].tolist())
    own = np.array([1 / each[person] for person in found.first[same].tolist()])
    chosen = np.concatenate([same, strangers])
    weights = np.concatenate([own / own.sum(), np.full(DRAWN, 1 / DRAWN)])
    model = LogisticRegression(C=1e6)
    model.fit(found.distances[chosen, None], found.same[chosen], sample_weight=1000 * weights)
    print(f"offset = {model.intercept_[0]:.2f}\nslope = {model.coef_[0, 0]:.2f}", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    arguments = parser.parse_args()
    everybody = embedded("lfw", arguments.shared, arguments.keep, "facenet")
    everybody = everybody.of(~np.isin(everybody.people, sorted(MISLABELLED)))
    folds = by_fold(everybody, arguments.shared)
    strangers = embedded("strangers", arguments.shared, arguments.keep, "facenet").stills
    names, whose, pictures = np.unique(everybody.people, return_inverse=True, return_counts=True)
    inside = {fold: np.isin(everybody.people, faces.people) for fold, faces in folds.items()}
    outside = ~np.logical_or.reduce(list(inside.values()))
    parts = []
    for fold in FOLDS:
        taught: Faces = together(folds, [other for other in FOLDS if other != fold])
        head = heads.fit_head(taught.stills, taught.people, strangers)
        here = inside[fold] | outside
        asked = inside[fold] | (outside if fold == FOLDS[-1] else np.zeros_like(outside))
        parts.append(compared(head(everybody.stills[here]), whose[here].astype(np.int64), asked[here]))
    fields = (np.concatenate([getattr(part, name) for part in parts]) for name in ("distances", "first", "second"))
    found = Compared(*fields)
    limits("through heads that learned from others", found)
    tail(found, len(names), pictures)
    curve(found)
    shipped = catalogue.load(catalogue.shipped_file().parent)["facenet"].head
    assert shipped is not None
    rows = shipped(everybody.stills)
    limits("shipped head, those it learned from as well", compared(rows, whose, np.ones(len(whose), np.bool_)))
    limits("shipped head, in no fold", compared(rows[outside], whose[outside], np.ones(outside.sum(), np.bool_)))


if __name__ == "__main__":
    main()
