"""Lists of pairs, of pictures or of videos, as people write them: two paths and whether they show one person."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation.folds import dealt

SAME = frozenset({"1", "+1", "same", "true", "yes", "y", "match", "genuine", "mated", "positive"})
DIFFERENT = frozenset(
    {"0", "-1", "different", "false", "no", "n", "mismatch", "impostor", "nonmated", "non-mated", "negative", "diff"}
)
FORM = (
    "A line is FIRST SECOND same|different (or 1|0), separated by commas, semicolons, tabs or spaces; "
    "a first line with the columns' names may add a fold or split."
)


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """What is compared with what.

    Attributes:
        files: every file named, once, sorted.
        pairs: (P, 2) numbers of files.
        same: (P,) whether a pair is one person's.
        folds: (P,) the list's own, or dealt out.
        people: (N,) a number for each person: files that same pairs link are one person's.
        contradictions: different pairs whose files same pairs link: somebody is labelled wrong.
    """

    files: tuple[Path, ...]
    pairs: NDArray[np.intp]
    same: NDArray[np.bool_]
    folds: NDArray[np.intp]
    people: NDArray[np.intp]
    contradictions: int


@dataclass(frozen=True, slots=True)
class _Columns:
    first: int
    second: int
    same: int
    fold: int | None


def read_pairs(file: Path, root: Path | None = None) -> PairList:
    """A list of pairs; YouTube Faces' ``splits.txt`` is one.

    Args:
        file: the list.
        root: what its paths are relative to; the list's own folder without it.

    Raises:
        EvaluationError: it cannot be read, or a line is not what it should be.
    """
    lines = list(_fields(file))
    if not lines:
        raise EvaluationError(f"{file} names no pairs. {FORM}")
    columns, rows = _columns(file, lines)
    folder = root or file.parent
    named: list[tuple[Path, Path]] = []
    same: list[bool] = []
    folds: list[str] = []
    for number, fields in rows:
        try:
            first, second, word = (fields[place] for place in (columns.first, columns.second, columns.same))
            folds += [fields[columns.fold]] if columns.fold is not None else []
        except IndexError as error:
            raise EvaluationError(
                f"{file}, line {number}: {' '.join(fields)[:80]!r} has too few fields. {FORM}"
            ) from error
        named.append((folder / first, folder / second))
        same.append(_is_same(file, number, word))
        if first == second:
            raise EvaluationError(f"{file}, line {number}: {first} is compared with itself.")
    return _numbered(named, np.array(same, np.bool_), folds)


def _fields(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is neither empty nor a comment."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EvaluationError(f"The list {file} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{file} is not a text file. {FORM}") from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            mark = next((sign for sign in (",", ";", "\t") if sign in text), " ")
            (fields,) = csv.reader([text], delimiter=mark, skipinitialspace=True)
            yield number, [field.strip() for field in fields if mark != " " or field]


def _columns(file: Path, lines: Sequence[tuple[int, list[str]]]) -> tuple[_Columns, Sequence[tuple[int, list[str]]]]:
    """Where the list has what, and its lines without the head."""
    number, head = lines[0]
    if len(head) < 3:
        raise EvaluationError(f"{file}, line {number}: {' '.join(head)[:80]!r} has too few fields. {FORM}")
    if head[2].lower() in SAME | DIFFERENT:
        return _Columns(0, 1, 2, 3 if len(head) > 3 else None), lines
    names = [name.lower() for name in head]
    same = _find(names, "same") if _find(names, "same") is not None else _find(names, "label", "match", "genuine")
    fold = _find(names, "split", "fold")
    others = [place for place in range(len(names)) if place not in (same, fold)]
    if same is None or len(others) < 2:
        raise EvaluationError(
            f"{file}, line {number}: {' '.join(head)[:80]!r} is neither a pair nor names of columns. {FORM}"
        )
    return _Columns(others[0], others[1], same, fold), lines[1:]


def _find(names: Sequence[str], *words: str) -> int | None:
    return next((place for place, name in enumerate(names) if any(word in name for word in words)), None)


def _is_same(file: Path, number: int, word: str) -> bool:
    if word.lower() in SAME:
        return True
    if word.lower() in DIFFERENT:
        return False
    raise EvaluationError(f"{file}, line {number}: {word!r} says neither same nor different. {FORM}")


def _numbered(named: Sequence[tuple[Path, Path]], same: NDArray[np.bool_], folds: Sequence[str]) -> PairList:
    files = sorted({path for pair in named for path in pair})
    number = {path: place for place, path in enumerate(files)}
    pairs = np.array([[number[first], number[second]] for first, second in named], np.intp)
    people = _linked(len(files), pairs[same])
    own = np.unique(folds, return_inverse=True)[1] if folds else np.zeros(0, np.intp)
    contradictions = int(np.sum(~same & (people[pairs[:, 0]] == people[pairs[:, 1]])))
    dealt_out = own if folds and own.max() > 0 else dealt(same)
    return PairList(tuple(files), pairs, same, dealt_out, people, contradictions)


def _linked(count: int, links: NDArray[np.intp]) -> NDArray[np.intp]:
    """(count,) number of the group each belongs to when the two of each link are of one group."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second in links.tolist():
        parent[root(first)] = root(second)
    return np.unique([root(place) for place in range(count)], return_inverse=True)[1].astype(np.intp)
