"""``rtface explain``: why somebody got a name, or lost it, and whether the same would come out again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import PATH, no_gallery_yet, open_system_to_look, print_json, read_config, settings_options
from rtface.errors import GalleryError, RecordError

if TYPE_CHECKING:
    from rtface.gallery.replay import Source
    from rtface.types import Ballot, Decision

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the gallery says of a decision today: its pictures, what has changed, or why it cannot say."""

    pictures: dict[int, Source] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    silent: str = ""


@click.command("explain")
@click.argument("event", required=False)
@click.option("--events", "file", metavar="FILE", type=PATH, required=True, help="What rtface run --events wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line: event, agrees, differences, pictures, changed.")
@settings_options
def command(event: str | None, file: Path, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Show why EVENT happened, and decide again from its record.

    EVENT is an event's id or the number of its line; without one, the last somebody was identified or revoked. Every
    look is voted on again from the rows that were found, and the track from its looks: exit code 1 when something else
    comes out than the record says. Where the gallery is at hand, the pictures that decided are named, and what has
    changed since.

    The file holds names, distances and times of the people seen: keep it as carefully as the gallery. Erasing somebody
    from the gallery does not erase them from files written before.
    """
    from rtface.decision_record import from_json
    from rtface.gallery.replay import differences

    line = _chosen(file, event)
    decision = from_json(line["decision"])
    track = line.get("track")
    differs = differences(decision, track_id=track if isinstance(track, int) else 0) + _against_event(line, decision)
    lookup = _look_up(decision, str(line.get("model")), config, settings)
    if as_json:
        pictures = [asdict(picture) for picture in lookup.pictures.values()]
        print_json(
            {"event": line, "agrees": not differs, "differences": differs, "pictures": pictures}
            | {"changed": lookup.changed, "gallery": lookup.silent or "read"}
        )
    else:
        _tell(line, decision, differs, lookup)
    sys.exit(1 if differs else 0)


def _lines(file: Path) -> Iterator[tuple[int, Line]]:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for number, text in enumerate(stream, 1):
                try:
                    line = json.loads(text)
                except ValueError:
                    line = None
                if not isinstance(line, dict):
                    raise RecordError(f"{file}, line {number} is no event: give a file that rtface run --events wrote.")
                yield number, line
    except OSError as error:
        raise RecordError(f"The events {file} cannot be read: {error.strerror or error}.") from error


def _chosen(file: Path, event: str | None) -> Line:
    """The line of this id or number, or the last with a decision.

    Raises:
        RecordError: there is none.
    """
    found = None
    for number, line in _lines(file):
        if event is None:
            found = line if "decision" in line else found
        elif event in (line.get("id"), str(number)):
            found = line
            break
    if found is None:
        wanted = f"no event {event!r}" if event else "nobody identified or revoked"
        raise RecordError(f"There is {wanted} in {file}. Ids stand in its lines under id; lines count from 1.")
    if "decision" not in found:
        raise RecordError(
            f"Event {event} ({found.get('kind')}) rests on no decision: only identified and revoked ones do."
        )
    return found


def _against_event(line: Line, decision: Decision) -> list[str]:
    """Whether the event says what the decision in it does."""
    if line.get("kind") == "identified" and line.get("person") != decision.person:
        return [f"the event names {line.get('person')}, its decision {decision.person or 'nobody'}"]
    if line.get("kind") == "revoked" and line.get("person") == decision.person:
        return [f"the event withdraws the name {line.get('person')}, its decision gives it"]
    return []


def _look_up(decision: Decision, model: str, config: Path | None, settings: tuple[str, ...]) -> Lookup:
    from rtface.gallery.replay import changes, sources, voters

    if no_gallery_yet(read_config(config, settings)):
        return Lookup(silent="there is no gallery here; name it with --set gallery=FILE")
    try:
        with open_system_to_look(config, settings) as system, system.open_gallery() as gallery:
            spec = system.embedder_spec
            if model != f"{spec.name}:{spec.fingerprint}":
                return Lookup(silent=f"the gallery at hand is of {spec.name}, the event of {model}")
            found = sources(gallery.database, voters(decision))
            return Lookup(found, changes(decision, found, gallery.counts(), gallery.revision))
    except GalleryError as error:
        return Lookup(silent=str(error))


def _tell(line: Line, decision: Decision, differs: list[str], lookup: Lookup) -> None:
    from rtface.gallery.replay import voters

    when = line.get("time") or f"{line.get('at')} s"
    click.echo(
        f"{line.get('kind')}: {line.get('person')}, track {line.get('track')} of {line.get('source')}, at {when}"
    )
    click.echo(f"event {line.get('id')}, {line.get('model')} on {line.get('backend')}")
    click.echo(_in_words(decision))
    _print_looks(decision)
    times = voters(decision)
    for number, picture in lookup.pictures.items():
        added = time.strftime("%Y-%m-%d", time.localtime(picture.added_at))
        role = f"not {picture.person}" if picture.against else picture.person
        click.echo(f"picture {number} ({role}), in {times[number]} looks: {picture.file}, added {added}")
    for sentence in lookup.changed:
        click.echo(f"since then: {sentence}")
    if lookup.silent:
        click.echo(f"Pictures are not named: {lookup.silent}")
    click.echo(
        "\n".join(["Decided again, this comes out otherwise:", *differs]) if differs else "Decided again: the same."
    )


def _in_words(decision: Decision) -> str:
    """The verdict as a sentence or two."""
    votes: dict[str, int] = {}
    for look in decision.ballots:
        votes[look.vote.person or "nobody"] = votes.get(look.vote.person or "nobody", 0) + 1
    rules, told = decision.rules, ", ".join(f"{count} for {person}" for person, count in sorted(votes.items()))
    words = (
        f"{len(decision.ballots)} looks: {told or 'no vote'}. The most for one person are {decision.evidence:.3g} "
        f"times likelier for them than for a stranger; a name needs {decision.needed:.3g}, {rules.min_votes} looks "
        f"for it and more than for all others together. Verdict: {decision.person or 'nobody'}."
    )
    if decision.rivals:
        faces = ", ".join(f"track {rival.track_id} (share {rival.share:.2f})" for rival in decision.rivals)
        words += f" The same name was claimed by {faces}; the largest share has it."
    return words


def _print_looks(decision: Decision) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("look", "at", "quality", "vote", "share", "limit", "weights", "rows: person distance")
    for number, look in enumerate(decision.ballots, 1):
        weights = ", ".join(f"{person} {weight:.3f}" for person, weight in look.weights)
        cells = (str(number), f"{look.at:.2f}", f"{look.quality:.2f}", look.vote.person or "nobody")
        # As Text, because a name may look like markup.
        table.add_row(
            *map(Text, (*cells, f"{look.vote.share:.2f}", f"{look.limit:.3f}", weights or "none", _rows(look)))
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _rows(look: Ballot) -> str:
    return ", ".join(f"{'not ' if row.against else ''}{row.person} {row.distance:.3f}" for row in look.vote.neighbors)
