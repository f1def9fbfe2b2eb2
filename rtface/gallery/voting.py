"""From neighbours to a vote: k nearest rows inside a calibrated distance, counter-examples, one person once a frame.

Pure functions; no clock, no file. Whoever is undecided is nobody: a wrong name costs more than none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from rtface.errors import ConfigError
from rtface.types import Identity, Neighbor


def vote(
    neighbors: Sequence[Neighbor],
    *,
    limit: float,
    k: int,
    enrolled: Mapping[str, int],
    min_share: float,
    min_margin: float = 0.0,
) -> Identity:
    """What one embedding says by itself.

    The k nearest rows have a seat each. Those within the limit vote for their person, near ones with more weight: a
    person with one near row must not lose to a similar one with many rows farther off. Rows beyond the limit vote for
    nobody; but the seats a person with few pictures cannot fill are not held against them.

    A counter-example has no seat and no vote. A person of whom one lies at least as near as their own nearest row is
    not meant by this embedding: their rows keep their seats and vote for nobody.

    Args:
        neighbors: gallery rows near the embedding, in any order.
        limit: the largest distance of a vote.
        k: seats.
        enrolled: rows of each person, counter-examples not counted.
        min_share: a person needs more than this part of the votes, 0..1.
        min_margin: the next person's nearest row has to be at least this much farther than the person's own, 0..4;
            with 0 it may also be nearer. Somebody without a seat is farther than anybody with one.

    Returns:
        The person with the most weight; nobody for a tie, too small a share or margin, or no vote at all. ``share`` is
        the person's part of the seats or of the weight, whichever is less. ``neighbors`` are the seats and the
        counter-examples before the last of them.
    """
    rows = sorted(neighbors, key=_order)
    seats = _seats(rows, k)
    shown = tuple(row for row in rows if row in seats or (row.against and seats and row.distance <= seats[-1].distance))
    weighed = weights(neighbors, limit=limit, k=k)
    leader = _leader(weighed)
    if leader is not None and _margin(leader, seats) >= min_margin:
        filled = sum(row.person == leader and row.distance <= limit for row in seats)
        share = min(
            filled / max(min(k, enrolled.get(leader, k)), 1), weighed[leader] / math.fsum(weighed.values()), 1.0
        )
        if share > min_share:
            return Identity(leader, _nearest_of(leader, seats), share, shown)
    return Identity(None, min((row.distance for row in seats), default=math.inf), 0.0, shown)


def weights(neighbors: Sequence[Neighbor], *, limit: float, k: int) -> dict[str, float]:
    """The weight of each person's votes on one embedding; who has none is not there. See ``vote``."""
    barred = _barred(neighbors)
    votes: dict[str, list[float]] = {}
    for row in _seats(sorted(neighbors, key=_order), k):
        if row.distance <= limit and row.person not in barred:
            votes.setdefault(row.person, []).append(weight(row.distance, limit))
    return {person: math.fsum(cast) for person, cast in votes.items()}


def _order(row: Neighbor) -> tuple[float, bool, str, int]:
    """Nearest first; never by the order in which rows were given."""
    return row.distance, row.against, row.person, row.picture or 0


def _seats(rows: Sequence[Neighbor], k: int) -> list[Neighbor]:
    return [row for row in rows if not row.against][:k]


def _barred(neighbors: Sequence[Neighbor]) -> set[str]:
    """Those with a counter-example at least as near as their own nearest row."""
    nearest: dict[str, float] = {}
    for row in neighbors:
        if not row.against:
            nearest[row.person] = min(row.distance, nearest.get(row.person, math.inf))
    return {row.person for row in neighbors if row.against and row.distance <= nearest.get(row.person, math.inf)}


def _margin(leader: str, seats: Sequence[Neighbor]) -> float:
    """How much farther the next person is; 0 where they are nearer, infinite where nobody else has a seat."""
    others = min((row.distance for row in seats if row.person != leader), default=math.inf)
    return max(others - _nearest_of(leader, seats), 0.0)


