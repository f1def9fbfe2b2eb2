"""``rtface enroll``: pictures or a camera to gallery rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._gallery import known_as
from rtface.cli._shared import PATH, open_system, print_json, say, settings_options
from rtface.errors import PictureError

if TYPE_CHECKING:
    from rtface.enrollment import Intent, PictureOutcome
    from rtface.system import System


@click.command("enroll")
@click.argument("name")
@click.argument("pictures", nargs=-1, type=PATH)
@click.option("--camera", "--source", "source", metavar="N|URI", help="Take good frames from a camera or video.")
@click.option("--count", default=10, show_default=True, type=click.IntRange(1), help="Good frames to take.")
@click.option("--not", "against", is_flag=True, help="Counter-examples: these faces are NOT this person.")
@click.option("--look-alike", is_flag=True, help="Take faces that look like somebody else enrolled: twins, say.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a picture, printed once it is durable.")
@settings_options
def command(
    name: str,
    pictures: tuple[Path, ...],
    source: str | None,
    count: int,
    against: bool,
    look_alike: bool,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Enrol NAME from PICTURES (files or folders), or from a camera or video.

    Each picture passes a quality gate; what is refused is told with its reason. A picture is in the gallery for good
    when it is reported, and enrolling the same folder again adds only what is new.

    A face that looks like somebody else who is enrolled is refused: one of the two names is wrong. With --look-alike it
    is taken. With --not the faces are kept as counter-examples: who looks like them is not taken for NAME.

    With --json one line a picture: picture, accepted, reason, quality. Exit code 1 when there is not one good picture.
    """
    if bool(pictures) == (source is not None):
        raise click.UsageError("Give pictures or a folder, or --camera N, but not both: rtface enroll NAME DIR/")
    from rtface.enrollment import Intent

    told: list[PictureOutcome] = []
    with open_system(config, settings) as system:
        intent = Intent(against=against, look_alike=look_alike)
        outcomes = (
            _from_files(system, name, pictures, intent)
            if source is None
            else _from_source(system, name, source, count, intent)
        )
        try:
            for outcome in outcomes:
                told.append(outcome)
                if as_json:
                    print_json(_record(outcome))
        except KeyboardInterrupt:
            if source is None:
                raise
            say("Stopped.")
        finally:
            if told and not as_json:
                _print_table(told)
    accepted = sum(outcome.accepted for outcome in told)
    kept = "kept as counter-examples" if against else "enrolled"
    say(f"{known_as(name)}: {accepted} {kept}, {len(told) - accepted} refused. Gallery: {system.config.gallery}")
    if not any(outcome.accepted or outcome.already for outcome in told):
        sys.exit(1)


def _from_files(system: System, name: str, places: tuple[Path, ...], intent: Intent) -> Iterator[PictureOutcome]:
    from rtface.gallery.store import person_name
    from rtface.sources.images import pictures_at

    name = person_name(name)
    files = pictures_at(places)
    if not files:
        raise PictureError(f"There is no picture in {places[0]}. Known kinds are JPEG, PNG, WebP, BMP and TIFF.")
    return system.enroller().enroll(name, files, intent)


def _from_source(system: System, name: str, uri: str, count: int, intent: Intent) -> Iterator[PictureOutcome]:
    from rtface.enrollment import enroll_from_source
    from rtface.gallery.store import person_name
    from rtface.sources import open_source

    name = person_name(name)
    source = open_source(uri)
    if source.live:
        say(f"Look into the camera and turn your head a little; {count} good frames are wanted. Ctrl-C ends early.")
    return enroll_from_source(system.enroller(), name, source, count, intent)


def _record(outcome: PictureOutcome) -> dict[str, object]:
    return {
        "picture": outcome.picture,
        "accepted": outcome.accepted,
        "reason": outcome.reason,
        "quality": None if outcome.quality is None else round(outcome.quality, 3),
    }


def _print_table(outcomes: list[PictureOutcome]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("picture", "", "quality", "reason")
    for outcome in outcomes:
        quality = "" if outcome.quality is None else f"{outcome.quality:.2f}"
        # As Text, because a file's name may look like markup.
        table.add_row(Text(outcome.picture), "✓" if outcome.accepted else "✗", quality, Text(outcome.reason))
    Console(stderr=True).print(table)
