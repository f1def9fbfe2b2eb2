"""``rtface find``: the photos of a folder in which somebody is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._photos import index_option, library_faces, links_option, make_links, sheet_option, write_sheet
from rtface.cli._shared import (
    PATH,
    finite,
    no_gallery_yet,
    open_system_to_look,
    print_json,
    progress,
    read_config,
    say,
    settings_options,
)
from rtface.cli._sheets import check_sheet
from rtface.errors import UnknownPerson

if TYPE_CHECKING:
    from rtface.photos.library import LibraryFaces
    from rtface.photos.search import Hit
    from rtface.system import System


@click.command("find")
@click.argument("who")
@click.argument("folder", type=PATH)
@click.option("--distance", type=click.FloatRange(0, 4), help="Of a picture's face: the largest that counts as alike.")
@index_option
@links_option
@sheet_option
@click.option("--json", "as_json", is_flag=True, help="JSON lines: photo, box, distance, quality.")
@settings_options
def command(
    who: str,
    folder: Path,
    distance: float | None,
    index: Path | None,
    links: Path | None,
    sheet: Path | None,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Print the photos of FOLDER in which WHO is, the surest first.

    WHO is the name of somebody enrolled, or a picture, whose largest face is looked for. A name is found as in video:
    by the vote of the gallery, at its false identification rate a face. A picture's face is found within the distance
    that one stranger in 1,000 passes, or fewer in a library of more faces.

    The folder is indexed first, so that the second search takes no time. Exit code 1 when nothing is found.
    """
    check_sheet(sheet)
    picture = Path(who)
    by_name = not picture.is_file()
    if by_name and no_gallery_yet(read_config(config, settings)):
        raise UnknownPerson(f"{who!r} is no picture, and nobody is enrolled: rtface enroll {who!r} DIR")
    with open_system_to_look(config, settings) as system, progress() as report:
        if by_name:
            who = system.gallery.person(who).name
        faces, _, _, _ = library_faces(system, folder, index, report)
        hits = _by_name(system, faces, who) if by_name else _by_face(system, faces, picture, distance)
    for hit in hits:
        _tell(folder, faces, hit, as_json=as_json)
    photos = list(dict.fromkeys(faces.paths[hit.face] for hit in hits))
    say(f"{len(photos)} photos of {len(set(faces.paths))} that show faces.")
    if links is not None:
        say(f"{make_links(links, [(_folder_name(who), folder / photo) for photo in photos])} links made in {links}.")
    if sheet is not None:
        shown = [(hit.face, (f"{hit.distance:.2f}", Path(faces.paths[hit.face]).name)) for hit in hits]
        write_sheet(sheet, [who, f"{len(hits)} faces"], folder, faces, shown)
    sys.exit(0 if hits else 1)


def _by_name(system: System, faces: LibraryFaces, name: str) -> list[Hit]:
    from rtface.photos.search import find_person

    return find_person(faces, system.judge, name)


def _by_face(system: System, faces: LibraryFaces, picture: Path, distance: float | None) -> list[Hit]:
    from rtface.clustering.grouping import default_distance
    from rtface.photos.search import find_face
    from rtface.stills import largest_face

    wanted = largest_face(system.detector, system.embedder, picture)
    limit = default_distance(system.embedder_spec.limits, len(faces.rows)) if distance is None else distance
    return find_face(faces, wanted.embedding, limit)


def _tell(folder: Path, faces: LibraryFaces, hit: Hit, *, as_json: bool) -> None:
    photo = folder / faces.paths[hit.face]
    if as_json:
        box = [round(float(side), 1) for side in faces.boxes[hit.face]]
        quality = round(float(faces.qualities[hit.face]), 3)
        print_json({"photo": str(photo), "box": box, "distance": finite(hit.distance), "quality": quality})
    else:
        click.echo(f"{hit.distance:.3f}\t{photo}")


def _folder_name(who: str) -> str:
    return "".join(sign if sign.isalnum() or sign in " ._-" else "_" for sign in Path(who).stem).strip(". ") or "found"
