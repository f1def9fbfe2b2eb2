"""``rtface verify``: the same person or not."""

from __future__ import annotations

from pathlib import Path

import click

from rtface.cli._shared import PATH, finite, open_system, print_json, settings_options


@click.command("verify")
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@settings_options
def command(first: Path, second: Path, config: Path | None, settings: tuple[str, ...]) -> None:
    """Say whether FIRST and SECOND show the same person: pictures, folders of pictures, or videos.

    The largest face of each picture counts; of a folder or video up to 100 faces, each compared with each of the other.
    Prints one JSON line: same, distance (squared L2, 0..4; a mean where there are several faces), the threshold, which
    is where one pair of strangers in 1,000 would pass, and the probability that they are the same person if that is as
    likely as not beforehand (null: this model has not been measured). The gallery is not asked.
    """
    with open_system(config, settings) as system:
        answer = system.verify(first, second)
    print_json(
        {
            "same": answer.same,
            "distance": finite(answer.distance),
            "threshold": finite(answer.threshold),
            "probability": None if answer.probability is None else finite(answer.probability),
        }
    )
