"""A tree of identity folders: every folder is a person, everything in it shows that person."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.sources import PICTURE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".3gp"}
)

People = Mapping[str, Sequence[Path]]
"""What there is of each person."""


def pictures_of(folder: Path) -> dict[str, list[Path]]:
    """Pictures of each person, in folders below theirs as well; hidden ones are left out.

    Raises:
        EvaluationError: there is no such folder, or fewer than two people are in it.
    """
    return _checked(folder, {person.name: _files(person, PICTURE_SUFFIXES) for person in _people(folder)}, "pictures")


def clips_of(folder: Path) -> dict[str, list[Path]]:
    """Videos of each person: video files, and folders of frames.

    Raises:
        EvaluationError: there is no such folder, or fewer than two people are in it.
    """
    found = {}
    for person in _people(folder):
        frames = sorted({picture.parent for picture in _files(person, PICTURE_SUFFIXES)})
        found[person.name] = [*_files(person, VIDEO_SUFFIXES), *frames]
    return _checked(folder, found, "videos")


def labelled(file: Path) -> dict[str, list[Path]]:
    """What a table of files and people says: a CSV with a column ``person`` and, before it, files relative to it.

    A file may be named without its ending.

    Raises:
        EvaluationError: it is no such table, or a file is missing.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"The table {file} cannot be read ({error}).") from error
    found: dict[str, list[Path]] = {}
    for number, row in enumerate(rows, 2):
        name, person = next(iter(row.values()), None), row.get("person")
        if not name or not person or name is person:
            raise EvaluationError(f"{file}, line {number}: a file and, in a column 'person', a name belong there.")
        found.setdefault(person, []).append(_with_ending(file, number, name))
    return _checked(file, found, "files")


def flat(people: People) -> tuple[list[Path], NDArray[np.intp]]:
    """All files, person by person, and the (N,) number of each one's person."""
    files = [path for paths in people.values() for path in paths]
    return files, np.repeat(np.arange(len(people)), [len(paths) for paths in people.values()]).astype(np.intp)


def drawn(people: People, most: int, *, seed: int = 0) -> dict[str, Sequence[Path]]:
    """As many people, drawn by lot, as have no more than ``most`` files together; at least two."""
    names = sorted(people)
    chosen: list[str] = []
    count = 0
    for place in np.random.default_rng(seed).permutation(len(names)):
        size = len(people[names[place]])
        if len(chosen) < 2 or count + size <= most:
            chosen.append(names[place])
            count += size
    return {name: people[name] for name in sorted(chosen)}


def _people(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise EvaluationError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _with_ending(table: Path, number: int, name: str) -> Path:
    path = table.parent / name
    found = [path] if path.exists() else sorted(path.parent.glob(f"{path.name}.*"))
    if not found:
        raise EvaluationError(f"{table}, line {number}: there is no {path}.")
    return found[0]


def _checked(place: Path, found: dict[str, list[Path]], what: str) -> dict[str, list[Path]]:
    people = {name: paths for name, paths in found.items() if paths}
    if len(people) < 2:
        raise EvaluationError(
            f"{place} has {what} of {len(people)} people; at least two are needed. "
            "Give a folder with one folder a person."
        )
    return people
