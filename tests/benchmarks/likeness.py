"""How like real faces those of ``people.py`` lie, and how like real searches the questions of ``recall.py``.

    python tests/benchmarks/likeness.py --shared ../shared --keep KEPT [--sizes 512 128] [--rows 20000]

Prints, for FaceNet (512 numbers) and SFace (128) on LFW, in Markdown:

1. distances between pictures of the same person and of different people, real and made up;
2. intrinsic dimension (TwoNN: Facco, d'Errico, Rodriguez, Laio, *Estimating the intrinsic dimension of datasets by a
   minimal neighborhood information*, 2017) of one picture a person, of as many real and made-up people;
3. recall@1 of a small graph over one picture a person, asked with second pictures, real and made up;
4. how far the rows of a third of the people lie from a subspace fitted on the others;
5. recall@1 over ``--rows`` made-up people asked with second pictures and strangers, beside the questions that rtface
   makes of the rows, rows moved in any direction, and rows asked for their nearest other one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from rtface.gallery.graph import HnswIndex  # noqa: E402
from rtface.gallery.recall import APART, questions  # noqa: E402
from rtface.gallery.subspace import fitted as fitted_space  # noqa: E402
from tests.benchmarks.people import MODELS, People, embedded, fitted, real, unit  # noqa: E402

Rows = NDArray[np.float32]
Names = NDArray[np.str_]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SMALL_EFFORTS = (2, 4, 8, 16, 32)
EFFORTS = (16, 32, 64, 128, 256)
SMALL_LINKS = 4
ASKED = 1000


def main() -> None:
    """Prints it all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="a folder for embeddings, used again")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 128], choices=list(MODELS))
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    for size in options.sizes:
        vectors, names = real(embedded(options.shared, options.keep, size))
        people = fitted(vectors, names)
        print(f"\n{MODELS[size]}: {len(vectors)} pictures of {len(np.unique(names))} people\n")
        print("| | " + " | ".join(f"{100 * q:.0f} %" for q in QUANTILES) + " |\n" + "|---" * 6 + "|")
        distances(vectors, names, people)
        small(vectors, names, people)
        subspace(vectors, names)
        searches(people, options.rows)


def distances(vectors: Rows, names: Names, people: People) -> None:
    """Quantiles of squared distances, real and made up."""
    first, second = pairs(names)
    count = len(first)
    other = np.random.default_rng(1).permutation(len(vectors))
    strange = names != names[other]
    ours, theirs = people.block(0, 0, count), people.block(0, 1, count)
    _row("same person, real", apart(vectors[first], vectors[second]))
    _row("same person, made up", apart(ours, theirs))
    _row("different people, real", apart(vectors, vectors[other])[strange])
    _row("different people, made up", apart(ours, np.roll(theirs, 1, axis=0)))


def small(vectors: Rows, names: Names, people: People) -> None:
    """Intrinsic dimension and recall of a small graph, one picture a person."""
    first, second = pairs(names)
    _, ones = np.unique(names, return_index=True)
    ones = np.concatenate([first, np.setdiff1d(ones, np.flatnonzero(np.isin(names, names[first])))])
    truth, made = vectors[ones], people.block(0, 0, len(ones))
    print(f"\nIntrinsic dimension of {len(ones)} rows: real {dimension(truth):.1f}, made up {dimension(made):.1f}\n")
    print(f"| recall@1, {len(ones)} rows, M {SMALL_LINKS}, ef | " + " | ".join(map(str, SMALL_EFFORTS)) + " |")
    print("|---" * (len(SMALL_EFFORTS) + 1) + "|")
    asked = people.block(0, 1, len(first))
    for label, rows, queries in (("real", truth, vectors[second]), ("made up", made, asked)):
        _recalls(f"second pictures, {label}", graph(rows, SMALL_LINKS), rows, queries, SMALL_EFFORTS)


