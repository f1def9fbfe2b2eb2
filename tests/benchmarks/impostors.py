"""engines/impostors.toml: how near pictures of different people come to each other, for each shipped embedder.

    python -m tests.benchmarks.impostors --shared ../shared [--cache DIR]

All people of LFW folds 1-3 but four who are mislabelled, as ``lfw_faces`` embeds them. ``calibrated_open_set`` shows on
halves of them what such a tail promises of people it was not measured on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rtface.gallery.impostor_pairs import near_pairs, tail_from
from tests.benchmarks.lfw_faces import lfw_faces

WITHIN = {"facenet": 1.7, "sface": 1.8}
"""Farther pairs would only take memory: more than a tenth of all lie within."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder in which embeddings are kept for the next time")
    arguments = parser.parse_args()
    for model, within in WITHIN.items():
        faces = lfw_faces(arguments.shared, model, cache=arguments.cache)
        tail = tail_from(near_pairs(faces.rows, faces.people, within=within))
        assert tail is not None
        print(f'[{model}]\nfingerprint = "{faces.fingerprint}"\npeople = {tail.people}\nsteps = [')
        for step in tail.steps:
            print(f"    [{step.distance:.4f}, {step.rate:.3g}, {step.low:.3g}, {step.high:.3g}],")
        print("]\n", flush=True)


if __name__ == "__main__":
    main()
