from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.errors import ConfigError
from rtface.gallery.evidence import (
    AUTO_RATE,
    FOLLOWED,
    WINDOW,
    Evidence,
    ballot,
    decide,
    evidence_for,
    needed_evidence,
    refuse_unreachable,
    verdict,
)
from rtface.types import Ballot, Claim, Identity, Neighbor, Rules

RATE = 0.001
RULES = Rules(5, 0.4, 0.0, 3, RATE, AUTO_RATE * RATE)
people = st.sampled_from(["ada", "bob", "cyd", None])
several = st.lists(people, max_size=30)


def look(person: str | None, distance: float = 0.5) -> Ballot:
    """One look at somebody with one picture each, near or far."""
    row = Neighbor(person or "ada", distance if person else 3.0)
    return ballot([row], limit=1.0, enrolled=[(row.person, 1)], rules=RULES, revision=1)


def looks(*votes: str | None) -> list[Ballot]:
    return [look(person, 0.5 + place / 100) for place, person in enumerate(votes)]


def gathered(*votes: str | None, window: int = WINDOW) -> Evidence:
    evidence = Evidence(window)
    for one in looks(*votes):
        evidence.add(one)
    return evidence


def named(votes: Sequence[str | None], rules: Rules = RULES) -> str | None:
    return gathered(*votes).verdict(rules).identity.person


def beta_binomial(votes: Sequence[int], a: Fraction, b: Fraction) -> Fraction:
    """The chance of these votes in this order, one after the other (Polya's urn)."""
    chance = Fraction(1)
    for vote in votes:
        chance *= (a if vote else b) / (a + b)
        a, b = a + vote, b + 1 - vote
    return chance


def test_evidence_is_the_ratio_of_two_urns() -> None:
    rate, half = Fraction(1, 1000), Fraction(1, 2)
    for order in ([1], [0], [1, 1, 1], [0, 1, 0, 1, 1], [1] * 15, [0] * 15):
        ratio = beta_binomial(order, half, half) / beta_binomial(order, rate, 1 - rate)
        assert evidence_for(sum(order), len(order), 0.001) == pytest.approx(float(ratio), rel=1e-9)


def test_no_looks_are_no_evidence() -> None:
    assert evidence_for(0, 0, RATE) == pytest.approx(1)
    assert Evidence().verdict(RULES).identity == Identity(None, math.inf, 0.0)


def test_evidence_expected_of_a_stranger_is_one() -> None:
    """What makes it a martingale: summed over all votes there can be, ratio times the stranger's chance is 1."""
    rate = Fraction(1, 100)
    for count in range(1, 9):
        total = sum(
            beta_binomial(order, rate, 1 - rate) * Fraction(evidence_for(sum(order), count, 0.01))
            for order in product((0, 1), repeat=count)
        )
        assert float(total) == pytest.approx(1)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(1e-6, 0.5))
def test_evidence_grows_with_a_vote_and_falls_with_a_look_without_one(votes: int, misses: int, rate: float) -> None:
    now = evidence_for(votes, votes + misses, rate)
    assert evidence_for(votes + 1, votes + misses + 1, rate) >= now * (1 - 1e-9)
    assert evidence_for(votes, votes + misses + 1, rate) <= now * (1 + 1e-9)


def chance_of_a_name(correlation: float, rate: float) -> float:
    """How often a stranger is named at any moment of one window, exactly, for looks so correlated."""
    rules = Rules(5, 0.4, 0.0, 3, rate, AUTO_RATE * rate)
    if correlation == 1:
        return rate
    mass = 1 / correlation - 1 if correlation else math.inf
    unnamed, chance = {0: 1.0}, 0.0
    for count in range(WINDOW):
        after: dict[int, float] = {}
        for votes, share in unnamed.items():
            again = rate if math.isinf(mass) else (rate * mass + votes) / (mass + count)
            for next_votes, part in ((votes + 1, share * again), (votes, share * (1 - again))):
                enough = evidence_for(next_votes, count + 1, rate) >= needed_evidence(rules)
                if next_votes >= rules.min_votes and enough:
                    chance += part
                else:
                    after[next_votes] = after.get(next_votes, 0.0) + part
        unnamed = after
    return chance


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01, 0.1])
def test_stranger_gets_a_name_no_more_often_than_promised_however_looks_are_correlated(rate: float) -> None:
    chances = [chance_of_a_name(float(correlation), rate) for correlation in np.linspace(0, 1, 51)]
    assert max(chances) <= AUTO_RATE * rate
    assert max(chances) >= rate, "a bound that nothing comes near is no bound"


def reached(chance: float, looks: int, rules: Rules) -> float:
    """How often looks that each vote with this chance give a name at any moment, exactly, window by window."""
    needed = [
        next(v for v in range(WINDOW + 2) if v > seen or (v >= rules.min_votes and suffices(v, seen, rules)))
        for seen in range(1, WINDOW + 1)
    ]
    votes = np.array([bits.bit_count() for bits in range(2**WINDOW)])
    unnamed, named_by_now = np.zeros(2**WINDOW), 0.0
    unnamed[0] = 1.0
    for seen in range(1, looks + 1):
        before = unnamed.reshape(2, -1).sum(axis=0)  # the oldest of the window is forgotten
        unnamed = np.stack(((1 - chance) * before, chance * before), axis=1).ravel()
        enough = votes >= needed[min(seen, WINDOW) - 1]
        named_by_now += unnamed[enough].sum()
        unnamed[enough] = 0
    return float(named_by_now)