def subspace(vectors: Rows, names: Names) -> None:
    """Distance of rows to a subspace that other people's rows were fitted with."""
    every = np.unique(names)
    mine = ~np.isin(names, every[::3])
    space = fitted_space(vectors[mine])
    if space is None:
        print("\nNo subspace of half as many dimensions holds two thirds of the people.\n")
        return
    left = space.inside(vectors[~mine])[1]
    print(
        f"\nTwo thirds of the people lie in {len(space.axes)} dimensions; rows of the others are "
        f"{left.mean():.1e} away from these in the mean, at most {left.max():.1e} (squared).\n"
    )


def searches(people: People, count: int) -> None:
    """Recall of rtface's graph for searches that happen and for questions that stand in for them."""
    rows = np.concatenate([block for _, block in people.gallery(count)])
    index = graph(rows, 16)
    sample = rows[np.random.default_rng(2).choice(count, min(ASKED, count), replace=False)]
    print(f"| recall@1, {count} rows, M 16, ef | " + " | ".join(map(str, EFFORTS)) + " |")
    print("|---" * (len(EFFORTS) + 1) + "|")
    _recalls("second pictures", index, rows, people.queries(count, ASKED), EFFORTS)
    _recalls("strangers", index, rows, people.strangers(ASKED), EFFORTS)
    _recalls("questions of recall.py", index, rows, questions(sample), EFFORTS)
    _recalls("rows moved in any direction", index, rows, anywhere(sample), EFFORTS)
    _recalls("rows, their nearest other", index, rows, sample, EFFORTS, own=True)


def graph(rows: Rows, links: int) -> HnswIndex:
    """Of all rows, in their subspace if they have one."""
    index = HnswIndex(rows.shape[1], room=len(rows), links=links, space=fitted_space(rows), threads=1)
    index.add(np.arange(len(rows), dtype=np.int64), rows)
    return index


def anywhere(rows: Rows) -> Rows:
    """Rows moved as far as ``questions`` are, each in a random direction."""
    noise = np.random.default_rng(3).standard_normal(rows.shape)
    across = unit(noise - np.einsum("nd,nd->n", noise, rows)[:, None] * rows)
    cosine = 1 - np.linspace(*APART, len(rows))[:, None] / 2
    return unit(np.asarray(cosine * rows + np.sqrt(1 - cosine**2) * across, np.float32))


def pairs(names: Names) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two pictures of everybody who has two."""
    people, first, counts = np.unique(names, return_index=True, return_counts=True)
    two = first[counts > 1]
    order = np.argsort(names, kind="stable")
    place = np.searchsorted(names[order], people[counts > 1])
    return two, order[place + 1]


def apart(one: Rows, other: Rows) -> NDArray[np.float32]:
    """(N,) squared distances."""
    return np.asarray(((one - other) ** 2).sum(axis=1), np.float32)


def dimension(rows: Rows) -> float:
    """TwoNN's maximum likelihood estimate."""
    near = np.partition(np.maximum(2 - 2 * rows @ rows.T, 0) + 9 * np.eye(len(rows), dtype=np.float32), 1, axis=1)
    ratio = np.sqrt(near[:, 1] / np.maximum(near[:, 0], 1e-12))
    return float(len(rows) / np.log(np.maximum(ratio, 1)).sum())


def _recalls(
    label: str, index: HnswIndex, rows: Rows, asked: Rows, efforts: tuple[int, ...], *, own: bool = False
) -> None:
    cosines = asked @ rows.T
    if own:
        cosines[cosines > 1 - 1e-6] = -1
    nearest, found = cosines.argmax(axis=1), []
    for effort in efforts:
        index.effort = effort
        labels, _ = index.search(asked, 2 if own else 1)
        found.append(float(np.mean((labels == nearest[:, None]).any(axis=1))))
    print(f"| {label} | " + " | ".join(f"{recall:.3f}" for recall in found) + " |", flush=True)


def _row(label: str, values: NDArray[np.float32]) -> None:
    print(f"| {label} | " + " | ".join(f"{value:.2f}" for value in np.quantile(values, QUANTILES)) + " |", flush=True)


if __name__ == "__main__":
    main()
