"""Contact sheets as files: the ending is looked at before any work, and a sheet is whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rtface.types import Image

KINDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def check_sheet(file: Path | None) -> None:
    """Refuses a file that is no picture by its ending; no file is none."""
    if file is not None and file.suffix.lower() not in KINDS:
        raise click.BadParameter(f"{file.name} is no .jpg or .png", param_hint="--sheet")


def keep_sheet(file: Path, sheet: Image) -> None:
    """Writes a (H, W, 3) uint8 BGR picture beside the file and renames it into place."""
    from rtface.contact_sheet import encoded

    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(encoded(sheet, KINDS[file.suffix.lower()]))
    beside.replace(file)