def weight(distance: float, limit: float) -> float:
    """How much a row's vote counts: 1 at distance 0, falling with the square to (almost) nothing at the limit, 0..1.

    Source: distance-weighted k-NN (Dudani 1976), squared: on 15 webcam clips of five people enrolled from one clip
    each, of whom one had a single row, equal votes named 26 of 169 looks wrongly, linear weights 11, these none.
    """
    return max(1 - distance / limit, 1e-6) ** 2 if limit > 0 else 1.0


def _leader(votes: Mapping[str, float]) -> str | None:
    """The one with the most votes; a tie is nobody."""
    ranked = sorted(votes.items(), key=lambda entry: (-entry[1], entry[0]))
    if not ranked or (len(ranked) > 1 and math.isclose(ranked[0][1], ranked[1][1])):
        return None
    return ranked[0][0]


def _nearest_of(person: str, neighbors: Sequence[Neighbor]) -> float:
    return min(neighbor.distance for neighbor in neighbors if neighbor.person == person)


def settle(claims: Mapping[int, Identity]) -> dict[int, Identity]:
    """One person is in a frame once: the strongest claim to a name keeps it, the others become nobody.

    Args:
        claims: verdicts by track id.

    Returns:
        A verdict for each of them. The larger share wins, then the smaller distance, then the older track.
    """
    strongest: dict[str, int] = {}
    for track, identity in sorted(claims.items(), key=lambda claim: (-claim[1].share, claim[1].distance, claim[0])):
        if identity.person is not None:
            strongest.setdefault(identity.person, track)
    return {
        track: identity
        if identity.person is None or strongest[identity.person] == track
        else replace(identity, person=None, share=0.0)
        for track, identity in claims.items()
    }


def comparisons(enrolled: Mapping[str, int], *, k: int, min_share: float) -> float:
    """How many independent chances of a false name a stranger has in this gallery, at most, when ``vote`` decides.

    A person of n rows is named falsely only if enough of the rows are within the limit together. By Markov's
    inequality that happens at most n / votes needed times as often as for one row; people's chances add up. The vote
    thus buys a wider limit than one chance a row would.

    Args:
        enrolled: rows of each person.
        k: seats of the vote.
        min_share: share of the seats a person must exceed.
    """
    people = Counter(enrolled.values())  # a million people have a few numbers of rows
    return math.fsum(
        count * rows / (math.floor(min_share * min(k, rows)) + 1) for rows, count in people.items() if rows > 0
    )


def distance_limit(limits: Mapping[float, float], chances: float, false_identification_rate: float) -> float:
    """The distance inside which a row may vote in a gallery of this size.

    A stranger has many chances, so each may only go wrong at the rate divided by their number (Bonferroni; it asks for
    more than needed where rows are alike, never for less).

    Args:
        limits: the model's false accept rate per comparison -> distance, measured (engines/models.toml).
        chances: of a false name, see ``comparisons``; fewer than 1 count as 1.
        false_identification_rate: how often one look at a stranger may give a name, over 0 and at most 1.

    Returns:
        Straight between the table's entries over the logarithm of the rate. Above the largest rate measured its
        distance; below the smallest straight on, at the slope of the last two, down to 0: nothing was measured there,
        but a gallery that outgrows the table does not stay at a distance that is certainly too large.

    Raises:
        ConfigError: the table is empty, has a rate that is no rate, or distances that fall where the rate grows; or
            ``false_identification_rate`` is out of range.
    """
    if not 0 < false_identification_rate <= 1:
        raise ConfigError(f"false_identification_rate is {false_identification_rate}: it lies over 0 and at most at 1.")
    if not limits:
        raise ConfigError("The model has no calibrated distances: set one, for example --set max_distance=1.0.")
    table = sorted(limits.items())
    falls = any(after < before for (_, before), (_, after) in pairwise(table))
    if falls or not all(0 < rate <= 1 and 0 <= distance <= 4 for rate, distance in table):
        raise ConfigError(f"The model's calibrated distances {dict(table)} are not rates with growing distances 0..4.")
    wanted = false_identification_rate / max(chances, 1)
    if len(table) == 1:
        return table[0][1]
    for (lower, near), (upper, far) in pairwise(table):
        if wanted <= upper:
            distance = near + (far - near) * math.log(wanted / lower) / math.log(upper / lower)
            return max(min(distance, far), 0.0)
    return table[-1][1]
