import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.errors import ConfigError
from rtface.gallery.voting import comparisons, distance_limit, settle, vote, weights
from rtface.types import Identity, Neighbor

ENROLLED = {"ada": 9, "bob": 9, "cyd": 9, "one": 1, "two": 2}
LIMITS = {1e-3: 1.08, 1e-4: 0.98, 1e-5: 0.9, 1e-2: 1.2}
neighbors = st.lists(
    st.builds(Neighbor, st.sampled_from(sorted(ENROLLED)), st.floats(0, 4, allow_nan=False)), max_size=12
)
shares = st.floats(0, 0.95)
verdicts = st.one_of(
    st.builds(Identity, st.just(None), st.floats(0, 4), st.just(0.0)),
    st.builds(Identity, st.sampled_from(["ada", "bob", "cyd"]), st.floats(0, 4), st.floats(0.5, 1)),
)


def seen(*pairs: tuple[str, float]) -> list[Neighbor]:
    return [Neighbor(person, distance) for person, distance in pairs]


def decide(found: Sequence[Neighbor], min_share: float = 0.5, k: int = 5, limit: float = 1.0) -> Identity:
    return vote(found, limit=limit, k=k, enrolled=ENROLLED, min_share=min_share)


def test_majority_of_near_rows_names_the_person() -> None:
    found = seen(("ada", 0.5), ("ada", 0.3), ("ada", 0.6), ("bob", 0.7), ("bob", 1.5))
    assert decide(found) == Identity("ada", 0.3, 0.6, tuple(sorted(found, key=lambda row: row.distance)))


def test_tie_between_two_people_is_nobody() -> None:
    assert decide(seen(("ada", 0.1), ("ada", 0.9), ("bob", 0.1), ("bob", 0.9), ("cyd", 0.95)), 0.0).person is None


def test_one_near_row_beats_many_rows_farther_off() -> None:
    found = seen(("one", 0.14), ("ada", 0.7), ("ada", 0.72), ("ada", 0.75), ("ada", 0.8))
    assert decide(found).person == "one"


def test_rows_beyond_the_limit_are_unknown_votes() -> None:
    found = seen(("ada", 0.5), ("ada", 0.6), ("ada", 1.01), ("ada", 1.2), ("ada", 1.3))
    assert decide(found).person is None
    assert decide(found, limit=1.01) == Identity("ada", 0.5, 0.6, tuple(found))


def test_seats_a_person_cannot_fill_are_not_held_against_them() -> None:
    found = seen(("one", 0.5), ("ada", 1.5), ("bob", 1.6), ("cyd", 1.7), ("ada", 1.8))
    assert (decide(found).person, decide(found).share) == ("one", 1.0)


def test_competitor_inside_the_limit_counts_against_a_person_with_few_pictures() -> None:
    found = seen(("two", 0.3), ("two", 0.4), ("bob", 0.5), ("ada", 1.5), ("ada", 1.6))
    assert decide(found).share == pytest.approx((0.7**2 + 0.6**2) / (0.7**2 + 0.6**2 + 0.5**2))
    assert decide(found, 0.8).person is None


def test_share_has_to_be_more_than_asked_for() -> None:
    found = seen(("two", 0.3), ("ada", 1.5))
    assert decide(found, 0.5).person is None
    assert decide(found, 0.49).person == "two"


def test_nobody_near_is_nobody_with_the_nearest_distance() -> None:
    assert decide(seen(("ada", 1.7), ("bob", 1.4))) == Identity(None, 1.4, 0.0, tuple(seen(("bob", 1.4), ("ada", 1.7))))


def test_empty_gallery_is_nobody_infinitely_far() -> None:
    assert decide([]) == Identity(None, math.inf, 0.0)


def test_only_the_k_nearest_vote() -> None:
    found = seen(("bob", 0.1), *[("ada", 0.2 + place / 100) for place in range(6)])
    assert decide(found, k=1).person == "bob"


def test_distance_that_is_no_number_never_votes() -> None:
    assert decide(seen(("one", math.nan))).person is None


@given(neighbors, st.randoms(use_true_random=False), shares)
def test_order_of_neighbours_does_not_matter(found: list[Neighbor], random: Random, min_share: float) -> None:
    shuffled = random.sample(found, len(found))
    assert decide(shuffled, min_share) == decide(found, min_share)


