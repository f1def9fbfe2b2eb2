from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.errors import EvaluationError, GalleryBroken
from rtface.gallery.calibration import PRIOR, Calibration, Report, calibrate, keep, kept_calibration, likeness_of
from rtface.gallery.impostor_pairs import NearPairs, near_pairs, tail_from
from rtface.gallery.impostors import ImpostorTail
from rtface.gallery.store import PersonGallery
from rtface.pipeline.judge import Judge, VoteRules
from tests.gallery.samples import SIZE, clusters, enroll, gallery_at, units

PEOPLE = 800


@pytest.fixture(scope="module")
def tail() -> ImpostorTail:
    """Of people spread evenly over the sphere that the samples lie on."""
    found = tail_from(near_pairs(units(11, PEOPLE), np.arange(PEOPLE)))
    assert found is not None
    return found


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[PersonGallery]:
    with gallery_at(tmp_path / "g.db") as opened:
        yield opened


def populate(gallery: PersonGallery, people: int, *, seed: int = 1, each: int = 1) -> None:
    for number, rows in enumerate(clusters(seed, people, each).reshape(people, each, SIZE)):
        enroll(gallery, f"p{seed}-{number}", rows)


def calibrated(gallery: PersonGallery, tail: ImpostorTail | None, rate: float = 0.05, margin: float = 0.0) -> Report:
    return calibrate(gallery, tail, rate=rate, margin=margin, k=5, min_share=0.4, at=1.0)


def test_strangers_are_named_as_often_as_asked_for(gallery: PersonGallery, tail: ImpostorTail) -> None:
    """The whole way: measured on some, enrolled others, asked with thousands of third ones."""
    populate(gallery, 30)
    report = calibrated(gallery, tail)
    keep(gallery, report.calibration)
    judge = Judge(
        gallery, {}, VoteRules(5, 0.4, "auto", "auto"), calibration=lambda: kept_calibration(gallery.database)
    )
    strangers = units(99, 4000)
    named = sum(identity.person is not None for identity in judge.vote(strangers)) / len(strangers)
    assert 0.02 <= named <= 0.05 + 3 * math.sqrt(0.05 / len(strangers))
    assert report.low <= named <= report.high
    assert judge.limit == report.limit
    assert judge.rules().false_identification_rate == 0.05


def test_distance_shrinks_as_the_gallery_grows_and_is_what_anew_calibrated_it_would_be(
    gallery: PersonGallery, tail: ImpostorTail
) -> None:
    populate(gallery, 5)
    report = calibrated(gallery, tail)
    keep(gallery, report.calibration)
    judge = Judge(
        gallery, {}, VoteRules(5, 0.4, "auto", "auto"), calibration=lambda: kept_calibration(gallery.database)
    )
    before = judge.limit
    populate(gallery, 5, seed=2)
    assert judge.limit < before
    assert judge.limit == pytest.approx(report.calibration.limit(10))


def test_gallery_that_has_outgrown_its_calibration_is_told_once(
    gallery: PersonGallery, tail: ImpostorTail, caplog: pytest.LogCaptureFixture
) -> None:
    populate(gallery, 2)
    keep(gallery, calibrated(gallery, tail).calibration)
    judge = Judge(
        gallery, {}, VoteRules(5, 0.4, "auto", "auto"), calibration=lambda: kept_calibration(gallery.database)
    )
    populate(gallery, 2, seed=2)
    with caplog.at_level(logging.WARNING):
        assert judge.limit > 0
        assert not caplog.records
        populate(gallery, 2, seed=3)
        assert judge.limit > 0
        populate(gallery, 1, seed=4)
        assert judge.limit > 0
    assert [record.getMessage() for record in caplog.records] == [
        "The gallery was calibrated with 2 people and has 6: rtface gallery calibrate measures it anew."
    ]


def test_settings_are_stronger_than_the_calibration(gallery: PersonGallery, tail: ImpostorTail) -> None:
    populate(gallery, 5)
    made = calibrated(gallery, tail, margin=0.1).calibration
    by_hand = Judge(gallery, {}, VoteRules(5, 0.4, 0.7, 0.02, 0.3), calibration=lambda: made)
    assert (by_hand.limit, by_hand.rules().false_identification_rate, by_hand.rules().min_margin) == (0.7, 0.02, 0.3)
    by_file = Judge(gallery, {}, VoteRules(5, 0.4, "auto", "auto"), calibration=lambda: made)
    assert (by_file.rules().false_identification_rate, by_file.rules().min_margin) == (0.05, 0.1)
    other_rate = Judge(gallery, {}, VoteRules(5, 0.4, "auto", 0.02), calibration=lambda: made)
    assert other_rate.limit == pytest.approx(made.limit(5, 0.02))
    plain = Judge(gallery, {1e-3: 0.5, 1e-4: 0.4}, VoteRules(5, 0.4, "auto", "auto"))
    assert (plain.rules().false_identification_rate, plain.rules().min_margin) == (0.001, 0.0)


def test_people_who_look_alike_make_the_distance_smaller(gallery: PersonGallery, tail: ImpostorTail) -> None:
    populate(gallery, 30)
    alone = calibrated(gallery, tail)
    kin = clusters(5, 6, 5, spread=0.9).reshape(6, 5, SIZE)
    for number, rows in enumerate(kin):
        for sibling, row in enumerate(rows):
            enroll(gallery, f"family {number}, {sibling}", row[None])
    alike = calibrated(gallery, tail)
    assert alike.likeness.low > 1
    assert alike.limit < Calibration(0.05, 0, alone.likeness.ratio, 60, 0, tail).limit(60)


