"""What harmonic training leaves: a folder with the two maps, and the entry of a model for models.toml."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rtface.errors import TrainingError
from rtface.models.harmonic import FILE, Harmonic, Maker, write_harmonic
from rtface.models.spec import ModelSpec
from rtface.training.harmonic import Learned

NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The file, what is in it, and the table for models.toml."""

    file: Path
    harmonic: Harmonic
    entry: str


def checked_name(name: str) -> str:
    """The name of a model. Raises TrainingError: it will not do."""
    if not NAME.fullmatch(name):
        raise TrainingError(f"A model cannot be named {name!r}. Use small letters, digits, - and _, a letter first.")
    return name


def refuse_pair(old: ModelSpec, new: ModelSpec) -> None:
    """Raises: TrainingError: the one is the other, or the new model has a last layer already."""
    if old.fingerprint == new.fingerprint:
        raise TrainingError(
            f"{old.name} and {new.name} give the same embeddings: their galleries need no map. Name two models."
        )
    if new.layer is not None:
        raise TrainingError(f"{new.name} has a last layer already: give --new the network it is made of.")


def write(folder: Path, name: str, old: ModelSpec, new: ModelSpec, learned: Learned) -> Made:
    """Writes the maps into a folder.

    Raises:
        TrainingError: it cannot be written.
    """
    one, other = (Maker(spec.name, spec.fingerprint, spec.size) for spec in (old, new))
    harmonic = Harmonic(name, one, other, learned.old, learned.new, learned.costs)
    file = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_harmonic(file, harmonic)
    except OSError as error:
        raise TrainingError(f"{file} cannot be written: {error.strerror or error}. Name another with -o.") from error
    return Made(file, harmonic, _entry(name, old, new, file, learned))


def _entry(name: str, old: ModelSpec, new: ModelSpec, file: Path, learned: Learned) -> str:
    """The table as text."""
    costs = learned.costs
    lines = [
        f"[{name}]",
        f"like = {json.dumps(new.name)}",
        f"title = {json.dumps(f'{new.name} behind a last layer, to be compared with mapped embeddings of {old.name}')}",
        f"harmonic = {json.dumps(str(file.absolute()), ensure_ascii=False)}",
        "",
        f"# All pairs of {costs.pictures} pictures of {costs.people} people nothing was learned from: at no distance",
        f"# does mapped {old.name} against {name}, or {name} alone, accept more than this share of impostors.",
        f"[{name}.limits]",
    ]
    return "\n".join([*lines, *(f"{rate} = {distance}" for rate, distance in learned.limits.items())]) + "\n"
