"""``rtface gallery``: the people who are enrolled."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli import (
    _gallery_calibrate,
    _gallery_compact,
    _gallery_copy,
    _gallery_erasure,
    _gallery_files,
    _gallery_keys,
    _gallery_migrate,
    _gallery_records,
)
from rtface.cli._gallery import known_as, opened_gallery, person_record, picture_record, printed
from rtface.cli._shared import PATH, early_settings_options, print_json, say, settings_options
from rtface.cli._sheets import check_sheet, keep_sheet

if TYPE_CHECKING:
    from rtface.gallery.gallery import PersonGallery
    from rtface.gallery.people import Person
    from rtface.gallery.statistics import Statistics

as_json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")


@click.group("gallery")
@early_settings_options
def command() -> None:
    """Look after enrolled people: names, notes, consent, copies, and whether all is whole."""


for also in (
    _gallery_records.note,
    _gallery_records.tag,
    _gallery_records.consent,
    _gallery_files.export,
    _gallery_files.import_,
    _gallery_calibrate.calibrate,
    _gallery_compact.compact,
    _gallery_copy.copy,
    _gallery_migrate.migrate,
    _gallery_keys.encrypt,
    _gallery_keys.decrypt,
    _gallery_keys.rotate_key,
):
    command.add_command(also)


@command.command("list")
@click.option("--tag", "tags", multiple=True, help="Only people with this tag; repeatable, all must be there.")
@as_json_option
@settings_options
def list_people(tags: tuple[str, ...], as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """List everybody enrolled, with the number of pictures and the tags."""
    with opened_gallery(config, settings) as gallery:
        wanted = set(map(known_as, tags))
        people = [person for person in gallery.people() if wanted <= set(person.tags)]
        for person in people:
            if as_json:
                print_json(person_record(person, gallery.pictures(person.name)))
            else:
                click.echo(
                    "\t".join([person.name, str(person.pictures), *([", ".join(person.tags)] * bool(person.tags))])
                )
    if not people and not tags:
        say("Nobody is enrolled. Add somebody: rtface enroll NAME DIR/")


@command.command("show")
@click.argument("name")
@click.option("--sheet", type=PATH, metavar="FILE", help="Write the faces as one .jpg or .png picture.")
@as_json_option
@settings_options
def show(name: str, sheet: Path | None, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Show what is known of NAME and where each row comes from: when, quality, picture.

    --sheet writes the faces side by side, as they were kept (setting keep_crops) or cut out of the pictures they came
    from, where these are still there.
    """
    check_sheet(sheet)
    with opened_gallery(config, settings) as gallery:
        pictures = gallery.pictures(name)
        person = gallery.person(name)
        if sheet is not None:
            _write_sheet(gallery, person.name, sheet)
    if as_json:
        print_json(person_record(person, pictures))
        return
    for line in _words(person):
        say(line)
    for picture in pictures:
        record = picture_record(picture)
        against = f"\tnot {person.name}" if picture.against else ""
        click.echo(f"{record['added_at']}\t{record['quality']}\t{printed(picture.file)}{against}")


def _words(person: Person) -> list[str]:
    consent = person.consent
    lines = [f"Note: {printed(person.note)}"] if person.note else []
    lines += [f"Tags: {printed(', '.join(person.tags))}"] if person.tags else []
    if consent is not None:
        given, until = date.fromtimestamp(consent.given_at), f", until {consent.until}" if consent.until else ""
        lines.append(f"Consent: given {given} for {printed(consent.purpose)}{until}")
    return lines


def _write_sheet(gallery: PersonGallery, name: str, file: Path) -> None:
    from rtface.portraits import portrait_sheet

    keep_sheet(file, portrait_sheet(gallery, name))
    say(f"{file} shows {name}.")


