"""``rtface engine``: TensorRT engines built, listed, checked and cleared away."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import (
    early_settings_options,
    open_system,
    print_json,
    progress,
    read_config,
    say,
    settings_options,
)

if TYPE_CHECKING:
    from rtface.engine_builder import Engine
    from rtface.engine_builder.stock import Stored
    from rtface.models.spec import ModelSpec, Precision
    from rtface.system import System

FLAVOURS = ("tensorrt", "tensorrt-rtx")
PRECISIONS = ("fp32", "fp16", "int8")


@click.group("engine")
@early_settings_options
def command() -> None:
    """Build, list, check and clear away TensorRT engines.

    An engine is a network compiled for one kind of NVIDIA card by one version of TensorRT. It lies beside its graph in
    the folder that the setting engines_dir names, and its name says what it is for.
    """


def _capabilities(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """``8.6``, ``86`` and ``sm86``, several with commas between, as ``8.6``."""
    found: list[str] = []
    for word in ",".join(values).split(",") if values else ():
        match = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", word.strip(), re.IGNORECASE)
        if match is None:
            raise click.BadParameter(f"{word.strip()!r} is no compute capability; write 8.6, 86 or sm86.")
        found.append(".".join(match.groups()))
    return tuple(dict.fromkeys(found))


@command.command("build")
@click.argument("models", nargs=-1)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="fp16", show_default=True, help="What it computes in."
)
@click.option(
    "--max-batch",
    type=click.IntRange(1, 1024),
    default=32,
    show_default=True,
    help="Most faces at once; pictures go one at a time.",
)
@click.option(
    "--gpu",
    "capabilities",
    metavar="CAPABILITY",
    multiple=True,
    callback=_capabilities,
    help="Compute capability of the card, such as 8.6; repeatable, or with commas. Default: the card in this machine.",
)
@click.option(
    "--flavour", type=click.Choice(FLAVOURS), help="Which TensorRT. Default: tensorrt where that is installed."
)
@click.option("--force", is_flag=True, help="Build even what is there already.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: one object an engine.")
@settings_options
def build(
    models: tuple[str, ...],
    precision: str,
    max_batch: int,
    capabilities: tuple[str, ...],
    flavour: str | None,
    force: bool,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Build engines of MODELS, or of the detector and the embedder that the settings use.

    With tensorrt engines are built for the card in this machine, which takes minutes; with tensorrt-rtx for any card
    that --gpu names, in seconds and without having it. Networks that int8 does not serve, such as detectors, are built
    in fp16 when MODELS are left to the settings. What is built already and still serves is not built again. Each line
    tells the layers of the network, the seconds that building took, the size and the file.
    """
    from rtface.backends._tensorrt import load
    from rtface.engine_builder import build_model, target
    from rtface.engine_files import Flavour
    from rtface.system import System

    library = load(Flavour(flavour) if flavour else None)
    targets = [target(library, capability, max_batch=max_batch) for capability in capabilities or (None,)]
    with progress() as report, System(read_config(config, settings), report=report) as system:
        for name in models or (system.config.detector, system.config.embedder):
            spec = system.models.spec(name)
            wanted = _precision(spec, precision, named=bool(models))
            for one in targets:
                for engine in build_model(
                    system.models, name, wanted, one, in_frame=system.engines.in_frame(spec), force=force, report=report
                ):
                    _tell_built(engine, as_json=as_json)


def _precision(spec: ModelSpec, wanted: str, *, named: bool) -> Precision:
    """What TensorRT is given for what the user asked for."""
    from rtface.models.spec import Precision

    precision = Precision.INT8_SIGNED if wanted == "int8" else Precision(wanted)
    return precision if named or precision in spec.precisions else Precision.FP16


def _tell_built(engine: Engine, *, as_json: bool) -> None:
    made = engine.manifest
    if as_json:
        facts = {"layers": made.layers, "seconds": made.build_seconds, "bytes": made.bytes, "new": engine.new}
        origin = {"model": made.origin.model, "graph": made.origin.graph, "precision": made.origin.precision}
        library = {"flavour": made.flavour, "version": made.version, "capability": made.capability}
        print_json({**origin, **library, "max_batch": made.max_batch, **facts, "path": str(engine.path)})
        return
    how = f"{made.build_seconds:.1f} s" if engine.new else "there already"
    click.echo(
        f"{made.origin.graph} {made.origin.precision} for compute capability {made.capability}: "
        f"{made.layers} layers, {how}, {made.bytes / 1e6:.1f} MB, {engine.path}"
    )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@settings_options
def list_engines(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """List every engine: what it computes, by and for what, and whether it still serves.

    An engine is stale when its graph has changed, or another version of its library is installed. One for another card
    is not: it may be meant for another machine.
    """
    with open_system(config, settings) as system:
        found = _stored(system, ())
    if as_json:
        for engine in found:
            print_json({**_facts(engine), "bytes": engine.bytes, "path": str(engine.path)})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "graph", "precision", "built by", "card", "MB", "state")
    for engine in found:
        key, origin = engine.key, engine.origin
        state = "stale: " + "; ".join(engine.stale) if engine.stale else "current"
        library = f"{key.flavour} {key.version}"
        table.add_row(
            origin.model, origin.graph, origin.precision, library, key.capability, f"{engine.bytes / 1e6:.1f}", state
        )
    Console().print(table)


def _facts(engine: Stored) -> dict[str, object]:
    return {
        "model": engine.origin.model,
        "graph": engine.origin.graph,
        "precision": engine.origin.precision,
        "flavour": engine.key.flavour,
        "version": engine.key.version,
        "capability": engine.key.capability,
        "state": "stale" if engine.stale else "current",
        "reasons": list(engine.stale),
    }


def _stored(system: System, names: Collection[str]) -> list[Stored]:
    """The engines of these models, or all."""
    from rtface.engine_builder import stock

    for name in names:
        system.models.spec(name)  # says which there are where there is none of that name
    engines = stock.stored(system.config.engines_dir, stock.installed())
    return [engine for engine in engines if not names or engine.origin.model in names]


@command.command("verify")
@click.argument("models", nargs=-1)
@settings_options
def verify(models: tuple[str, ...], config: Path | None, settings: tuple[str, ...]) -> None:
    """Read the engines of MODELS through, or all, and compare checksums; exit code 1 when one does not serve.

    Where the card an engine is for is in this machine, the engine is loaded too.
    """
    from rtface.engine_builder import stock

    with open_system(config, settings) as system:
        found = _stored(system, models)
    failed = [name for name in models if name not in {engine.origin.model for engine in found}]
    for name in failed:
        say(f"{name}: no engine is built; rtface engine build {name} does it.")
    libraries = stock.installed()
    for engine in found:
        told = stock.complaints(engine, libraries)
        cure = f"; {stock.command(engine)} makes it anew" if told else ""
        say(f"{engine.path.name}: {'; '.join(told) or 'whole'}{cure}")
        failed += told
    sys.exit(1 if failed else 0)


@command.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@settings_options
def prune(dry_run: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Remove engines that do not serve any more; those for other cards stay."""
    from rtface.engine_builder import stock

    with open_system(config, settings) as system:
        stale = [engine for engine in _stored(system, ()) if engine.stale]
    for engine in stale:
        if not dry_run:
            stock.remove(engine)
        say(f"{'would remove' if dry_run else 'removed'} {engine.path}: {'; '.join(engine.stale)}")
    if not stale:
        say("Nothing to remove.")
