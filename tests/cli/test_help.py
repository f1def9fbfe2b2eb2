"""Help is the manual: it is whole, quick, and leads back from a slip of the keyboard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from rtface.cli import COMMANDS, cli
from tests.cli.calls import CHECKOUT, Rtface

HEAVY = ("cv2", "onnxruntime", "insightface", "hnswlib", "tensorrt", "pycuda", "numpy", "onnx")


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


EVERY = [pytest.param(path, command, id=" ".join(path) or "rtface") for path, command in walk(cli)]


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_option_and_argument_is_documented(path: tuple[str, ...], command: click.Command) -> None:
    text = (command.help or "").strip()
    assert text.endswith("."), path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert (parameter.help or "").endswith("."), (path, parameter.name)
        else:
            assert parameter.human_readable_name.rstrip(".").strip("[]") in text, (path, parameter.name)


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_takes_settings(path: tuple[str, ...], command: click.Command) -> None:
    options = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--set", "--config"} <= options, path


def test_first_page_shows_every_command(rtface: Rtface) -> None:
    page = rtface("--help")
    assert page.code == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in page.out] == []


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from rtface.cli import cli; cli(['--help'], standalone_mode=False);"
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("runn",), "Did you mean 'run'"),
        (("dance",), "Known: run, enroll"),
        (("gallery", "lst"), "Did you mean 'list'"),
        (("run", "--sorce", "0"), "--source"),
        (("identify",), "PICTURES"),
        (("verify", "a.jpg"), "SECOND"),
        (("run", "--max-frames", "0"), "--max-frames"),
        (("run", "--camera", "front"), "--camera"),
        (("enroll", "Ada"), "rtface enroll NAME DIR/"),
        (("enroll", "Ada", "a.jpg", "--camera", "0"), "not both"),
        (("enroll", "-x", "a.jpg"), "-x"),
        (("evaluate", "lfw"), "--images"),
        (("gallery", "list", "--set", "k"), "--set k=7"),
    ],
)
def test_wrong_usage_is_two_and_says_what_is_right(rtface: Rtface, words: tuple[str, ...], hint: str) -> None:
    ended = rtface(*words)
    assert (ended.code, ended.out) == (2, "")
    assert hint in ended.err
    assert "Usage: rtface" in ended.err


def test_version_is_told(rtface: Rtface) -> None:
    assert rtface("--version").out.startswith("rtface, version ")
