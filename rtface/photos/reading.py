"""A folder of photos looked through: new and changed ones are read, those that are gone are forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rtface.errors import PictureError
from rtface.photos.library import PhotoLibrary, Stamp
from rtface.sources import PICTURE_SUFFIXES
from rtface.types import Face

FindFaces = Callable[[Path], list[Face]]
"""All faces of a picture. Raises PictureError."""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """What looking through a folder has done: photos read, still known, gone, and those that could not be read."""

    read: int
    known: int
    gone: int
    faults: int
    faces: int


def photos_in(folder: Path) -> Iterator[Path]:
    """Pictures of a folder and its subfolders by their endings, in order; hidden ones and links to folders left out.

    Raises:
        PictureError: the folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise PictureError(f"The folder {folder} cannot be read: {error.strerror}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES:
                yield Path(place) / name


def look_through(
    folder: Path, library: PhotoLibrary, find_faces: FindFaces, report: Report, *, again: bool = False
) -> Progress:
    """Brings a library up to date with its folder. What has been read is kept, also when this is broken off.

    Args:
        folder: of photos, with its subfolders.
        library: of this folder.
        find_faces: looks at one photo.
        report: is told (label, done, total).
        again: read even what has not changed.

    Raises:
        PictureError: the folder cannot be read.
    """
    here: dict[str, tuple[Path, Stamp]] = {}
    for path in photos_in(folder):
        try:
            here[path.relative_to(folder).as_posix()] = path, Stamp.of(path)
        except OSError:  # gone since it was listed
            continue
    known = library.stamps()
    gone = set(known) - set(here)
    library.forget(gone)
    wanted = {name: found for name, found in here.items() if again or known.get(name) != found[1]}
    faults = faces = 0
    for done, (name, (path, stamp)) in enumerate(wanted.items()):
        report("photos", done, len(wanted))
        fault, found = "", []
        try:
            found = find_faces(path)
        except PictureError as error:
            fault = str(error)
            faults += 1
        library.put(name, stamp, found, fault=fault)
        faces += len(found)
    report("photos", len(wanted), len(wanted))
    return Progress(len(wanted), len(here) - len(wanted), len(gone), faults, faces)
