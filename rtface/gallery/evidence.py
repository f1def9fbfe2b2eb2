"""From votes to a name: a sequential test over the looks at one track, bounding how often a stranger gets a name.

Looks at one face are not independent: who resembles somebody resembles them in every frame. So the test does not
multiply the looks' odds. A stranger, it says, has a resemblance of their own, a chance p that a look at them votes for
the person; p is Beta(f, 1 - f), f being the false identification rate of one look. Its mean is f, and two looks at one
stranger are correlated by one half: a hundred looks say less than two strangers would. A person really there has a p of
their own too, of which nothing is assumed (Jeffreys' prior, Beta(1/2, 1/2)). The evidence is how many times likelier
the votes are for the second than for the first: the ratio of two beta-binomial probabilities.

Under the first this ratio is a martingale, whatever the order of the votes, so the chance that it *ever* reaches 1 / a
is at most a (Ville's inequality): looking again and again does not wear the bound down.

How strangers really resemble people nobody knows, so the promise must not hang on the Beta. It does not: whatever the
distribution of p, the chance of a name is the mean of r(p), r being the chance that looks which vote with chance p
reach a name at any moment, and r(p) <= c p makes that at most c f (de Finetti: looks whose order tells nothing are
such a mixture). c is 1.9 for the looks of one window and 3.2 for half a minute, worked out exactly in
tests/gallery/test_evidence.py. Looks that come near somebody by spells are no such mixture. Then only this is certain:
a name takes three votes in one window, so a window's chance is at most 15 f / 3 = 5 f. Of a face followed for minutes
nothing is promised for all of them together; a name wrongly given is withdrawn as looks speak against it.

All this is in rates of one look, and as good as f is: that was measured on press photographs. Five people before one
webcam are more alike to FaceNet: at f = 0.001 strangers got a name in 3 of 20 clips (tests/benchmarks/open_set.py),
none at 0.0001. ``rtface gallery calibrate`` sees so much only in a gallery of some dozens.

Sources: Wald 1945 (sequential tests); Ville 1939; Skellam 1948 (beta-binomial counts); Howard et al. 2021 (mixtures).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rtface.errors import ConfigError
from rtface.gallery.voting import settle, vote, weights
from rtface.types import Ballot, Claim, Decision, Identity, Neighbor, Rules

WINDOW = 15
"""Looks a track is judged by. One without a name is looked at in every frame at first and then twice a second, one with
a name every other second: about five seconds and half a minute (``pipeline.memory``)."""
FOLLOWED = 65
"""Looks at a face without a name in half a minute, which is what ``false_name_rate`` is promised for."""
AUTO_RATE = 4.0
"""A stranger's rate of a name while followed, in rates of one look, where the settings leave it open: the least whole
number that holds for ``FOLLOWED`` looks however strangers' resemblances are distributed."""


def ballot(
    neighbors: Sequence[Neighbor], *, limit: float, enrolled: Sequence[tuple[str, int]], rules: Rules, revision: int
) -> Ballot:
    """One look, judged by itself; see ``vote``. ``enrolled`` is (person, rows) of at least everybody among the rows."""
    identity = vote(
        neighbors,
        limit=limit,
        k=rules.k,
        enrolled=dict(enrolled),
        min_share=rules.min_share,
        min_margin=rules.min_margin,
    )
    weighed = weights(neighbors, limit=limit, k=rules.k)
    people = {row.person for row in identity.neighbors}
    known = tuple(sorted((person, rows) for person, rows in enrolled if person in people))
    return Ballot(identity, tuple(sorted(weighed.items())), known, limit, revision)


def judged_again(look: Ballot, neighbors: Sequence[Neighbor], rules: Rules) -> Ballot:
    """The same look with these rows found instead."""
    again = ballot(neighbors, limit=look.limit, enrolled=look.enrolled, rules=rules, revision=look.gallery_revision)
    return replace(again, at=look.at, quality=look.quality)


def evidence_for(votes: int, looks: int, false_rate: float) -> float:
    """How many times likelier so many votes of so many looks are for a person really there than for a stranger.

    Args:
        votes: for the person, 0..looks.
        looks: all of them; those for nobody and for others speak against.
        false_rate: how often one look at a stranger gives a vote, over 0; more than a half counts as a half.
    """
    rate, misses = min(false_rate, 0.5), looks - votes
    present = _log_beta(votes + 0.5, misses + 0.5) - _log_beta(0.5, 0.5)
    stranger = _log_beta(votes + rate, misses + 1 - rate) - _log_beta(rate, 1 - rate)
    return math.exp(present - stranger)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def needed_evidence(rules: Rules) -> float:
    """What the evidence has to reach for a name."""
    return 1 / rules.false_name_rate


