"""From neighbours to a name: k-NN votes inside a calibrated distance, evidence over time, one person once a frame.

Pure functions and a plain tally; no clock, no file. Whoever is undecided is nobody: a wrong name costs more than none.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from rtface.errors import ConfigError
from rtface.types import Identity, Neighbor

WINDOW = 15
"""Embeddings a track is judged by: one a frame at first and then one in two seconds, so about half a minute."""


def vote(
    neighbors: Sequence[Neighbor], *, limit: float, k: int, enrolled: Mapping[str, int], min_share: float
) -> Identity:
    """What one embedding says by itself.

    The k nearest rows have a seat each. Those within the limit vote for their person, near ones with more weight: a
    person with one near row must not lose to a similar one with many rows farther off. Rows beyond the limit vote for
    nobody; but the seats a person with few pictures cannot fill are not held against them.

    Args:
        neighbors: gallery rows near the embedding, in any order.
        limit: the largest distance of a vote.
        k: seats.
        enrolled: rows of each person.
        min_share: a person needs more than this part of the votes, 0..1.

    Returns:
        The person with the most weight; nobody for a tie, too small a share or no vote at all. ``share`` is the
        person's part of the seats or of the weight, whichever is less.
    """
    nearest = tuple(sorted(neighbors, key=lambda neighbor: (neighbor.distance, neighbor.person))[:k])
    inside = [neighbor for neighbor in nearest if neighbor.distance <= limit]
    weights: dict[str, float] = {}
    for neighbor in inside:
        weights[neighbor.person] = weights.get(neighbor.person, 0.0) + weight(neighbor.distance, limit)
    leader = _leader(weights)
    if leader is not None:
        seats = min(k, enrolled.get(leader, k))
        filled = sum(neighbor.person == leader for neighbor in inside) / max(seats, 1)
        share = min(filled, weights[leader] / math.fsum(weights.values()), 1.0)
        if share > min_share:
            return Identity(leader, _nearest_of(leader, nearest), share, nearest)
    return Identity(None, min((neighbor.distance for neighbor in nearest), default=math.inf), 0.0, nearest)


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


class Evidence:
    """The votes of one track: the latest embeddings' verdicts, nobody's among them."""

    def __init__(self, window: int = WINDOW) -> None:
        """Args: ``window`` is how many votes are remembered."""
        self._votes: deque[Identity] = deque(maxlen=window)

    def __len__(self) -> int:
        return len(self._votes)

    def add(self, identity: Identity) -> None:
        """Takes in the verdict of one more embedding; the oldest leaves a full window."""
        self._votes.append(identity)

    def forget_others(self, enrolled: Collection[str]) -> None:
        """Votes for people no longer enrolled become nobody's: a removed person must not be named any more."""
        for place, identity in enumerate(self._votes):
            if identity.person is not None and identity.person not in enrolled:
                self._votes[place] = Identity(None, math.inf, 0.0)

    def verdict(self, min_votes: int, min_share: float) -> Identity:
        """Who it is, going by all votes in the window; it can turn back to nobody.

        Args:
            min_votes: a person needs at least as many votes.
            min_share: and more than this part of all votes in the window, nobody's included, 0..1.

        Returns:
            The person with the distance of their nearest vote, their part of the votes, and the neighbours of their
            latest vote. Nobody (a tie, too few votes, too small a share) with the nearest distance there was.
        """
        votes = Counter(identity.person for identity in self._votes if identity.person is not None)
        leader = _leader(votes)
        if leader is not None and votes[leader] >= min_votes and votes[leader] > min_share * len(self._votes):
            supporting = [identity for identity in self._votes if identity.person == leader]
            nearest = min(identity.distance for identity in supporting)
            return Identity(leader, nearest, len(supporting) / len(self._votes), supporting[-1].neighbors)
        nearest = min((identity.distance for identity in self._votes), default=math.inf)
        return Identity(None, nearest, 0.0, self._votes[-1].neighbors if self._votes else ())


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
    return math.fsum(rows / (math.floor(min_share * min(k, rows)) + 1) for rows in enrolled.values() if rows > 0)


def distance_limit(limits: Mapping[float, float], chances: float, false_identification_rate: float) -> float:
    """The distance inside which a row may vote in a gallery of this size.

    A stranger has many chances, so each may only go wrong at the rate divided by their number (Bonferroni; it asks for
    more than needed where rows are alike, never for less).

    Args:
        limits: the model's false accept rate per comparison -> distance, measured (engines/models.toml).
        chances: of a false name, see ``comparisons``; fewer than 1 count as 1.
        false_identification_rate: how often one look at a stranger may give a name, over 0 and at most 1.

    Returns:
        Interpolated between the table's entries over the logarithm of the rate. Outside the table its nearest end:
        below the smallest measured rate the limit stays there, and the rate promised is no longer kept.

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
    if wanted <= table[0][0]:
        return table[0][1]
    for (lower, near), (upper, far) in pairwise(table):
        if wanted <= upper:
            return min(near + (far - near) * math.log(wanted / lower) / math.log(upper / lower), far)
    return table[-1][1]
