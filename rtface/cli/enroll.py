"""``rtface enroll``: pictures or a camera to gallery rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import open_system, print_json, say, settings_options
from rtface.errors import PictureError

if TYPE_CHECKING:
    from rtface.enrollment import PictureOutcome
    from rtface.system import System


@click.command("enroll")
@click.argument("name")
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--camera", "--source", "source", metavar="N|URI", help="Take good frames from a camera or video.")
@click.option("--count", default=10, show_default=True, type=click.IntRange(1), help="Good frames to take.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a picture, printed once it is durable.")
@settings_options
def command(
    name: str,
    pictures: tuple[Path, ...],
    source: str | None,
    count: int,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Enrol NAME from PICTURES (files or folders) or from a camera.

    Each picture passes a quality gate; what is refused is told with its reason. A picture is in the gallery for good
    when it is reported, and enrolling the same folder again adds only what is new.
    """
    if bool(pictures) == (source is not None):
        raise click.UsageError("Give pictures or a folder, or --camera N, but not both: rtface enroll NAME DIR/")
    with open_system(config, settings) as system:
        outcomes = _from_source(system, name, source, count) if source else _from_files(system, name, pictures)
        accepted, refused = _tell(outcomes, as_json)
    say(f"{name}: {accepted} enrolled, {refused} refused. Gallery: {system.config.gallery}")
    if not accepted and refused:
        sys.exit(1)


def _from_files(system: System, name: str, places: tuple[Path, ...]) -> Iterator[PictureOutcome]:
    from rtface.gallery.store import person_name
    from rtface.sources.images import list_pictures

    name = person_name(name)
    files = [file for place in places for file in (list_pictures(place) if place.is_dir() else [place])]
    if not files:
        raise PictureError(f"There is no picture in {places[0]}. Known kinds are JPEG, PNG, WebP, BMP and TIFF.")
    return system.enroller().enroll(name, files)


def _from_source(system: System, name: str, uri: str, count: int) -> Iterator[PictureOutcome]:
    from rtface.enrollment import enroll_from_source
    from rtface.gallery.store import person_name
    from rtface.sources import open_source

    name = person_name(name)
    say(f"Look into the camera and turn your head a little; {count} good frames are wanted. Ctrl-C ends early.")
    return enroll_from_source(system.enroller(), name, open_source(uri), count)


def _tell(outcomes: Iterator[PictureOutcome], as_json: bool) -> tuple[int, int]:
    """Prints each outcome as it comes; gives how many were accepted and refused."""
    from rich.console import Console
    from rich.table import Table

    table = Table("picture", "", "quality", "reason", title=None)
    accepted = refused = 0
    for outcome in outcomes:
        accepted += outcome.accepted
        refused += not outcome.accepted
        quality = None if outcome.quality is None else round(outcome.quality, 3)
        if as_json:
            print_json(
                {
                    "picture": outcome.picture,
                    "accepted": outcome.accepted,
                    "reason": outcome.reason,
                    "quality": quality,
                }
            )
        else:
            table.add_row(
                outcome.picture, "✓" if outcome.accepted else "✗", f"{quality:.2f}" if quality else "", outcome.reason
            )
    if not as_json:
        Console(stderr=True).print(table)
    return accepted, refused
