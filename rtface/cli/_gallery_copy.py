"""``rtface gallery copy``: a whole gallery into a new file or database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import print_json, read_config, say, settings_options

if TYPE_CHECKING:
    from rtface.server_url import ServerUrl


@click.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end: rows, checksum, revision.")
@settings_options
def copy(source: str, target: str, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Copy the gallery SOURCE into TARGET: each a file, or a server as postgresql://USER@HOST/DATABASE.

    People, vectors, notes, tags, consent, faces, counter-examples and where every row came from, under the same
    numbers; all of it or nothing, compared by checksum at the end. TARGET is a new file or an empty database. The copy
    of an encrypted gallery is encrypted with the same key (setting gallery_key).

    A password in an address can be seen by others on this computer while the command runs: leave it to the variable
    PGPASSWORD or the file ~/.pgpass.
    """
    from rtface.gallery.copying import copy_gallery
    from rtface.gallery.keys import read_key

    places = _place(source), _place(target)
    done = copy_gallery(*places, key=lambda: read_key(read_config(config, settings).gallery_key))
    if as_json:
        print_json(asdict(done))
    rows = done.rows
    say(f"{places[1]}: {rows['people']} people, {rows['embeddings']} rows, {rows['crops']} faces, the same in both.")


def _place(text: str) -> Path | ServerUrl:
    from rtface.server_url import ServerUrl

    return ServerUrl(text) if ServerUrl.fits(text) else Path(text).expanduser()
