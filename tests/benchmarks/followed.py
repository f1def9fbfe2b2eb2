"""How often a stranger gets a name while followed, against how often one look at them gives a vote.

    python -m tests.benchmarks.followed --shared ../shared [--cache DIR] [--embedder facenet] [--people 100]

Strangers are the faces in ../shared's films, looked at when ``rtface run`` would, for half a minute at most. Galleries
are random LFW people by up to three pictures each, at the distance for one false vote in a hundred and in a thousand
looks. LFW's often photographed people, each a sequence of fifteen photographs, are strangers too: of others than them.
``ratio`` is what ``false_name_rate`` counts on being at most 4 (``gallery.evidence.AUTO_RATE``).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from rtface.config import load_config
from rtface.gallery.calibration import Calibration
from rtface.gallery.evidence import WINDOW, Evidence
from rtface.gallery.impostor_pairs import near_pairs, tail_from
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.memory import TrackMemory
from rtface.system import System
from rtface.types import Ballot
from tests.benchmarks.calibrated_open_set import ENROLLED_BY, MIN_SHARE, K, People, given
from tests.benchmarks.lfw_faces import Faces, lfw_faces

RATES = (0.01, 0.001)
GALLERIES = 200
HALF_A_MINUTE_S = 30.0
Rows = NDArray[np.float32]


@dataclass(slots=True)
class Looks:
    """Embeddings of one face, oldest first, and when each was seen."""

    rows: list[Rows]
    at: list[float]


def looks_in(system: System, film: Path) -> list[Looks]:
    """The looks at each face of a film that nobody in it is known to."""
    found: dict[int, Looks] = {}
    kept: list[TrackMemory] = []  # so that no two have one id
    add = TrackMemory.add

    def record(memory: TrackMemory, embedding: Rows, look: Ballot, at: float, quality: float) -> None:
        kept.append(memory)
        looks = found.setdefault(id(memory), Looks([], []))
        if not looks.at or at - looks.at[0] <= HALF_A_MINUTE_S:
            looks.rows.append(embedding)
            looks.at.append(at)
        add(memory, embedding, look, at, quality)

    with mock.patch.object(TrackMemory, "add", record):
        for _ in system.stream(film):
            pass
    return list(found.values())


def films(shared: Path) -> list[Path]:
    """Every film there is."""
    return sorted((shared / "data" / "videos").rglob("*.mkv")) + sorted((shared / "data" / "videos").glob("*.mp4"))


def photographs(faces: Faces) -> dict[int, Looks]:
    """Fifteen pictures of everybody who has so many."""
    often = np.flatnonzero(np.bincount(faces.people) >= WINDOW).tolist()
    return {person: Looks(list(faces.of(person)[:WINDOW]), [float(n) for n in range(WINDOW)]) for person in often}


def judges(faces: Faces, people: Sequence[int], calibrations: Mapping[float, Calibration]) -> dict[float, Judge]:
    """A gallery of these people, at each rate."""
    names = [str(person) for person in people for _ in faces.of(person)[:ENROLLED_BY]]
    gallery = People(names, np.concatenate([faces.of(person)[:ENROLLED_BY] for person in people]))
    rules = VoteRules(K, MIN_SHARE, "auto", "auto")
    return {rate: Judge(gallery, {}, rules, calibration=partial(given, made)) for rate, made in calibrations.items()}


def is_named(ballots: Sequence[Ballot], judge: Judge) -> bool:
    """Whether the looks reach a name at any moment."""
    evidence, rules = Evidence(), judge.rules(3)
    for look in ballots:
        evidence.add(look)
        if look.vote.person is not None and evidence.verdict(rules).identity.person is not None:
            return True
    return False


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder in which embeddings are kept for the next time")
    parser.add_argument("--embedder", default="facenet")
    parser.add_argument("--people", type=int, default=100)
    arguments = parser.parse_args()
    faces = lfw_faces(arguments.shared, arguments.embedder, cache=arguments.cache)
    tail = tail_from(near_pairs(faces.rows, faces.people))
    assert tail is not None
    calibrations = {rate: Calibration(rate, 0.0, 1.0, arguments.people, 0.0, tail) for rate in RATES}
    photographed = photographs(faces)
    with tempfile.TemporaryDirectory() as place:
        settings = {"embedder": arguments.embedder, "gallery": f"{place}/g.db"}
        with System(load_config(None, settings)) as system:
            filmed = [looks for film in films(arguments.shared) for looks in looks_in(system, film)]
    strangers = {"films": [looks for looks in filmed if len(looks.rows) >= 3], "photographs": [*photographed.values()]}
    others = sorted(set(range(len(faces.names))) - set(photographed))
    counts = {(kind, rate): np.zeros(4) for kind in strangers for rate in RATES}
    rng = np.random.default_rng(2)
    for _ in range(GALLERIES):
        enrolled = rng.permutation(others)[: arguments.people].tolist()
        for rate, judge in judges(faces, enrolled, calibrations).items():
            for kind, tracks in strangers.items():
                for looks in tracks:
                    rows = np.stack(looks.rows)
                    ballots = judge.look(rows)
                    votes = sum(look.vote.person is not None for look in ballots)
                    counts[kind, rate] += 1, is_named(ballots, judge), len(ballots), votes
    print("| strangers | faces | looks at each | rate asked | votes a look | faces named | ratio to votes | to rate |")
    print("|---|---|---|---|---|---|---|---|")
    for (kind, rate), (faced, names, looked, voted) in counts.items():
        a_look, a_face = voted / looked, names / faced
        print(
            f"| {kind} | {len(strangers[kind])} | {looked / faced:.1f} | {rate:g} | {a_look:.2g} | {a_face:.2g} | "
            f"{a_face / a_look if voted else 0:.2g} | {a_face / rate:.2g} |"
        )


if __name__ == "__main__":
    main()
