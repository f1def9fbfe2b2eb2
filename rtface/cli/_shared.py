"""What every command shares: the settings options, progress bars and JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from rtface.config import Config
    from rtface.models.fetch import Report
    from rtface.system import System

Command = TypeVar("Command", bound=Callable[..., object])


def settings_options(command: Command) -> Command:
    """Adds ``--set key=value`` (repeatable) and ``--config FILE``, passed on as ``settings`` and ``config``."""
    command = click.option(
        "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Override a setting of config.toml; repeatable."
    )(command)
    return click.option(
        "--config", "config", type=click.Path(path_type=Path), help="Settings file instead of the usual config.toml."
    )(command)


def read_config(config: Path | None, settings: tuple[str, ...]) -> Config:
    """The settings in force for this command.

    Raises:
        ConfigError: unknown key or value out of range.
    """
    from rtface.config import load_config, parse_flags

    return load_config(config, parse_flags(settings))


@contextmanager
def open_system(config: Path | None, settings: tuple[str, ...]) -> Iterator[System]:
    """A system for this command whose model downloads show a progress bar on stderr."""
    from rtface.system import System

    with progress() as report, System(read_config(config, settings), report=report) as system:
        yield system


@contextmanager
def progress() -> Iterator[Report]:
    """A ``report(label, done, total)`` that draws one bar a label on stderr, each gone when it is full."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def report(label: str, done: int, total: int) -> None:
        if label not in tasks:
            if not tasks:
                bars.start()
            tasks[label] = bars.add_task(label, total=total)
            if not console.is_terminal:
                console.print(f"{label} ...", style="dim")
        bars.update(tasks[label], completed=done, total=total)
        if done >= total:
            bars.update(tasks[label], visible=False)
        if all(task.finished for task in bars.tasks):
            bars.stop()
            for task in tasks.values():
                bars.remove_task(task)
            tasks.clear()

    try:
        yield report
    finally:
        bars.stop()


def print_json(record: object) -> None:
    """One JSON object on a line of stdout, at once."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def finite(value: float, digits: int = 4) -> float | None:
    """A number for JSON; None where there is none (no neighbour at all)."""
    return round(value, digits) if value != float("inf") else None


def say(text: str) -> None:
    """A sentence for the person at the terminal, on stderr."""
    click.echo(text, err=True)