@command.command("remove")
@click.argument("name")
@click.option(
    "--receipt", type=PATH, metavar="FILE", help="Write what was erased, and a search for remains, into FILE."
)
@settings_options
def remove(name: str, receipt: Path | None, config: Path | None, settings: tuple[str, ...]) -> None:
    """Erase NAME: every row, vector and face, from the database and the index.

    --receipt writes a JSON file that names nobody: how much was erased, from which files, and what a search of their
    bytes for the vectors, faces, name and paths has found, which is nothing.
    """
    with opened_gallery(config, settings) as gallery:
        _gallery_erasure.remove(gallery, name, receipt)
    say(f"{known_as(name)} is erased.")


@command.command("rename")
@click.argument("old")
@click.argument("new")
@settings_options
def rename(old: str, new: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Give OLD the name NEW."""
    with opened_gallery(config, settings) as gallery:
        gallery.rename(old, new)
    say(f"{known_as(old)} is now called {known_as(new)}.")


@command.command("merge")
@click.argument("name")
@click.argument("into")
@settings_options
def merge(name: str, into: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Make one person of two: all pictures of NAME become pictures of INTO, and NAME is gone.

    Notes are put together, tags too, and of two consents the one that ends sooner counts.
    """
    if known_as(name) == known_as(into):
        raise click.UsageError(f"NAME and INTO are the same: {known_as(into)}.")
    with opened_gallery(config, settings) as gallery:
        gallery.merge(name, into)
    say(f"{known_as(name)} is now {known_as(into)}.")


@command.command("expire")
@as_json_option
@settings_options
def expire(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Erase everybody whose consent has ended. Every command that opens the gallery does so too."""
    with opened_gallery(config, settings) as gallery:
        names = gallery.expire()
    for name in names:
        print_json({"name": name}) if as_json else click.echo(name)
    say(f"{len(names)} people erased.")


@command.command("check")
@as_json_option
@settings_options
def check(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Check that the gallery is whole: database, vectors, and index against truth."""
    with opened_gallery(config, settings) as gallery:
        problems = gallery.check()
        rows = len(gallery)
    for problem in problems:
        print_json({"problem": problem}) if as_json else click.echo(printed(problem))
    say(f"{rows} rows, {len(problems)} problems.")
    sys.exit(1 if problems else 0)


@command.command("stats")
@as_json_option
@settings_options
def stats(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Say how much is in the gallery, how large it is, whose consent ends soon and who looks like whom."""
    from rtface.gallery.statistics import statistics

    with opened_gallery(config, settings) as gallery:
        found = statistics(gallery, date.today())
    if as_json:
        print_json(asdict(found) | {"ending_soon": [(name, end.isoformat()) for name, end in found.ending_soon]})
        return
    for label, value in _table(found):
        click.echo(f"{label:<18}{value}")


def _table(found: Statistics) -> list[tuple[str, str]]:
    rows = [
        ("people", f"{found.people:,}"),
        ("pictures", f"{found.pictures:,}"),
        ("counter-examples", f"{found.counter_examples:,}"),
        ("faces kept", f"{found.kept_faces:,}"),
        ("mapped", f"{found.mapped:,} rows from another model"),
        ("revision", f"{found.revision:,}"),
        ("model", f"{found.model} {found.fingerprint}"),
        ("embedding", f"{found.size} numbers, {found.form}, {found.vector_bytes:,} bytes"),
        ("database", f"{found.database_bytes / 1e6:,.1f} MB"),
        ("index on disk", f"{found.index_bytes / 1e6:,.1f} MB"),
        ("no consent noted", f"{found.without_consent:,} people"),
    ]
    rows += [("consent ends", f"{end}  {name}") for name, end in found.ending_soon]
    rows += [("look alike", f"{pair.distance:.2f}  {pair.first} and {pair.second}") for pair in found.look_alikes]
    if found.looked_at < found.pictures:
        rows.append(("", f"(look-alikes of {found.looked_at:,} of {found.pictures:,} pictures)"))
    return rows
