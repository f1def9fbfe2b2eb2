"""Counter-examples on look-alikes: does one picture of a stranger who is taken for somebody keep the name from them?

    python -m tests.benchmarks.counter_examples --shared ../shared [--cache DIR] [--embedder facenet]

Everybody in LFW with at least four pictures is enrolled in turn, alone and by three of them. Of the people with at
least two pictures those whose first picture gets the name are the look-alikes; the distance is wide enough for there to
be some. That picture is then stored as "not this person", and their other pictures are asked, and the enrolled one's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.voting import vote
from rtface.types import Neighbor
from tests.benchmarks.lfw_faces import lfw_faces

Rows = NDArray[np.float32]
ENROLLED_BY = 3
LIMITS = {"facenet": (0.85, 1.02), "sface": (1.16, 1.27)}
"""At which one comparison in 10,000 and one in 1,000 goes wrong (engines/impostors.toml)."""


def named(rows: Rows, enrolled: Rows, against: Rows | None, limit: float) -> NDArray[np.bool_]:
    """(N,) whether each look gets the name."""
    verdicts = []
    for row in rows:
        found = [Neighbor("known", float(distance)) for distance in 2 - 2 * (enrolled @ row)]
        if against is not None:
            found += [Neighbor("known", float(distance), against=True) for distance in 2 - 2 * (against @ row)]
        identity = vote(found, limit=limit, k=5, enrolled={"known": len(enrolled)}, min_share=0.3)
        verdicts.append(identity.person is not None)
    return np.array(verdicts, np.bool_)


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder in which embeddings are kept for the next time")
    parser.add_argument("--embedder", action="append", help="default: facenet and sface")
    arguments = parser.parse_args()
    print("| embedder | limit | look-alikes | their other pictures named before | after | the right person's | after |")
    print("|---|---|---|---|---|---|---|")
    for embedder in arguments.embedder or ["facenet", "sface"]:
        faces = lfw_faces(arguments.shared, embedder, cache=arguments.cache)
        pictures = np.bincount(faces.people)
        firsts = {person: faces.of(person)[0] for person in np.flatnonzero(pictures >= 2).tolist()}
        for limit in LIMITS[embedder]:
            counts = np.zeros(4, np.int64)
            looks = np.zeros(2, np.int64)
            pairs = 0
            for person in np.flatnonzero(pictures > ENROLLED_BY).tolist():
                enrolled, own = faces.of(person)[:ENROLLED_BY], faces.of(person)[ENROLLED_BY:]
                others = [other for other in firsts if other != person]
                taken = named(np.stack([firsts[other] for other in others]), enrolled, None, limit)
                for other in np.array(others)[taken].tolist():
                    against, rest = faces.of(other)[:1], faces.of(other)[1:]
                    pairs += 1
                    looks += len(rest), len(own)
                    for place, rows in ((0, rest), (2, own)):
                        counts[place] += named(rows, enrolled, None, limit).sum()
                        counts[place + 1] += named(rows, enrolled, against, limit).sum()
            told = " | ".join(f"{count} of {looks[place // 2]}" for place, count in enumerate(counts.tolist()))
            print(f"| {embedder} | {limit} | {pairs} | {told} |", flush=True)


if __name__ == "__main__":
    main()
