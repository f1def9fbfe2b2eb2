"""models.toml as checked records: what each model is, where its weights come from, which crop it wants.

The file that rtface ships, with the measured ranges from ranges.toml beside it, is overlaid by the user's own
``<engines_dir>/models.toml``, key by key within a table.
``engines/README.md`` explains every field.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import ModelBroken, UnknownModel
from rtface.models.harmonic import Layer, read_harmonic
from rtface.models.head import Head, read_head
from rtface.models.spec import (
    BUILDERS,
    CropKind,
    CropSpec,
    InputSpec,
    ModelSpec,
    Precision,
    ProbabilityCurve,
    Task,
    WeightFile,
    WeightSource,
)
from rtface.models.table import Table

__all__ = ["CropKind", "CropSpec", "InputSpec", "ModelSpec", "Task", "WeightFile", "WeightSource", "find", "load"]

FILE = "models.toml"
RANGES_FILE = "ranges.toml"
"""The tables ``ranges`` of the shipped models, for their length."""
LIKE = "like"
"""The field of a model that is another one and a last layer."""


def shipped_file(name: str = FILE) -> Path:
    """The models.toml that came with rtface: the checkout's, or the one packed into the installed package.

    Args:
        name: another file that lies beside it.
    """
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "engines" / name
    return checkout if checkout.is_file() else here.parents[1] / name


def load(engines_dir: Path) -> dict[str, ModelSpec]:
    """Every model by name: the shipped ones, overlaid by ``<engines_dir>/models.toml`` where there is one.

    Raises:
        ModelBroken: a file or an entry of it is not as ``engines/README.md`` says.
    """
    shipped, own = shipped_file(), engines_dir / FILE
    entries = _entries(shipped_file(RANGES_FILE), _entries(shipped, {}))
    if own.is_file() and own.resolve() != shipped.resolve():
        entries = _entries(own, entries)
    networks = {name: _model(Table(name, *entry)) for name, entry in entries.items() if LIKE not in entry[0]}
    return networks | {
        name: _harmonic(Table(name, *entry), networks) for name, entry in entries.items() if LIKE in entry[0]
    }


def find(models: Mapping[str, ModelSpec], name: str, *, kind: str = "model") -> ModelSpec:
    """The model of that name; ``kind`` is what the error calls it.

    Raises:
        UnknownModel: there is none; says which there are.
    """
    if name in models:
        return models[name]
    close = difflib.get_close_matches(name, models, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownModel(f"There is no {kind} {name!r}.{hint} Known: {', '.join(sorted(models))}.")


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
        same_person=_same_person(table.table("same_person")) if table.has("same_person") else None,
        centre=_centre(table.table("centre"), size) if table.has("centre") else None,
        head=_head(table, size) if table.has("head") else None,
        ranges=_ranges(table.table("ranges")) if table.has("ranges") else {},
        precisions=_precisions(table),
        measured=table.table("measured").rest() if table.has("measured") else {},
    )
    table.finish()
    return spec


def _harmonic(table: Table, networks: Mapping[str, ModelSpec]) -> ModelSpec:
    """A model of the table behind a last layer: what was measured of it alone does not hold for both."""
    like = table.text(LIKE)
    if like not in networks:
        raise table.wrong(LIKE, like, f"a model without a last layer, one of {', '.join(sorted(networks))}")
    network = networks[like]
    spec = replace(
        network,
        name=table.name,
        title=table.text("title"),
        layer=_layer(table, network),
        limits=_limits(table),
        same_person=_same_person(table.table("same_person")) if table.has("same_person") else None,
        measured={},
    )
    table.finish()
    return spec


def _layer(table: Table, network: ModelSpec) -> Layer:
    """From a file that ``rtface train harmonic`` has written for this very network."""
    file = table.folder / Path(table.text("harmonic")).expanduser()
    try:
        harmonic = read_harmonic(file)
    except (OSError, ValueError) as error:
        raise ModelBroken(
            f"{table.place}: {file} cannot be read: {error}. Put it back, or take the table [{table.name}] out."
        ) from error
    if (harmonic.new.fingerprint, harmonic.new.size) != (network.fingerprint, network.embedding_size):
        raise ModelBroken(
            f"{table.place}: {file} was learned for other weights of {network.name} ({harmonic.new.fingerprint}, now "
            f"{network.fingerprint}). Learn it again with rtface train harmonic, or take the table out."
        )
    return harmonic.new_layer


def _same_person(table: Table) -> ProbabilityCurve:
    curve = ProbabilityCurve(table.real("offset", -1000, 1000), table.real("slope", -1000, 0))
    table.finish()
    return curve


def _precisions(table: Table) -> tuple[Precision, ...]:
    """Float32 always, float16 unless the table names others."""
    if not table.has("precisions"):
        return Precision.FP32, Precision.FP16
    named = table.rest()["precisions"]
    if not isinstance(named, list) or not set(map(str, named)) <= set(Precision):
        raise table.wrong("precisions", named, f"a list of {', '.join(Precision)}")
    found = tuple(precision for precision in Precision if precision in named or precision is Precision.FP32)
    if not table.has("ranges") and {Precision.INT8, Precision.INT8_SIGNED} & set(found):
        raise table.wrong("precisions", named, "ranges for 8 bits, which nobody has measured")
    return found


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


def _ranges(table: Table) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each tensor, 0 between them."""
    found = {}
    for name, value in table.rest().items():
        match value:
            case [int() | float() as low, int() | float() as high] if low <= 0 < high and math.isfinite(high - low):
                found[name] = float(low), float(high)
            case _:
                raise table.wrong(name, value, "a list of its lowest and its highest value, 0 between them")
    return found


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


def _head(table: Table, size: int) -> Head:
    """From a file beside the toml, or beside the shipped one."""
    if table.has("centre"):
        raise table.wrong("head", table.rest()["head"], "left out where there is a centre: it has its own")
    name = table.text("head")
    own = table.folder / name
    try:
        return read_head(own if own.is_file() else shipped_file(name), size)
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{table.place}: the head {name} cannot be read: {error}") from error
