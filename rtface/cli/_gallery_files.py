"""``rtface gallery export|import``: a gallery in one file that any program can read."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._gallery import opened_gallery, printed
from rtface.cli._shared import PATH, open_system, print_json, say, settings_options

if TYPE_CHECKING:
    from rtface.gallery.receiving import Received, SameName


@click.command("export")
@click.argument("file", type=PATH)
@click.option("--faces", is_flag=True, help="Take along the faces that were kept (setting keep_crops).")
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end: people and rows.")
@settings_options
def export(file: Path, faces: bool, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Write everybody into FILE (gzip-compressed JSON lines): embeddings, notes, tags, consent, provenance.

    FILE holds biometric data in the clear; only its owner can read it. Whoever is erased from the gallery is not erased
    from it.
    """
    from rtface.gallery.portable import export_gallery

    with opened_gallery(config, settings) as gallery:
        amount = export_gallery(gallery, file, crops=faces)
    if as_json:
        print_json(asdict(amount))
    say(f"{file}: {amount.people} people, {amount.rows} rows.")


@click.command("import")
@click.argument("file", type=PATH)
@click.option(
    "--same-name",
    type=click.Choice(["refuse", "merge", "skip"]),
    default="refuse",
    show_default=True,
    help="What to do with people who are enrolled here: refuse the file, add what is missing, or leave them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end: what became of whom.")
@settings_options
def import_(file: Path, same_name: SameName, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Take in everybody of FILE, which rtface gallery export has written. All of it is taken in, or nothing.

    A gallery of another model, a file that was cut off or changed, or of a newer rtface is refused. A picture that is
    somebody else's here is left out and told, and the exit code is 1: one of the two names is wrong.
    """
    from rtface.gallery.model import GalleryModel
    from rtface.gallery.portable import read_export
    from rtface.gallery.receiving import receive

    with open_system(config, settings) as system:
        spec = system.embedder_spec
        with (
            read_export(file, GalleryModel(spec.name, spec.fingerprint, spec.size)) as export,
            system.open_gallery(create=True) as gallery,
        ):
            done = receive(gallery, export, same_name=same_name, today=date.today())
    if as_json:
        print_json(asdict(done))
    _tell(done)
    sys.exit(1 if done.elsewhere else 0)


def _tell(done: Received) -> None:
    for picture, name, owner in done.elsewhere:
        say(f"left out: {printed(picture)} of {name} is enrolled for {owner}")
    counts = (
        (len(done.people), "new people"),
        (len(done.merged), "merged"),
        (len(done.skipped), "left as they were"),
        (len(done.expired), "whose consent has ended"),
        (done.known, "pictures known before"),
    )
    said = [f"{count} {what}" for count, what in counts if count]
    say(", ".join([*said, f"{done.rows} rows added."]))
