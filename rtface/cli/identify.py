"""``rtface identify``: who is in pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import PATH, finite, open_system_to_look, print_json, read_config, say, settings_options
from rtface.errors import PictureError

if TYPE_CHECKING:
    from rtface.stills import IdentifiedFace
    from rtface.system import System


@click.command("identify")
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@click.option("--distances", is_flag=True, help="Add the nearest gallery rows of each face, whatever the threshold.")
@settings_options
def command(pictures: tuple[Path, ...], distances: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Say who is in PICTURES: one JSON line a picture, with each face's box, name, distance and share of votes.

    Keys: picture, faces; of a face box [left, top, right, bottom], score, quality, person (null: a stranger), distance
    (squared L2, 0..4, to the nearest vote), share; with --distances also neighbors, nearest first.

    A picture that cannot be read is told on stderr, the others are reported; the exit code is 1 then. So it is when
    there is no gallery yet: faces are found, but nobody has a name.
    """
    complete = True
    with open_system_to_look(config, settings) as system:
        gallery = read_config(config, settings).gallery
        if system.config.gallery != gallery:
            complete = False
            say(f"rtface: There is no gallery {gallery}, so nobody has a name: rtface enroll NAME DIR makes it.")
        for picture in pictures:
            try:
                faces = [_record(system, found, distances) for found in system.identify(picture)]
            except PictureError as error:
                complete = False
                say(f"rtface: {error}")
                continue
            print_json({"picture": str(picture), "faces": faces})
    sys.exit(0 if complete else 1)


def _record(system: System, found: IdentifiedFace, distances: bool) -> dict[str, object]:
    detection, identity = found.face.detection, found.identity
    record: dict[str, object] = {
        "box": [round(float(side), 1) for side in detection.box],
        "score": round(detection.score, 4),
        "quality": round(found.face.quality, 3),
        "person": identity.person,
        "distance": finite(identity.distance),
        "share": round(identity.share, 3),
    }
    if distances:
        nearest = system.gallery.search(found.face.embedding[None], max(system.config.k, 10))[0]
        record["neighbors"] = [
            {"person": neighbor.person, "distance": finite(neighbor.distance)} for neighbor in nearest
        ]
    return record
