"""What the commands on folders of photos share: their faces brought up to date, links and contact sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtface.cli._shared import PATH, say
from rtface.cli._sheets import keep_sheet
from rtface.errors import SinkError

if TYPE_CHECKING:
    from rtface.models.fetch import Report
    from rtface.photos.library import LibraryFaces
    from rtface.photos.reading import Progress
    from rtface.system import System
    from rtface.types import Image

MOST_TILES = 600
"""Faces on a contact sheet: 100 rows."""

index_option = click.option(
    "--index", "index", type=PATH, metavar="FILE", help="Where the faces are kept. Default: in your data folder."
)
links_option = click.option("--links", type=PATH, metavar="DIR", help="Make links to the photos in DIR.")
sheet_option = click.option("--sheet", type=PATH, metavar="FILE", help="Write the faces as one picture, .jpg or .png.")


def library_faces(
    system: System, folder: Path, index: Path | None, report: Report, *, again: bool = False
) -> tuple[LibraryFaces, Progress, dict[str, str], Path]:
    """The faces of a folder, after looking at what is new in it; what that did, faults by photo, and the file."""
    from rtface.photos.library import PhotoLibrary, default_file
    from rtface.photos.reading import look_through

    spec = system.embedder_spec
    model = f"{spec.name}:{spec.fingerprint}"
    file = index or default_file(folder, model)
    with PhotoLibrary(file, model=model, size=spec.size) as library:
        done = look_through(folder, library, system.faces, report, again=again)
        return library.faces(), done, library.faults(), file


def tell_progress(done: Progress, faults: dict[str, str]) -> None:
    """What looking through a folder did, and which photos could not be read."""
    for path, fault in faults.items():
        say(f"rtface: {path}: {fault}")
    say(f"{done.read} photos read, {done.known} known before, {done.gone} gone, {len(faults)} could not be read.")


def make_links(folder: Path, named: Iterable[tuple[str, Path]]) -> int:
    """Links ``folder/<name>/<photo>`` to photos; those that are there already stay. Gives their number.

    Raises:
        SinkError: one cannot be made.
    """
    count = 0
    for name, photo in named:
        link = folder / name / photo.name
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            number = 1
            while link.is_symlink() and link.readlink() != photo.resolve():
                number += 1
                link = link.with_name(f"{photo.stem}-{number}{photo.suffix}")
            if not link.is_symlink():
                link.symlink_to(photo.resolve())
                count += 1
        except OSError as error:
            raise SinkError(f"The link {link} cannot be made: {error.strerror}. Name an empty folder.") from error
    return count


def write_sheet(
    file: Path, title: Sequence[str], folder: Path, faces: LibraryFaces, chosen: Sequence[tuple[int, tuple[str, ...]]]
) -> None:
    """A contact sheet of faces, each given by its number with the lines under it."""
    from rtface.contact_sheet import Tile, contact_sheet

    if len(chosen) > MOST_TILES:
        title, chosen = [*title, f"the first {MOST_TILES} of {len(chosen)}"], chosen[:MOST_TILES]
    tiles = [Tile(_face(folder / faces.paths[number], faces.boxes[number]), lines) for number, lines in chosen]
    keep_sheet(file, contact_sheet(list(title), tiles))
    say(f"{file} shows them.")


def _face(photo: Path, box: Any) -> Image | None:
    from rtface.errors import PictureError
    from rtface.portraits import cut_out
    from rtface.sources.images import read_picture

    try:
        left, top, right, bottom = (float(side) for side in box)
        return cut_out(read_picture(photo), (left, top, right, bottom))
    except PictureError:
        return None