def test_same_people_twice_as_often_are_twice_as_alike(tail: ImpostorTail) -> None:
    """Against the gamma distribution's own mean: (prior + found) / (prior + expected)."""
    step = tail.steps[-4]
    pairs = NearPairs(45, *(np.zeros(30, np.int64),) * 2, np.full(30, step.distance / 9), np.ones(30))
    found = likeness_of(pairs, tail)
    assert found.near == 30
    assert found.ratio == pytest.approx((PRIOR + 30) / (PRIOR + found.expected))
    assert found.low < found.ratio < found.high


def test_people_unlike_each_other_do_not_make_strangers_so(tail: ImpostorTail) -> None:
    none = NearPairs(60, *(np.zeros(0, np.int64),) * 2, np.zeros(0), np.zeros(0))
    assert likeness_of(none, tail).ratio == 1


def test_a_few_people_of_the_same_kind_are_not_called_alike(tail: ImpostorTail) -> None:
    ratios = [likeness_of(near_pairs(units(seed, 12), np.arange(12)), tail).ratio for seed in range(40)]
    assert np.mean(ratios) < 1.2
    assert sum(likeness_of(near_pairs(units(s, 12), np.arange(12)), tail).low > 1 for s in range(40)) <= 4


def test_rate_that_the_people_known_cannot_show_is_refused_with_one_that_they_can(
    gallery: PersonGallery, tail: ImpostorTail
) -> None:
    populate(gallery, 40)
    with pytest.raises(EvaluationError, match="800 people that the model was measured on") as refusal:
        calibrated(gallery, tail, rate=1e-5)
    offered = float(str(refusal.value).split("Ask for ")[1].split(" ")[0])
    assert calibrated(gallery, tail, rate=offered).limit > 0
    with pytest.raises(EvaluationError):
        calibrated(gallery, tail, rate=offered * 0.8)


@given(st.floats(1e-4, 1), st.floats(1, 1e5), st.floats(1, 5), st.floats(1, 10))
def test_more_chances_likeness_or_strictness_never_widen(
    tail: ImpostorTail, rate: float, chances: float, ratio: float, more: float
) -> None:
    made = Calibration(rate, 0.0, ratio, 9, 0.0, tail)
    at_most = made.limit(chances) + 1e-12
    assert made.limit(chances * more) <= at_most
    assert replace(made, ratio=ratio * more).limit(chances) <= at_most
    assert made.limit(chances, rate / more) <= at_most
    assert not made.holds(chances) or made.holds(chances / more)


def test_empty_gallery_has_nothing_to_calibrate(gallery: PersonGallery, tail: ImpostorTail) -> None:
    with pytest.raises(EvaluationError, match="rtface enroll"):
        calibrated(gallery, tail)


def test_model_nobody_measured_learns_from_the_people_enrolled_if_they_are_many(tmp_path: Path) -> None:
    with gallery_at(tmp_path / "few.db") as few:
        populate(few, 20)
        with pytest.raises(EvaluationError, match="the 20 people enrolled are too few"):
            calibrated(few, None)
    with gallery_at(tmp_path / "many.db") as many:
        populate(many, 150)
        report = calibrated(many, None, rate=0.1)
        assert (report.shipped, report.calibration.tail.people, report.calibration.ratio) == (False, 150, 1.0)
        with pytest.raises(EvaluationError, match="150 people"):
            calibrated(many, None, rate=0.001)


def test_counter_examples_are_nobodys_pictures(gallery: PersonGallery, tail: ImpostorTail) -> None:
    populate(gallery, 20)
    before = calibrated(gallery, tail).likeness
    for number, row in enumerate(clusters(1, 20, 1)):
        gallery.add("p1-0", row, sha256=f"against {number}", file="x", quality=0.5, against=True)
    assert calibrated(gallery, tail).likeness == before


def test_encrypted_gallery_is_measured_like_an_open_one(
    gallery: PersonGallery, tail: ImpostorTail, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    populate(gallery, 20)
    with gallery_at(tmp_path / "sealed.db", key=bytes(32)) as sealed:
        populate(sealed, 20)
        assert calibrated(sealed, tail) == calibrated(gallery, tail)


def test_calibration_is_read_as_it_was_kept(gallery: PersonGallery, tail: ImpostorTail) -> None:
    assert kept_calibration(gallery.database) is None
    populate(gallery, 3)
    made, revision = calibrated(gallery, tail, margin=0.05).calibration, gallery.revision
    keep(gallery, made)
    assert kept_calibration(gallery.database) == made
    assert gallery.revision == revision + 1, "whoever has the gallery open looks again"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"rate": 7}', '{"tail": {"people": 3, "steps": []}}'])
def test_damaged_calibration_is_told(gallery: PersonGallery, tmp_path: Path, text: str) -> None:
    with sqlite3.connect(tmp_path / "g.db") as connection:
        connection.execute("UPDATE meta SET calibration = ?", (text,))
    with pytest.raises(GalleryBroken, match="calibration"):
        kept_calibration(gallery.database)