def suffices(votes: int, looks: int, rules: Rules) -> bool:
    return evidence_for(votes, looks, rules.false_identification_rate) >= needed_evidence(rules)


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01])
def test_promise_holds_however_resemblances_are_distributed(rate: float) -> None:
    """The chance of a name is the mean of ``reached`` over strangers, so at most this many times the mean chance."""
    rules = Rules(5, 0.4, 0.0, 3, rate, AUTO_RATE * rate)
    chances = np.linspace(0.02, 1, 50)
    for looks, most in ((WINDOW, 1.9), (FOLLOWED, 3.3)):
        worst = max(reached(float(chance), looks, rules) / chance for chance in chances)
        assert most - 0.2 < worst < most
    assert most < AUTO_RATE


def test_looks_that_all_vote_alike_are_named_as_often_as_one() -> None:
    assert reached(1.0, WINDOW, RULES) == pytest.approx(1)
    assert reached(0.0, FOLLOWED, RULES) == 0


@pytest.mark.parametrize("votes", [1, 2])
def test_few_votes_are_not_enough(votes: int) -> None:
    assert named(["ada"] * votes) is None
    assert named(["ada"] * 3) == "ada"


def test_unknown_votes_count() -> None:
    assert named([None] * 5 + ["ada"] * 3) is None
    assert named([None] * 4 + ["ada"] * 3) == "ada"


def test_looser_rate_is_content_with_less() -> None:
    votes = [None] * 8 + ["ada"] * 3
    assert named(votes) is None
    assert named(votes, Rules(5, 0.4, 0.0, 3, RATE, 0.01)) == "ada"


def test_a_name_needs_more_votes_than_all_other_people_together() -> None:
    assert named(["ada", "bob"] * 4) is None
    assert named(["ada"] * 4 + ["bob", "cyd"] * 2) is None
    assert named(["ada"] * 5 + ["bob", "cyd"] * 2) == "ada"


def test_verdict_tells_what_it_rests_on() -> None:
    found = gathered("ada", None, "ada", "ada").verdict(RULES)
    assert found.identity == Identity("ada", 0.5, 0.75, (Neighbor("ada", 0.53),))
    assert found.evidence == evidence_for(3, 4, RATE)


def test_name_is_withdrawn_when_the_evidence_turns() -> None:
    evidence = gathered(*["ada"] * 15)
    turned = []
    for _ in range(15):
        evidence.add(look(None))
        turned.append(evidence.verdict(RULES).identity.person)
    assert turned[:5] == ["ada"] * 5, "a few bad looks do not cost the name"
    assert turned[-5:] == [None] * 5


def test_votes_of_long_ago_are_forgotten() -> None:
    evidence = gathered(*["ada"] * 5, *[None] * 4, *["bob"] * 11)
    assert len(evidence) == WINDOW
    assert evidence.verdict(RULES).identity.share == pytest.approx(11 / 15)


@given(several, st.randoms(use_true_random=False))
def test_order_of_looks_does_not_matter(votes: list[str | None], random: Random) -> None:
    given_looks = looks(*votes)
    shuffled = random.sample(given_looks, len(given_looks))
    assert verdict(shuffled, RULES).identity.person == verdict(given_looks, RULES).identity.person


@given(several, st.sampled_from([1e-4, 1e-3, 1e-2, 0.3]), st.integers(1, 5))
def test_more_evidence_for_one_never_names_another(votes: list[str | None], rate: float, least: int) -> None:
    rules = Rules(5, 0.4, 0.0, least, rate, min(AUTO_RATE * rate, 1))
    evidence = gathered(*votes)
    before = evidence.verdict(rules).identity.person
    evidence.add(look("ada"))
    assert evidence.verdict(rules).identity.person in {before, "ada", None}
    assert before != "ada" or evidence.verdict(rules).identity.person == "ada"


@given(several)
def test_swapping_two_people_swaps_the_verdict(votes: list[str | None]) -> None:
    other: dict[str | None, str | None] = {"ada": "bob", "bob": "ada", "cyd": "cyd", None: None}
    assert named([other[vote] for vote in votes]) == other[named(votes)]


@given(several, st.sampled_from(["ada", "bob", "cyd"]))
def test_removing_a_person_removes_the_name_and_every_row_of_theirs(votes: list[str | None], gone: str) -> None:
    evidence = gathered(*votes)
    evidence.follow({"ada", "bob", "cyd"} - {gone}, RULES)
    assert evidence.verdict(RULES).identity.person != gone
    assert gone not in repr(evidence.looks)


def test_looks_at_somebody_removed_may_speak_for_the_next_nearest() -> None:
    rows = [Neighbor("ada", 0.3), Neighbor("bob", 0.4)]
    evidence = Evidence()
    for at in range(3):
        said = ballot(rows, limit=1.0, enrolled=[("ada", 1), ("bob", 1)], rules=RULES, revision=at)
        evidence.add(said)
    assert evidence.verdict(RULES).identity.person == "ada"
    evidence.follow({"bob"}, RULES)
    assert evidence.verdict(RULES).identity.person == "bob"


def test_face_with_the_stronger_claim_decides_who_is_who() -> None:
    seen = looks("ada", "ada", "ada", None)
    assert decide(seen, RULES, track_id=4).person == "ada"
    assert decide(seen, RULES, track_id=4, rivals=[Claim(9, 0.7, 0.1)]).person == "ada"
    assert decide(seen, RULES, track_id=4, rivals=[Claim(9, 0.8, 0.9)]).person is None


def test_rate_that_no_window_can_show_is_refused() -> None:
    refuse_unreachable(RULES)
    with pytest.raises(ConfigError, match="set false_identification_rate to") as refusal:
        refuse_unreachable(Rules(5, 0.4, 0.0, 3, 0.01, 0.001))
    cure = float(str(refusal.value).split("false_identification_rate to ")[1].split(" ")[0])
    refuse_unreachable(Rules(5, 0.4, 0.0, 3, cure, 0.001))
