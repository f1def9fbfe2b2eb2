"""``rtface gallery compact``: a gallery that takes a byte for each number of a face."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from rtface.cli._gallery import opened_gallery
from rtface.cli._shared import print_json, say, settings_options


@click.command("compact")
@click.option("--json", "as_json", is_flag=True, help="One JSON line: rows, and bytes before and after.")
@settings_options
def compact(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Keep each face in 128 bytes: one byte a number instead of four, and no number the model does not need.

    For large galleries: with FaceNet a face takes 128 bytes instead of 2,048, and the index a third of the memory.
    Distances change by less than a hundredth. Those enrolled from now on are kept so too; a gallery made compact while
    nobody is in it never was anything else. There is no way back: what a byte has lost is gone.
    """
    from rtface.gallery.compacting import compact as rewrite

    with opened_gallery(config, settings, create=True) as gallery:
        done, place = rewrite(gallery), gallery.database.place
    if as_json:
        print_json(asdict(done))
    say(
        f"{place}: {done.rows:,} rows rewritten, {done.bytes_after:,} bytes a face (before {done.bytes_before:,}), "
        f"{done.database_after / 1e6:,.1f} MB on disk (before {done.database_before / 1e6:,.1f})."
    )
