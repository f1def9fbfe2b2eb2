"""``rtface gallery``: the people who are enrolled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import early_settings_options, open_system, print_json, say, settings_options

if TYPE_CHECKING:
    from rtface.gallery.store import PersonGallery, Picture

as_json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")


@click.group("gallery")
@early_settings_options
def command() -> None:
    """List, show, rename, remove and check enrolled people."""


@contextmanager
def _gallery(config: Path | None, settings: tuple[str, ...]) -> Iterator[PersonGallery]:
    with open_system(config, settings) as system, system.open_gallery() as gallery:
        yield gallery


def _picture(picture: Picture) -> dict[str, object]:
    return {
        "file": picture.file,
        "added_at": datetime.fromtimestamp(picture.added_at).astimezone().isoformat(timespec="seconds"),
        "quality": round(picture.quality, 3),
        "sha256": picture.sha256,
    }


@command.command("list")
@as_json_option
@settings_options
def list_people(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """List everybody enrolled, with the number of pictures."""
    with _gallery(config, settings) as gallery:
        people = gallery.people()
        for person in people:
            if as_json:
                print_json({"name": person.name, "pictures": [_picture(p) for p in gallery.pictures(person.name)]})
            else:
                click.echo(f"{person.name}\t{person.pictures}")
    if not people:
        say("Nobody is enrolled. Add somebody: rtface enroll NAME DIR/")


@command.command("show")
@click.argument("name")
@as_json_option
@settings_options
def show(name: str, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Show where NAME's rows come from: picture, when, quality."""
    with _gallery(config, settings) as gallery:
        pictures = [_picture(picture) for picture in gallery.pictures(name)]
    if as_json:
        print_json({"name": name, "pictures": pictures})
        return
    for picture in pictures:
        click.echo(f"{picture['added_at']}\t{picture['quality']}\t{picture['file']}")


@command.command("remove")
@click.argument("name")
@settings_options
def remove(name: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Erase NAME: every row and vector, from the database and the index."""
    with _gallery(config, settings) as gallery:
        gallery.remove(name)
    say(f"{name} is erased.")


@command.command("rename")
@click.argument("old")
@click.argument("new")
@settings_options
def rename(old: str, new: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Give OLD the name NEW."""
    with _gallery(config, settings) as gallery:
        gallery.rename(old, new)
    say(f"{old} is now called {new}.")


@command.command("check")
@settings_options
def check(config: Path | None, settings: tuple[str, ...]) -> None:
    """Check that the gallery is whole: database, vectors, and index against truth."""
    with _gallery(config, settings) as gallery:
        problems = gallery.check()
        rows = len(gallery)
    for problem in problems:
        click.echo(problem)
    say(f"{rows} rows, {len(problems)} problems.")
    sys.exit(1 if problems else 0)
