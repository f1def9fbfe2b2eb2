"""``rtface index``: the faces of a folder of photos, found once."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from rtface.cli._photos import index_option, library_faces, tell_progress
from rtface.cli._shared import PATH, open_system_to_look, print_json, progress, say, settings_options


@click.command("index")
@click.argument("folder", type=PATH)
@index_option
@click.option("--again", is_flag=True, help="Look at photos again that have not changed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end.")
@settings_options
def command(
    folder: Path, index: Path | None, again: bool, as_json: bool, config: Path | None, settings: tuple[str, ...]
) -> None:
    """Find the faces in all photos of FOLDER and its subfolders, for rtface find and rtface cluster.

    Only new and changed photos are read; photos that are gone are forgotten. Ctrl-C loses nothing that was found. The
    file holds embeddings of faces, which are biometric data: it is readable by you alone.

    Exit code 1 when a photo could not be read; each is told, and the others are there.
    """
    with open_system_to_look(config, settings) as system, progress() as report:
        faces, done, faults, file = library_faces(system, folder, index, report, again=again)
    tell_progress(done, faults)
    say(f"{len(faces.paths)} faces in {len(set(faces.paths))} photos: {file}")
    if as_json:
        print_json({**asdict(done), "faces": len(faces.paths), "index": str(file)})
    sys.exit(1 if faults else 0)