def refuse_unreachable(rules: Rules) -> None:
    """Accepts rules under which a window full of votes is evidence enough.

    Raises:
        ConfigError: it is not; nobody would ever get a name.
    """
    of_a_look, wanted = rules.false_identification_rate, rules.false_name_rate
    most = evidence_for(WINDOW, WINDOW, of_a_look)
    if most < needed_evidence(rules):
        raise ConfigError(
            f"false_name_rate {wanted} cannot be shown by {WINDOW} looks of which each may go wrong at a rate of "
            f"{of_a_look}: set false_identification_rate to {0.9 * of_a_look * wanted * most:.2g} or less, or "
            f"false_name_rate to {1.1 / most:.2g} or more."
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who a track is, with the evidence for the person with the most votes, whether it suffices or not."""

    identity: Identity
    evidence: float


def verdict(looks: Sequence[Ballot], rules: Rules) -> Verdict:
    """Who it is, going by these looks; it can turn back to nobody.

    A name needs ``min_votes`` looks for it, more of them than for all other people together, and the evidence that
    ``false_name_rate`` asks for.

    Args:
        looks: oldest first.
        rules: the settings in force.

    Returns:
        The person with the distance of their nearest vote, their part of the looks, and the neighbours of their latest
        vote. Nobody with the nearest distance there was.
    """
    votes = Counter(look.vote.person for look in looks if look.vote.person is not None)
    leader = min(votes, key=lambda person: (-votes[person], person), default=None)
    if leader is None:
        return Verdict(_nobody(looks), evidence_for(0, len(looks), rules.false_identification_rate))
    evidence = evidence_for(votes[leader], len(looks), rules.false_identification_rate)
    clear = votes[leader] >= rules.min_votes and 2 * votes[leader] > votes.total()
    if not clear or evidence < needed_evidence(rules):
        return Verdict(_nobody(looks), evidence)
    supporting = [look.vote for look in looks if look.vote.person == leader]
    nearest = min(identity.distance for identity in supporting)
    share = len(supporting) / len(looks)
    return Verdict(Identity(leader, nearest, share, supporting[-1].neighbors), evidence)


def _nobody(looks: Sequence[Ballot]) -> Identity:
    nearest = min((look.vote.distance for look in looks), default=math.inf)
    return Identity(None, nearest, 0.0, looks[-1].vote.neighbors if looks else ())


def decide(looks: Sequence[Ballot], rules: Rules, *, track_id: int, rivals: Sequence[Claim] = ()) -> Decision:
    """The verdict over a track in one frame, with all it rests on: its own looks, and who else claims the same name."""
    own = verdict(looks, rules)
    name = own.identity.person
    claims = {claim.track_id: Identity(name, claim.distance, claim.share) for claim in rivals}
    settled = settle({**claims, track_id: own.identity})[track_id]
    return Decision(settled.person, tuple(looks), rules, own.evidence, needed_evidence(rules), tuple(rivals))


class Evidence:
    """The latest looks at one track."""

    def __init__(self, window: int = WINDOW) -> None:
        """Args: ``window`` is how many looks are remembered."""
        self._looks: deque[Ballot] = deque(maxlen=window)

    def __len__(self) -> int:
        return len(self._looks)

    @property
    def looks(self) -> tuple[Ballot, ...]:
        """Oldest first."""
        return tuple(self._looks)

    def add(self, look: Ballot) -> None:
        """Takes in one more look; the oldest leaves a full window."""
        self._looks.append(look)

    def follow(self, enrolled: Collection[str], rules: Rules) -> None:
        """Judges all looks again by these rules, which may have changed with the gallery, without the rows of people no
        longer enrolled: a removed person must neither be named nor told of any more."""
        for place, look in enumerate(self._looks):
            left = [row for row in look.vote.neighbors if row.person in enrolled]
            self._looks[place] = judged_again(look, left, rules)

    def verdict(self, rules: Rules) -> Verdict:
        """Who it is, going by all looks in the window."""
        return verdict(self.looks, rules)
