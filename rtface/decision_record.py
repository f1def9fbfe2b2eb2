"""A decision as it stands in an event's line, and back: everything it rests on, to the last digit of every distance.

The JSON has the names of the fields in ``types``, with people as keys where there is one number each::

    {"person", "evidence", "needed", "rules": {...}, "rivals": [{"track_id", "share", "distance"}],
     "ballots": [{"vote": {"person", "distance", "share"}, "weights": {person: weight}, "enrolled": {person: rows},
                  "neighbors": [{"person", "distance", "against", "picture"}],
                  "limit", "gallery_revision", "at", "quality"}]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from rtface.errors import RecordError
from rtface.types import Ballot, Claim, Decision, Identity, Neighbor, Rules

Json = dict[str, object]


def as_json(decision: Decision) -> Json:
    """For ``json.dumps``: nothing in it is infinite."""
    return {
        "person": decision.person,
        "evidence": decision.evidence,
        "needed": decision.needed,
        "rules": asdict(decision.rules),
        "rivals": [asdict(rival) for rival in decision.rivals],
        "ballots": [_ballot_json(look) for look in decision.ballots],
    }


def _ballot_json(look: Ballot) -> Json:
    vote = look.vote
    distance = vote.distance if math.isfinite(vote.distance) else None
    return {
        "vote": {"person": vote.person, "distance": distance, "share": vote.share},
        "weights": dict(look.weights),
        "enrolled": dict(look.enrolled),
        "neighbors": [asdict(row) for row in vote.neighbors],
        "limit": look.limit,
        "gallery_revision": look.gallery_revision,
        "at": look.at,
        "quality": look.quality,
    }


def from_json(record: object) -> Decision:
    """The decision that ``as_json`` wrote.

    Raises:
        RecordError: it is not one.
    """
    try:
        return _decision(_mapping(record))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"The record of this decision cannot be read ({type(error).__name__}: {error}): it is not as rtface run "
            "--events wrote it."
        ) from error


def _decision(record: Mapping[str, object]) -> Decision:
    return Decision(
        person=_name(record["person"]),
        ballots=tuple(_ballot(entry) for entry in _list(record["ballots"])),
        rules=_rules(_mapping(record["rules"])),
        evidence=_number(record["evidence"]),
        needed=_number(record["needed"]),
        rivals=tuple(_claim(_mapping(entry)) for entry in _list(record["rivals"])),
    )


def _rules(entry: Mapping[str, object]) -> Rules:
    return Rules(
        k=round(_number(entry["k"])),
        min_share=_number(entry["min_share"]),
        min_margin=_number(entry["min_margin"]),
        min_votes=round(_number(entry["min_votes"])),
        false_identification_rate=_number(entry["false_identification_rate"]),
        false_name_rate=_number(entry["false_name_rate"]),
    )


def _claim(entry: Mapping[str, object]) -> Claim:
    return Claim(round(_number(entry["track_id"])), _number(entry["share"]), _number(entry["distance"]))


def _neighbor(entry: Mapping[str, object]) -> Neighbor:
    person, picture = _name(entry["person"]), entry["picture"]
    number = None if picture is None else round(_number(picture))
    return Neighbor(person or "", _number(entry["distance"]), bool(entry["against"]), number)


def _ballot(entry: object) -> Ballot:
    look = _mapping(entry)
    vote = _mapping(look["vote"])
    neighbors = tuple(_neighbor(_mapping(row)) for row in _list(look["neighbors"]))
    distance = math.inf if vote["distance"] is None else _number(vote["distance"])
    return Ballot(
        vote=Identity(_name(vote["person"]), distance, _number(vote["share"]), neighbors),
        weights=tuple(sorted((person, _number(weight)) for person, weight in _mapping(look["weights"]).items())),
        enrolled=tuple(sorted((person, round(_number(n))) for person, n in _mapping(look["enrolled"]).items())),
        limit=_number(look["limit"]),
        gallery_revision=round(_number(look["gallery_revision"])),
        at=_number(look["at"]),
        quality=_number(look["quality"]),
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value


def _name(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no name")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)
