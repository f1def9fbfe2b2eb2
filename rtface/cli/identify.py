"""``rtface identify``: who is in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import finite, open_system, print_json, settings_options

if TYPE_CHECKING:
    from rtface.system import IdentifiedFace, System


@click.command("identify")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--distances", is_flag=True, help="Add the nearest gallery rows of each face, whatever the threshold.")
@settings_options
def command(pictures: tuple[Path, ...], distances: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Say who is in PICTURES: one JSON line a picture, with each face's box, name, distance and share of votes."""
    with open_system(config, settings) as system:
        for picture in pictures:
            faces = [_record(system, found, distances) for found in system.identify(picture)]
            print_json({"picture": str(picture), "faces": faces})


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
