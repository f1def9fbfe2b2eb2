"""Decisions reached again from their records, and the pictures they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from rtface.gallery.database import Database
from rtface.gallery.evidence import decide, judged_again
from rtface.types import Ballot, Decision

TOLERANCE = 1e-9
"""Relative: the same sums on another machine's arithmetic."""


def differences(decision: Decision, *, track_id: int) -> list[str]:
    """What comes out otherwise when everything is computed again from the rows that were found; [] when nothing does.

    Each look is voted on again from its neighbours, its limit and its rules, then the track from its looks.
    """
    found = []
    looks = [judged_again(look, look.vote.neighbors, decision.rules) for look in decision.ballots]
    for number, (written, again) in enumerate(zip(decision.ballots, looks, strict=True), 1):
        found += [f"look {number}: {what}" for what in _ballot_differences(written, again)]
    reached = decide(looks, decision.rules, track_id=track_id, rivals=decision.rivals)
    if reached.person != decision.person:
        found.append(f"the verdict is {reached.person or 'nobody'}, the record says {decision.person or 'nobody'}")
    if not _close(reached.evidence, decision.evidence):
        found.append(f"the evidence is {reached.evidence:.6g}, the record says {decision.evidence:.6g}")
    if not _close(reached.needed, decision.needed):
        found.append(f"{reached.needed:.6g} of evidence is needed, the record says {decision.needed:.6g}")
    return found


def _ballot_differences(written: Ballot, again: Ballot) -> Iterator[str]:
    if again.vote.person != written.vote.person:
        yield f"the vote is for {again.vote.person or 'nobody'}, the record says {written.vote.person or 'nobody'}"
    if not _close(again.vote.share, written.vote.share):
        yield f"the share is {again.vote.share:.6g}, the record says {written.vote.share:.6g}"
    now, then = dict(again.weights), dict(written.weights)
    if now.keys() != then.keys() or not all(_close(now[person], then[person]) for person in now):
        yield f"the weights are {now}, the record says {then}"


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 1e-12)


@dataclass(frozen=True, slots=True)
class Source:
    """A gallery row that a decision rests on, as the gallery has it now.

    Attributes:
        picture: its number.
        person: whose it is today.
        file: where the picture came from.
        added_at: seconds since 1970.
        against: a counter-example.
    """

    picture: int
    person: str
    file: str
    added_at: float
    against: bool


def voters(decision: Decision) -> dict[int, int]:
    """In how many looks each picture was among the rows found, by its number; the most frequent first."""
    rows = Counter(row.picture for look in decision.ballots for row in look.vote.neighbors if row.picture is not None)
    return dict(rows.most_common())


def sources(database: Database, pictures: Collection[int]) -> dict[int, Source]:
    """What the gallery still knows of these rows; those that are gone are not there."""
    found = {}
    for picture in pictures:
        for number, name, file, added_at, against in database.rows(
            """SELECT pictures.id, name, file, added_at, against FROM pictures
            JOIN people ON people.id = pictures.person_id WHERE pictures.id = ?""",
            picture,
            types=(int, str, str, float, int),
        ):
            found[picture] = Source(number, name, file, added_at, against=bool(against))
    return found


def changes(decision: Decision, now: Mapping[int, Source], counts: Mapping[str, int], revision: int) -> list[str]:
    """What is otherwise in the gallery than when the last of the looks was judged, a sentence each.

    Args:
        decision: the record.
        now: ``sources`` of the rows it rests on.
        counts: rows of each person now.
        revision: of the gallery now.
    """
    last = decision.ballots[-1] if decision.ballots else None
    if last is None or last.gallery_revision == revision:
        return []
    found = [f"the gallery is at revision {revision}, the last look was judged at {last.gallery_revision}"]
    owners = {row.picture: row.person for look in decision.ballots for row in look.vote.neighbors}
    for picture in voters(decision):
        if picture not in now:
            found.append(f"picture {picture} of {owners[picture]} is no longer there")
        elif now[picture].person != owners[picture]:
            found.append(f"picture {picture} of {owners[picture]} now belongs to {now[picture].person}")
    for person, rows in last.enrolled:
        if counts.get(person, 0) != rows:
            found.append(f"{person} had {rows} pictures, now {counts.get(person, 0)}")
    return found
