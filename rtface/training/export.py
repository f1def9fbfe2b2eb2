"""A checkpoint as a model that rtface runs: an ONNX file and its entry for models.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import onnx

from rtface.errors import TrainingError
from rtface.models.catalogue import FILE
from rtface.models.files import beside, sha256_of
from rtface.models.spec import CropKind, CropSpec
from rtface.training.checkpoint import load, network_of
from rtface.training.networks.catalogue import find
from rtface.training.onnx_graph import write

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported model: its file, and the table for models.toml."""

    file: Path
    entry: str


def export(checkpoint: Path, target: Path, *, name: str, licence: str) -> Exported:
    """Writes the network of a checkpoint as ONNX.

    Args:
        checkpoint: such as ``best.pt``.
        target: the ONNX file.
        name: of the model, as settings will name it.
        licence: of its weights, which hangs on the pictures it was trained with.

    Raises:
        CheckpointBroken: the checkpoint cannot be read.
        TrainingError: the name will not do, or the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise TrainingError(f"A model cannot be named {name!r}. Use small letters, digits and _, a letter first.")
    kept = load(checkpoint)
    settings, size = kept.settings, find(kept.settings.network)
    graph = write(network_of(kept), name, size.height, size.width, settings.embedding_size)
    try:
        with beside(target) as partial:
            onnx.save(graph, partial)
    except OSError as error:
        raise TrainingError(f"{target} cannot be written: {error.strerror or error}. Name another file.") from error
    title = f"{settings.network}, {settings.embedding_size} numbers, trained for {kept.done} steps"
    crop = CropSpec(settings.crop.kind, size.crop_size, settings.crop.margin, settings.crop.template)
    return Exported(target, _entry(name, title, licence, settings.embedding_size, crop, target, kept.limits))


def add(entry: str, engines_dir: Path, name: str) -> Path:
    """Appends the entry to ``<engines_dir>/models.toml``.

    Raises:
        TrainingError: the file has a table of that name, or cannot be written.
    """
    file = engines_dir / FILE
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if name in tomllib.loads(text):
            raise TrainingError(f"{file} has a model {name!r} already. Choose another --name, or remove that table.")
        engines_dir.mkdir(parents=True, exist_ok=True)
        with beside(file) as partial:
            partial.write_text(f"{text.rstrip()}\n\n{entry}".lstrip(), encoding="utf-8")
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"The entry cannot be added to {file}: {error}. Add it by hand.") from error
    return file


def _entry(
    name: str, title: str, licence: str, embedding_size: int, crop: CropSpec, file: Path, limits: dict[str, float]
) -> str:
    """The table as text."""
    how = f"margin = {crop.margin:g}" if crop.kind is CropKind.BOX else f'template = "{crop.template}"'
    lines = [
        f"[{name}]",
        'task = "embedder"',
        f"title = {_quoted(title)}",
        f"licence = {_quoted(licence)}",
        'builder = "exported"',
        f"embedding_size = {embedding_size}",
        f'crop = {{ kind = "{crop.kind}", size = {crop.size}, {how} }}',
        "",
        f"[[{name}.weights]]",
        f"file = {_quoted(file.name)}",
        f'sha256 = "{sha256_of(file)}"',
        f"bytes = {file.stat().st_size}",
        f"sources = [{{ path = {_quoted(str(file.absolute()))} }}]",
    ]
    if limits:
        lines += ["", "# Over all pairs of the validation people at the last check.", f"[{name}.limits]"]
        lines += [f"{rate} = {distance}" for rate, distance in limits.items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char >= " " else f"\\u{ord(char):04x}" for char in escaped) + '"'
