"""``rtface gallery note|tag|consent``: what is known of a person besides the face."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from rtface.cli._gallery import known_as, opened_gallery
from rtface.cli._shared import say, settings_options


@click.command("note")
@click.argument("name")
@click.argument("text")
@settings_options
def note(name: str, text: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Keep TEXT as the note of NAME, in place of the one before; "" takes it away."""
    with opened_gallery(config, settings) as gallery:
        gallery.note(name, text)
        kept = gallery.person(name).note
    say(f"The note of {known_as(name)} is kept." if kept else f"{known_as(name)} has no note.")


@click.command("tag")
@click.argument("name")
@click.argument("tags", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the tags away.")
@settings_options
def tag(name: str, tags: tuple[str, ...], remove: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Put TAGS on NAME, for rtface gallery list --tag."""
    with opened_gallery(config, settings) as gallery:
        gallery.tag(name, () if remove else tags, remove=tags if remove else ())
        person = gallery.person(name)
    say(f"{person.name}: {', '.join(person.tags) or 'no tags'}.")


@click.command("consent")
@click.argument("name")
@click.option("--for", "purpose", required=True, help="What NAME agreed to.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The last day of it.")
@settings_options
def consent(name: str, purpose: str, until: datetime | None, config: Path | None, settings: tuple[str, ...]) -> None:
    """Record that NAME has agreed today, to what, and until when.

    When the last day is over NAME is not recognised any more, at midnight even by programs that are running, and is
    erased as by rtface gallery remove.
    """
    if not purpose.strip():
        raise click.BadParameter("say what was agreed to", param_hint="--for")
    last = None if until is None else until.date()
    if last is not None and last < date.today():
        raise click.BadParameter(
            f"{last} is over. To erase {name}: rtface gallery remove {name!r}", param_hint="--until"
        )
    with opened_gallery(config, settings) as gallery:
        gallery.consent(name, purpose, last)
    name = known_as(name)
    say(f"Consent of {name} is recorded{f'; {name} will be erased after {last}' if last else ''}.")
