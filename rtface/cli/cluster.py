"""``rtface cluster``: the people in a folder of photos, whoever they are."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from rtface.cli._photos import (
    index_option,
    library_faces,
    links_option,
    make_links,
    sheet_option,
    tell_progress,
    write_sheet,
)
from rtface.cli._shared import PATH, open_system_to_look, print_json, progress, say, settings_options
from rtface.cli._sheets import check_sheet

if TYPE_CHECKING:
    from rtface.photos.library import LibraryFaces

METHODS = ("graph", "average", "complete", "kmeans")


@click.command("cluster")
@click.argument("folder", type=PATH)
@click.option("--method", type=click.Choice(METHODS), default="graph", show_default=True, help="How faces are grouped.")
@click.option("--people", type=click.IntRange(1), help="How many people k-means is to find.")
@click.option("--distance", type=click.FloatRange(0, 4, min_open=True), help="Faces farther apart are not alike.")
@click.option(
    "--min-faces", default=2, show_default=True, type=click.IntRange(1), help="Smaller groups are not told of."
)
@click.option("--truth", is_flag=True, help="Photos lie in one folder a person: tell how well the groups agree.")
@index_option
@links_option
@sheet_option
@click.option("--json", "as_json", is_flag=True, help="JSON lines: one a person, with photos and boxes.")
@settings_options
def command(
    folder: Path,
    method: str,
    people: int | None,
    distance: float | None,
    min_faces: int,
    truth: bool,
    index: Path | None,
    links: Path | None,
    sheet: Path | None,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Put the faces in the photos of FOLDER together by person, without knowing anybody.

    graph joins each face with its nearest ones and lets groups agree among themselves; it takes any number of faces and
    is the most exact. average and complete link groups by the mean and by the largest of their distances, for up to
    20,000 faces. kmeans has to be told how many people there are. Prints the groups, the largest first.

    --links makes a folder of links a person. Then enroll whom you know: rtface enroll NAME links/person-0001.
    """
    from rtface.clustering.grouping import Method, default_distance, group_faces

    check_sheet(sheet)
    with open_system_to_look(config, settings) as system, progress() as report:
        limits = system.embedder_spec.limits
        faces, done, faults, _ = library_faces(system, folder, index, report)
    tell_progress(done, faults)
    limit = default_distance(limits, len(faces.rows)) if distance is None and method != "kmeans" else distance or 0.0
    groups = group_faces(faces.rows, Method(method), distance=limit, people=people, pictures=faces.photos)
    shown = [members for members in _members(groups) if len(members) >= min_faces]
    for number, members in enumerate(shown, 1):
        _tell(folder, faces, number, members, as_json=as_json)
    rest = len(groups) - sum(len(members) for members in shown)
    say(f"{len(groups)} faces: {len(shown)} people, {rest} faces in groups of fewer than {min_faces}.")
    if truth:
        _tell_agreement(faces, groups, as_json=as_json)
    if links is not None:
        named = [(_name(number), folder / faces.paths[face]) for number, found in enumerate(shown, 1) for face in found]
        say(f"{make_links(links, named)} links made in {links}.")
    if sheet is not None:
        tiles = [(int(face), (_name(number),)) for number, found in enumerate(shown, 1) for face in found]
        write_sheet(sheet, [f"{len(shown)} people", str(folder)], folder, faces, tiles)
    sys.exit(0 if len(groups) else 1)


def _members(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Of each group its faces."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(groups) else []


def _name(number: int) -> str:
    return f"person-{number:04d}"


def _tell(folder: Path, faces: LibraryFaces, number: int, members: NDArray[np.int64], *, as_json: bool) -> None:
    photos = list(dict.fromkeys(faces.paths[face] for face in members))
    if as_json:
        found = [
            {"photo": str(folder / faces.paths[face]), "box": [round(float(side), 1) for side in faces.boxes[face]]}
            for face in members
        ]
        print_json({"person": _name(number), "faces": found})
    else:
        click.echo(f"{_name(number)}\t{len(members)} faces\t{', '.join(photos[:3])}{' ...' if len(photos) > 3 else ''}")


def _tell_agreement(faces: LibraryFaces, groups: NDArray[np.int64], *, as_json: bool) -> None:
    """Of photos in a folder a person; the folder's name is the truth."""
    from rtface.clustering.agreement import bcubed, pairwise

    people, found = [path.split("/", maxsplit=1)[0] for path in faces.paths], groups.tolist()
    figures = {"pairwise": pairwise(people, found), "bcubed": bcubed(people, found)}
    for name, one in figures.items():
        say(f"{name}: precision {one.precision:.3f}, recall {one.recall:.3f}, F1 {one.f1:.3f}")
    if as_json:
        told = {name: {**asdict(one), "f1": one.f1} for name, one in figures.items()}
        print_json({"faces": len(people), "people": len(set(people)), "groups": len(set(found)), **told})
