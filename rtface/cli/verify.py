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
    """Say whether FIRST and SECOND show the same person.

    The largest face of each is compared. Prints one JSON line: same, distance (squared L2, 0..4) and the threshold,
    which is where one pair of strangers in 1,000 would pass. The gallery is not asked.
    """
    with open_system(config, settings) as system:
        answer = system.verify(first, second)
    print_json({"same": answer.same, "distance": finite(answer.distance), "threshold": finite(answer.threshold)})
