"""What every command shares: the settings options, progress bars and JSON lines."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rtface.config import Config
    from rtface.models.fetch import Report
    from rtface.system import System

PATH = click.Path(path_type=Path, readable=False)
"""Click looks at nothing: the part that opens a file says what is wrong with it."""

Command = TypeVar("Command", bound=Callable[..., object])


def settings_options(command: Command) -> Command:
    """Adds ``--set key=value`` (repeatable) and ``--config FILE``, passed on as ``settings`` and ``config``.

    What was given before the command's name comes first, so that what stands after it wins.
    """
    return _options(command, passed_on=True)


def early_settings_options(command: Command) -> Command:
    """The same for what only holds commands: keeps them for ``settings_options`` of the command that is called."""
    return _options(command, passed_on=False)


def _options(command: Command, *, passed_on: bool) -> Command:
    command = click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_gathered,
        expose_value=passed_on,
        help="Override a setting of config.toml; repeatable.",
    )(command)
    return click.option(
        "--config",
        "config",
        metavar="FILE",
        type=PATH,
        callback=_gathered,
        expose_value=passed_on,
        help="Settings file instead of the usual config.toml.",
    )(command)


def _gathered(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """The option's value with what was given further left; ``meta`` is what a command shares with those around it."""
    key = f"rtface.{option.name}"
    before = context.meta.get(key)
    context.meta[key] = (*(before or ()), *value) if option.multiple else value or before
    return context.meta[key]


def read_config(config: Path | None, settings: tuple[str, ...]) -> Config:
    """The settings in force for this command.

    Raises:
        ConfigError: unknown key or value out of range.
        UsageError: a setting without ``=``.
    """
    from rtface.config import load_config, parse_flags
    from rtface.errors import ConfigError

    try:
        flags = parse_flags(settings)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    return load_config(config, flags)


@contextmanager
def open_system(config: Path | None, settings: tuple[str, ...], *, at_once: bool = False) -> Iterator[System]:
    """A system for this command whose model downloads show a progress bar on stderr; ``at_once`` as for ``System``."""
    from rtface.system import System

    with progress() as report, System(read_config(config, settings), report=report, at_once=at_once) as system:
        yield system


@contextmanager
def open_system_to_look(config: Path | None, settings: tuple[str, ...]) -> Iterator[System]:
    """As ``open_system``, for who only looks: a gallery that is not there stays so, an empty one stands in for it."""
    with ExitStack() as stack:
        if no_gallery_yet(read_config(config, settings)):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtface-"))
            settings = (*settings, f"gallery={Path(folder) / 'gallery.db'}")
        yield stack.enter_context(open_system(config, settings))


def no_gallery_yet(config: Config) -> bool:
    """Whether nobody has ever been enrolled here; a gallery that cannot be opened is another matter."""
    try:
        return isinstance(config.gallery, Path) and not config.gallery.exists()
    except OSError:
        return False


@contextmanager
def progress() -> Iterator[Report]:
    """A ``report(label, done, total)`` that draws one bar a label on stderr, each gone when it is full."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}
    told: set[str] = set()

    def report(label: str, done: int, total: int) -> None:
        if label not in tasks:
            if not tasks:
                bars.start()
            tasks[label] = bars.add_task(label, total=total)
            if not console.is_terminal and label not in told:
                told.add(label)
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
    """One JSON object on a line of stdout, at once; UTF-8 whatever the terminal's encoding."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    sys.stdout.flush()  # what was printed before comes before
    bytes_out = getattr(sys.stdout, "buffer", None)
    if bytes_out is None:  # a stand-in of a test or a notebook
        sys.stdout.write(text)
    else:
        # The name of a file that is no UTF-8 has lone surrogates; escaped with a backslash they are JSON again.
        bytes_out.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def finite(value: float, digits: int = 4) -> float | None:
    """A number for JSON; None where there is none (no neighbour at all)."""
    return round(value, digits) if value != float("inf") else None


def say(text: str) -> None:
    """A sentence for the person at the terminal, on stderr."""
    click.echo(text, err=True)
