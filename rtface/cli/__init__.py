"""The command line. Each command is one file, imported when it runs; only here an error becomes an exit code."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import logging
import os
import sys
from pathlib import Path

import click

from rtface import __version__
from rtface.cli._shared import early_settings_options
from rtface.errors import RtfaceError

log = logging.getLogger(__name__)

COMMANDS = {
    "run": "Recognise faces in live video.",
    "enroll": "Add a person to the gallery from pictures or a camera.",
    "identify": "Say who is in pictures.",
    "verify": "Say whether two pictures show the same person.",
    "index": "Find the faces in a folder of photos.",
    "find": "Find somebody in a folder of photos.",
    "cluster": "Put the faces in a folder of photos together by person.",
    "gallery": "List, show, rename, remove and check enrolled people.",
    "explain": "Show why somebody got a name, and decide again from the record.",
    "models": "List, fetch and verify the networks.",
    "engine": "Build, list, check and clear away TensorRT engines.",
    "doctor": "Check this machine and say what would serve.",
    "evaluate": "Measure recognition quality on a benchmark.",
    "train": "Train a network on pictures of people, and export it.",
    "bench": "Measure speed and latency on a source.",
}


TOLD = ("rtface.pipeline.upgrade",)
"""Loggers whose news everybody is to see, not only who asks for all."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"rtface.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Adds a suggestion to the complaint about an unknown command."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rtface")
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr what is going on inside.")
@early_settings_options
def cli(verbose: bool) -> None:
    """Real-time face recognition: point it at a camera and it says who is there.

    Every command takes --set key=value (any setting of config.toml) and --config FILE, before or after its name.
    Results go to stdout, words and progress to stderr. Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
    level = logging.DEBUG if verbose else logging.WARNING
    form = "%(levelname)s %(name)s: %(message)s" if verbose else "rtface: %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr)
    for name in TOLD:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """Entry point of the ``rtface`` script."""
    _settle_streams()
    try:
        cli(prog_name="rtface", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RtfaceError as error:
        click.echo(f"rtface: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("rtface: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        _abandon_stdout()
        sys.exit(1)
    except OSError as error:
        # Whatever no part has a sentence for: stdout on a full disk, a path that is too long ...
        log.debug("from the system", exc_info=True)
        place = f" {_shortened(str(error.filename))}" if error.filename is not None else ""
        click.echo(f"rtface: It stopped at{place or ' its output'}: {error.strerror or error}.", err=True)
        _abandon_stdout()
        sys.exit(1)


def _settle_streams() -> None:
    """Closed streams swallow what is written; what a terminal cannot show is escaped instead of ending the program."""
    if sys.stdout is None:  # so it is after >&-
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - open to the end
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """Whoever read our output has gone, or it has no room: the interpreter's last flush goes nowhere, and quietly."""
    with contextlib.suppress(OSError, ValueError):  # a stand-in of a test is no file of the system
        target = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, target)
        os.close(nowhere)


def _shortened(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:100]}...{path[-50:]}"
