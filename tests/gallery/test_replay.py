from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.decision_record import as_json, from_json
from rtface.errors import RecordError
from rtface.gallery.evidence import ballot, decide
from rtface.gallery.replay import changes, differences, sources, voters
from rtface.types import Ballot, Claim, Decision, Neighbor, Rules
from tests.gallery.samples import enroll, gallery_at, units

RULES = Rules(5, 0.4, 0.05, 3, 0.001, 0.004)
rows = st.lists(
    st.builds(
        Neighbor,
        st.sampled_from(["ada", "김민수", "zoë"]),
        st.floats(0, 4, width=32),
        st.booleans(),
        st.one_of(st.none(), st.integers(1, 99)),
    ),
    max_size=9,
)


def decision(found: list[list[Neighbor]], rivals: tuple[Claim, ...] = ()) -> Decision:
    people = [("ada", 2), ("zoë", 1), ("김민수", 9)]
    looks = [
        replace(ballot(near, limit=1.1, enrolled=people, rules=RULES, revision=number), at=number / 30)
        for number, near in enumerate(found)
    ]
    return decide(looks, RULES, track_id=4, rivals=rivals)


ADA = decision([[Neighbor("ada", 0.3 + place / 100, picture=place % 2 + 1)] for place in range(4)])


@given(st.lists(rows, max_size=6), st.lists(st.builds(Claim, st.integers(5, 9), st.floats(0, 1), st.floats(0, 4))))
def test_decision_written_and_read_is_the_same_and_comes_out_the_same(
    found: list[list[Neighbor]], rivals: list[Claim]
) -> None:
    made = decision(found, tuple(rivals))
    read = from_json(json.loads(json.dumps(as_json(made), allow_nan=False)))
    assert read == made
    assert differences(read, track_id=4) == []


def changed(made: Decision, number: int, look: Ballot) -> Decision:
    looks = list(made.ballots)
    looks[number] = look
    return replace(made, ballots=tuple(looks))


def test_record_that_was_tampered_with_is_found_out() -> None:
    look = ADA.ballots[0]
    far = replace(look, vote=replace(look.vote, neighbors=(Neighbor("ada", 1.2),)))
    assert any("vote is for nobody" in what for what in differences(changed(ADA, 0, far), track_id=4))
    assert differences(replace(ADA, person="zoë"), track_id=4) == ["the verdict is ada, the record says zoë"]
    assert "the evidence is" in differences(replace(ADA, evidence=2000.0), track_id=4)[0]
    assert "of evidence is needed" in differences(replace(ADA, needed=2000.0), track_id=4)[0]
    heavier = replace(look, weights=(("ada", 0.99),))
    assert "weights are" in differences(changed(ADA, 0, heavier), track_id=4)[0]
    stricter = replace(ADA, rules=replace(RULES, min_votes=5))
    assert "the verdict is nobody, the record says ada" in differences(stricter, track_id=4)


@pytest.mark.parametrize(
    "record", [None, [], {}, {"person": 1}, as_json(ADA) | {"ballots": [3]}, as_json(ADA) | {"evidence": "much"}]
)
def test_what_is_no_record_is_refused(record: object) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        from_json(record)


def test_pictures_that_decided_are_named_and_what_has_changed_is_told(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "g.db") as gallery:
        enroll(gallery, "ada", units(1, 2))
        near = gallery.search(units(1, 1), 2)[0]
        said = ballot(near, limit=4.0, enrolled=[("ada", 2)], rules=RULES, revision=gallery.revision)
        made = decide([said] * 3, RULES, track_id=1)
        known = sources(gallery.database, voters(made))
        assert {number: source.file for number, source in known.items()} == {
            1: "/pictures/ada-0.jpg",
            2: "/pictures/ada-1.jpg",
        }
        assert changes(made, known, gallery.counts(), gallery.revision) == []
        enroll(gallery, "ada", units(2, 1), tag="late")
        told = changes(made, sources(gallery.database, voters(made)), gallery.counts(), gallery.revision)
        assert "ada had 2 pictures, now 3" in told
        gallery.rename("ada", "grace")
        told = changes(made, sources(gallery.database, voters(made)), gallery.counts(), gallery.revision)
        assert "picture 1 of ada now belongs to grace" in told
        gallery.remove("grace")
        told = changes(made, sources(gallery.database, voters(made)), gallery.counts(), gallery.revision)
        assert "picture 1 of ada is no longer there" in told


def test_rows_that_decided_most_often_come_first() -> None:
    assert list(voters(decision([[Neighbor("ada", 0.1, picture=7)], [Neighbor("ada", 0.1, picture=3)] * 2]))) == [3, 7]