@given(neighbors, shares)
def test_verdict_is_what_weighing_the_seats_says(found: list[Neighbor], min_share: float) -> None:
    seats = sorted(found, key=lambda row: (row.distance, row.person))[:5]
    inside = [row for row in seats if row.distance <= 1.0]
    weights = {
        person: math.fsum(max(1 - row.distance, 1e-6) ** 2 for row in inside if row.person == person)
        for person in {row.person for row in inside}
    }
    verdict = decide(found, min_share)
    if verdict.person is None:
        best = sorted(weights.values(), reverse=True)[:2]
        leaders = [person for person, sum_ in weights.items() if sum_ == best[0]]
        filled = sum(row.person == leaders[0] for row in inside) / min(5, ENROLLED[leaders[0]]) if leaders else 0.0
        tied = len(best) == 2 and math.isclose(*best)
        assert not leaders or tied or min(filled, best[0] / math.fsum(weights.values())) <= min_share + 1e-9
    else:
        assert all(weights[verdict.person] > sum_ for person, sum_ in weights.items() if person != verdict.person)
        assert verdict.share > min_share
        assert verdict.distance == min(row.distance for row in seats if row.person == verdict.person)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), shares)
def test_equal_votes_for_two_people_are_nobody(at: list[float], min_share: float) -> None:
    found = [Neighbor(person, distance) for distance in at for person in ("ada", "bob")]
    assert decide(found, min_share, k=2 * len(at)).person is None


@given(neighbors, shares)
def test_person_whose_rows_are_gone_is_not_named(found: list[Neighbor], min_share: float) -> None:
    named = decide(found, min_share).person
    assert named is None or decide([row for row in found if row.person != named], min_share).person != named


@given(neighbors, shares, st.floats(0, 0.5), st.integers(0, 11), st.floats(0, 1))
def test_row_that_comes_nearer_never_takes_its_person_the_name(
    found: list[Neighbor], min_share: float, margin: float, place: int, part: float
) -> None:
    def named(rows: list[Neighbor]) -> str | None:
        return vote(rows, limit=1.0, k=5, enrolled=ENROLLED, min_share=min_share, min_margin=margin).person

    before = named(found)
    own = [row for row in found if row.person == before]
    if own:
        row = own[place % len(own)]
        nearer = replace(row, distance=row.distance * part)
        assert named([*(other for other in found if other is not row), nearer]) == before


def against(person: str, distance: float) -> Neighbor:
    return Neighbor(person, distance, against=True)


def test_margin_to_the_second_person_is_asked_for() -> None:
    found = seen(("one", 0.30), ("bob", 0.55), ("ada", 1.5))
    assert vote(found, limit=1.0, k=5, enrolled=ENROLLED, min_share=0.4, min_margin=0.2).person == "one"
    assert vote(found, limit=1.0, k=5, enrolled=ENROLLED, min_share=0.4, min_margin=0.3).person is None


@given(neighbors, shares, st.floats(0, 4), st.floats(0, 4))
def test_larger_margin_names_nobody_new(found: list[Neighbor], min_share: float, some: float, more: float) -> None:
    less, more = sorted((some, more))
    strict, loose = (
        vote(found, limit=1.0, k=5, enrolled=ENROLLED, min_share=min_share, min_margin=margin)
        for margin in (more, less)
    )
    assert strict.person in (None, loose.person)


def test_face_nearer_to_the_counter_example_is_not_that_person() -> None:
    found = seen(("ada", 0.5), ("ada", 0.6), ("ada", 0.7))
    assert decide(found, k=3).person == "ada"
    assert decide([*found, against("ada", 0.4)], k=3).person is None
    assert decide([*found, against("ada", 0.5)], k=3).person is None
    assert decide([*found, against("ada", 0.55)], k=3).person == "ada"


def test_counter_example_of_one_leaves_the_others_alone() -> None:
    found = seen(("two", 0.5), ("two", 0.6), ("one", 1.4))
    assert decide([*found, against("bob", 0.1), against("one", 0.2)]) == Identity(
        "two", 0.5, 1.0, (against("bob", 0.1), against("one", 0.2), *found)
    )


def test_counter_examples_take_nobodys_seat() -> None:
    found = [
        *seen(("ada", 0.5), ("ada", 0.6), ("ada", 0.7)),
        *(against("bob", 0.1 + place / 100) for place in range(9)),
    ]
    assert decide(found, k=3) == Identity("ada", 0.5, 1.0, tuple(sorted(found, key=lambda row: row.distance)))


@given(neighbors, st.sampled_from(sorted(ENROLLED)), st.floats(0, 4), shares)
def test_counter_example_never_helps_the_one_it_is_against(
    found: list[Neighbor], person: str, distance: float, min_share: float
) -> None:
    before, after = decide(found, min_share), decide([*found, against(person, distance)], min_share)
    if after.person == person:
        assert before.person == person
        assert after.share <= before.share + 1e-12


@given(neighbors, st.lists(st.builds(against, st.sampled_from(sorted(ENROLLED)), st.floats(0, 4)), max_size=4), shares)
def test_counter_examples_bar_exactly_those_they_are_nearer_for(
    found: list[Neighbor], barring: list[Neighbor], min_share: float
) -> None:
    """Brute force: the same look at rows moved out of reach for whoever is barred."""
    barred = {
        row.person
        for row in barring
        if row.distance <= min((near.distance for near in found if near.person == row.person), default=math.inf)
    }
    weighed = weights([*found, *barring], limit=1.0, k=5)
    plain = weights(found, limit=1.0, k=5)
    assert weighed == {person: weight for person, weight in plain.items() if person not in barred}
    assert decide([*found, *barring], min_share).person not in barred


