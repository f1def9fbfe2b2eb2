"""``rtface models``: the networks on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import early_settings_options, open_system, print_json, say, settings_options

if TYPE_CHECKING:
    from rtface.models.spec import Precision
    from rtface.system import System


@click.group("models")
@early_settings_options
def command() -> None:
    """List, fetch and verify the networks."""


@contextmanager
def _named(
    names: tuple[str, ...], config: Path | None, settings: tuple[str, ...]
) -> Iterator[tuple[System, list[str]]]:
    """A system, and the models named, or those the settings use when none is."""
    with open_system(config, settings) as system:
        yield system, list(names) or [system.config.detector, system.config.embedder]


def _precision(system: System, name: str) -> Precision:
    return system.engines.precision_of(system.models.spec(name))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@settings_options
def list_models(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """List every model: task, state on this machine, licence, and what it is."""
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "task", "here", "licence", "what it is")
    with open_system(config, settings) as system:
        for spec in system.models.models.values():
            state = str(system.models.status(spec.name, system.engines.precision_of(spec)))
            if as_json:
                print_json(
                    {
                        "model": spec.name,
                        "task": str(spec.task),
                        "status": state,
                        "licence": spec.licence,
                        "title": spec.title,
                        "fingerprint": spec.fingerprint,
                    }
                )
            table.add_row(spec.name, spec.task, state, spec.licence, spec.title)
    if not as_json:
        Console().print(table)


@command.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--force", is_flag=True, help="Fetch and build again what is already here.")
@settings_options
def fetch(names: tuple[str, ...], force: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Fetch and build NAMES, or the models the settings use."""
    with _named(names, config, settings) as (system, models):
        for name in models:
            files = system.models.fetch(name, _precision(system, name), force=force)
            say(f"{name}: {', '.join(str(path) for path in files.values())}")


@command.command("path")
@click.argument("names", nargs=-1)
@settings_options
def path(names: tuple[str, ...], config: Path | None, settings: tuple[str, ...]) -> None:
    """Print where the graphs of NAMES are, fetching them if need be."""
    with _named(names, config, settings) as (system, models):
        for name in models:
            for graph in system.models.graphs(name, _precision(system, name)).values():
                click.echo(graph)


@command.command("verify")
@click.argument("names", nargs=-1)
@settings_options
def verify(names: tuple[str, ...], config: Path | None, settings: tuple[str, ...]) -> None:
    """Read NAMES through and compare checksums; exit code 1 when a file is not as it was built."""
    complaints = []
    with _named(names, config, settings) as (system, models):
        for name in models:
            found = system.models.verify(name)
            complaints += found
            say(f"{name}: {'; '.join(found) or 'whole'}")
    sys.exit(1 if complaints else 0)
