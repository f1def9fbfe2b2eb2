"""Whether a calibrated gallery keeps to its false identification rate: people not enrolled, target against reached.

    python -m tests.benchmarks.calibrated_open_set --shared ../shared [--cache DIR] [--embedder facenet] [--margin 0.1]

LFW's people are parted in four. The tail of impostor distances is measured on three parts and judged on the fourth,
four times; what is printed is all together. 10 and 100 people are enrolled out of the part that judges, by up to three
pictures each, many times over, and everybody else in it is a stranger, asked with one picture. 1,000 people are
enrolled out of the parts that were measured, and all of the fourth are strangers: no stranger is ever in the tail.
Whoever is enrolled and has pictures left is asked with up to four of them.

FPIR: looks at strangers that give a name. FNIR: looks at people enrolled that do not give theirs. Intervals hold 95 %
of samples of as many people drawn with replacement; where no stranger got a name, three in the number of strangers is
the upper end. ``refused`` says that rtface gallery calibrate refuses the rate: the people it knows cannot show it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.calibration import Calibration, likeness_of
from rtface.gallery.impostor_pairs import near_pairs, tail_from
from rtface.gallery.voting import comparisons
from rtface.pipeline.judge import Judge, VoteRules
from rtface.types import Neighbor
from tests.benchmarks.lfw_faces import Faces, lfw_faces

K, MIN_SHARE = 5, 0.3
ENROLLED_BY, ASKED_WITH = 3, 4
GALLERIES = {10: 60, 100: 12, 1000: 4}
"""People enrolled, and how many galleries of so many are drawn for each part."""
PARTS = 4
RATES = (0.01, 0.001)
RESAMPLED = 1000


class People:
    """A gallery in memory, searched exactly; fulfils ``interfaces.Gallery``."""

    revision = 1

    def __init__(self, names: Sequence[str], rows: NDArray[np.float32]) -> None:
        self._names, self._rows = names, rows

    def counts(self) -> Mapping[str, int]:
        """Rows of each."""
        return dict(zip(*np.unique(self._names, return_counts=True), strict=True))

    def refresh(self) -> bool:
        """Nothing ever changes."""
        return False

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """Brute force."""
        distances = np.clip(2 - 2 * (embeddings @ self._rows.T), 0, 4)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return [
            [Neighbor(self._names[int(row)], float(distances[query, row])) for row in rows]
            for query, rows in enumerate(nearest)
        ]

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Tally:
    """Looks by person, over all galleries: {person: [wrong answers, looks]}."""

    strangers: dict[int, list[int]] = field(default_factory=dict)
    known: dict[int, list[int]] = field(default_factory=dict)
    wrong_names: int = 0
    limits: list[float] = field(default_factory=list)
    refused: bool = False

    def count(self, whose: Sequence[int], names: Sequence[str | None], enrolled: Collection[int]) -> None:
        """Takes in the looks at one gallery."""
        for person, name in zip(whose, names, strict=True):
            known = person in enrolled
            looks = (self.known if known else self.strangers).setdefault(person, [0, 0])
            looks[0] += name != str(person) if known else name is not None
            looks[1] += 1
            self.wrong_names += known and name not in (None, str(person))


class Part:
    """A quarter of the people, and a tail of the others."""

    def __init__(self, faces: Faces, judging: Sequence[int]) -> None:
        self.faces = faces
        self.judging = judging
        self.others = sorted(set(range(len(faces.names))) - set(judging))
        measured = faces.only(self.others)
        tail = tail_from(near_pairs(measured.rows, measured.people))
        assert tail is not None
        self.tail = tail

    def draw(self, people: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """Whom to enrol, and who is a stranger."""
        order = rng.permutation(self.judging).tolist()
        if people < len(order) / 2:
            return order[:people], order[people:]
        return rng.permutation(self.others).tolist()[:people], order

    def count(self, people: int, margin: float, rng: np.random.Generator, tallies: Mapping[float, Tally]) -> None:
        """One gallery of so many people, asked at every rate."""
        enrolled, strangers = self.draw(people, rng)
        shown = {person: self.faces.of(person) for person in enrolled}
        by = {person: rows[: min(ENROLLED_BY, max(len(rows) - 1, 1))] for person, rows in shown.items()}
        numbers = np.repeat(np.arange(people), [len(rows) for rows in by.values()])
        rows = np.concatenate(list(by.values()))
        gallery = People([str(enrolled[number]) for number in numbers], rows)
        asked = [(person, row) for person in enrolled for row in shown[person][len(by[person]) :][:ASKED_WITH]]
        asked += [(person, self.faces.of(person)[0]) for person in strangers]
        queries, whose = np.stack([row for _, row in asked]), [person for person, _ in asked]
        ratio = likeness_of(near_pairs(rows, numbers), self.tail).ratio
        for rate, tally in tallies.items():
            made = Calibration(rate, margin, ratio, people, 0.0, self.tail)
            judge = Judge(gallery, {}, VoteRules(K, MIN_SHARE, "auto", "auto"), calibration=partial(given, made))
            tally.refused |= not made.holds(comparisons(gallery.counts(), k=K, min_share=MIN_SHARE))
            tally.limits.append(judge.limit)
            tally.count(whose, named(judge, queries, rows), set(enrolled))


def given(calibration: Calibration) -> Calibration:
    """The calibration that a judge reads."""
    return calibration


def named(judge: Judge, queries: NDArray[np.float32], rows: NDArray[np.float32]) -> list[str | None]:
    """The name of each look; one with no row inside the limit has none, and is not asked for to save time."""
    near = np.flatnonzero((2 - 2 * (queries @ rows.T)).min(axis=1) <= judge.limit + 1e-4)
    names: list[str | None] = [None] * len(queries)
    for place, verdict in zip(near.tolist(), judge.vote(queries[near]), strict=True):
        names[place] = verdict.person
    return names


def with_interval(looks: Mapping[int, Sequence[int]]) -> str:
    """The rate in per cent with its interval, people drawn with replacement."""
    table = np.array(list(looks.values()), np.float64)
    wrong, asked = table.sum(axis=0)
    if not wrong:
        return f"0 (0 to {300 / len(table):.2g})"
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), RESAMPLED)
    totals = times @ table
    low, high = np.quantile(totals[:, 0] / totals[:, 1], (0.025, 0.975))
    return f"{100 * wrong / asked:.2g} ({100 * low:.2g} to {100 * high:.2g})"


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder in which embeddings are kept for the next time")
    parser.add_argument("--embedder", action="append", help="default: facenet and sface")
    parser.add_argument("--margin", type=float, default=0.0)
    arguments = parser.parse_args()
    print("| embedder | enrolled | target FPIR % | reached FPIR % | FNIR % | of it wrong names % | limit | |")
    print("|---|---|---|---|---|---|---|---|")
    logging.getLogger("rtface").setLevel(logging.ERROR)  # that a rate cannot be shown stands in the table
    for embedder in arguments.embedder or ["facenet", "sface"]:
        faces = lfw_faces(arguments.shared, embedder, cache=arguments.cache)
        order = np.random.default_rng(5).permutation(len(faces.names))
        parts = [Part(faces, part.tolist()) for part in np.array_split(order, PARTS)]
        for people, galleries in GALLERIES.items():
            tallies, rng = {rate: Tally() for rate in RATES}, np.random.default_rng(people)
            for part in parts:
                for _ in range(galleries):
                    part.count(people, arguments.margin, rng, tallies)
            for rate, tally in tallies.items():
                print_row(f"| {embedder} | {people:,} | {100 * rate:g} |", tally)


def print_row(start: str, tally: Tally) -> None:
    """One line of the table."""
    looks = sum(asked for _, asked in tally.known.values())
    print(
        f"{start} {with_interval(tally.strangers)} | {with_interval(tally.known)} | "
        f"{100 * tally.wrong_names / max(looks, 1):.2g} | {np.mean(tally.limits):.3f} | "
        f"{'refused' if tally.refused else ''} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