def test_stronger_claim_keeps_the_name() -> None:
    strong, weak = Identity("ada", 0.9, 0.9), Identity("ada", 0.2, 0.8)
    assert settle({1: weak, 2: strong, 3: Identity("bob", 0.5, 0.6)}) == {
        1: Identity(None, 0.2, 0.0),
        2: strong,
        3: Identity("bob", 0.5, 0.6),
    }


def test_equal_shares_are_settled_by_distance() -> None:
    assert settle({1: Identity("ada", 0.9, 0.9), 2: Identity("ada", 0.2, 0.9)})[2].person == "ada"


@given(st.dictionaries(st.integers(1, 20), verdicts))
def test_each_name_is_given_once_and_to_a_claimant(claims: dict[int, Identity]) -> None:
    settled = settle(claims)
    given_names = [identity.person for identity in settled.values() if identity.person is not None]
    assert settled.keys() == claims.keys()
    assert sorted(given_names) == sorted({claim.person for claim in claims.values() if claim.person is not None})
    for track, identity in settled.items():
        assert identity.person in (None, claims[track].person)
        rivals = [claim for claim in claims.values() if claim.person == identity.person]
        assert identity.person is None or identity.share == max(rival.share for rival in rivals)


def test_limit_is_read_off_the_table_at_the_rate_divided_by_the_rows() -> None:
    assert distance_limit(LIMITS, 10, 1e-2) == 1.08
    assert distance_limit(LIMITS, 100, 1e-2) == 0.98
    assert distance_limit(LIMITS, 1, 1e-2) == 1.2


def test_limit_between_entries_follows_the_logarithm_of_the_rate() -> None:
    assert distance_limit({1e-4: 1.0, 1e-2: 1.4}, 10, 1e-2) == pytest.approx(1.2)


def test_limit_above_the_table_is_its_last_entry() -> None:
    assert distance_limit(LIMITS, 1, 1.0) == 1.2
    assert distance_limit(LIMITS, 0, 1e-2) == distance_limit(LIMITS, 1, 1e-2)


def test_limit_below_the_table_goes_straight_on_down_to_nothing() -> None:
    assert distance_limit(LIMITS, 10**4, 1e-2) == pytest.approx(0.82)
    assert distance_limit(LIMITS, 10**5, 1e-2) == pytest.approx(0.74)
    assert distance_limit(LIMITS, 10**30, 1e-2) == 0
    assert distance_limit({1e-3: 0.7}, 10**9, 1e-2) == 0.7


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.floats(1e-4, 1))
def test_limit_never_grows_with_the_gallery(some: int, more: int, rate: float) -> None:
    fewer, rows = sorted((some, more))
    assert distance_limit(LIMITS, rows, rate) <= distance_limit(LIMITS, fewer, rate) + 1e-12


@pytest.mark.parametrize("table", [{}, {0.0: 1.0}, {1e-3: 1.0, 1e-2: 0.9}, {2.0: 1.0}, {1e-3: 5.0}])
def test_table_that_cannot_be_is_refused(table: dict[float, float]) -> None:
    with pytest.raises(ConfigError):
        distance_limit(table, 10, 0.01)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, math.nan])
def test_rate_that_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="false_identification_rate"):
        distance_limit(LIMITS, 10, rate)


def test_a_person_with_one_picture_is_one_chance_and_more_pictures_are_less_than_one_each() -> None:
    assert comparisons({"ada": 1}, k=5, min_share=0.4) == 1
    assert comparisons({"ada": 5}, k=5, min_share=0.4) == pytest.approx(5 / 3)
    assert comparisons({"ada": 1, "bob": 5}, k=5, min_share=0.4) == pytest.approx(1 + 5 / 3)
    assert comparisons({}, k=5, min_share=0.4) == 0


@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pictures", [1, 2, 3, 5, 9])
def test_strangers_are_named_no_more_often_than_the_chances_allow(pictures: int, together: float) -> None:
    """Whether a person's rows come near a stranger by themselves or all together: the bound holds for both."""
    rate, people, trials = 0.01, 8, 4000
    random = Random(pictures * 10 + round(together * 10))
    enrolled = {f"p{person}": pictures for person in range(people)}
    false = 0
    for _ in range(trials):
        found = []
        for person in enrolled:
            common = random.random()
            for _ in range(pictures):
                near = common if random.random() < together else random.random()
                found.append(Neighbor(person, 0.5 if near < rate else 1.5))
        false += vote(found, limit=1.0, k=5, enrolled=enrolled, min_share=0.4).person is not None
    bound = rate * comparisons(enrolled, k=5, min_share=0.4)
    assert false / trials <= bound + 4 * math.sqrt(bound / trials)
