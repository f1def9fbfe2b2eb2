"""Consent that ends: nobody is found a day longer, at start, at midnight, and in programs that cannot erase."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from rtface.gallery.gallery import PersonGallery
from rtface.gallery.store import open_gallery
from tests.gallery.samples import PATIENCE, SIZE, bytes_on_disk, enroll, traces, units

LAST = date(2031, 3, 30)
"""A last day of consent; where summer time begins on it, it is an hour shorter."""


class Clock:
    """Shows what a test says."""

    def __init__(self) -> None:
        self.now = datetime.combine(LAST, datetime.min.time()).timestamp() + 60

    def __call__(self) -> float:
        return self.now

    def set(self, moment: datetime) -> None:
        self.now = moment.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(path: Path, clock: Clock) -> PersonGallery:
    """The gallery on this clock."""
    return open_gallery(
        path, model="facenet", fingerprint="1f2e", size=SIZE, create=True, clock=clock, patience=PATIENCE
    )


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """A gallery with Ada, whose consent ends on the last day, and Bob, who never agreed to an end."""
    with opened(tmp_path / "g.db", clock) as gallery:
        enroll(gallery, "Ada", units(1, 3))
        enroll(gallery, "Bob", units(2, 3))
        gallery.consent("Ada", "door", LAST)
        gallery.consent("Bob", "door")
    return tmp_path / "g.db"


def end_of(day: date) -> datetime:
    """Its last second, in local time."""
    return datetime.combine(day + timedelta(days=1), datetime.min.time()) - timedelta(seconds=1)


def names(gallery: PersonGallery) -> set[str]:
    """Who is found."""
    return {near.person for near in gallery.search(units(1, 1), 100)[0]}


def test_last_day_is_a_day_of_it_to_its_last_second(path: Path, clock: Clock) -> None:
    clock.set(end_of(LAST))
    with opened(path, clock) as gallery:
        gallery.refresh()
        assert names(gallery) == {"Ada", "Bob"}


def test_opening_after_the_last_day_erases_without_a_trace(path: Path, clock: Clock) -> None:
    assert traces(path, units(1, 3)[0])
    clock.set(end_of(LAST) + timedelta(seconds=1))
    with opened(path, clock) as gallery:
        assert gallery.counts() == {"Bob": 3}
        assert gallery.expire() == ["Ada"]
        assert gallery.check() == []
    assert not any(traces(path, row) for row in units(1, 3))
    assert b"Ada" not in bytes_on_disk(path)


def test_running_program_finds_nobody_after_midnight_and_erases_beside_itself(path: Path, clock: Clock) -> None:
    clock.set(end_of(LAST))
    with opened(path, clock) as gallery:
        gallery.search(units(1, 1), 5)
        assert not gallery.refresh()
        clock.set(end_of(LAST) + timedelta(seconds=1))
        assert gallery.refresh()
        assert names(gallery) == {"Bob"}
        assert gallery.counts() == {"Bob": 3}
        gallery._beside.wait()
        assert [person.name for person in gallery.people()] == ["Bob"]
        while gallery.refresh():
            pass
        assert gallery.check() == []
    assert not any(traces(path, row) for row in units(1, 3))


def test_two_programs_running_over_midnight_agree(path: Path, clock: Clock) -> None:
    clock.set(end_of(LAST))
    with opened(path, clock) as one, opened(path, clock) as other:
        for gallery in (one, other):
            gallery.search(units(1, 1), 5)
        clock.set(end_of(LAST) + timedelta(seconds=1))
        for gallery in (one, other):
            gallery.refresh()
            assert names(gallery) == {"Bob"}
        for gallery in (one, other):
            gallery._beside.wait()
            while gallery.refresh():
                pass
            assert gallery.check() == []
            assert gallery.counts() == {"Bob": 3}


def test_program_that_may_only_read_finds_nobody_whose_consent_has_ended(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the right is taken away where it is asked for.
    monkeypatch.setattr("rtface.gallery.sqlite.os.access", lambda *_: False)
    clock.set(end_of(LAST))
    with opened(path, clock) as gallery:
        assert names(gallery) == {"Ada", "Bob"}
        clock.set(end_of(LAST) + timedelta(seconds=1))
        gallery.refresh()
        assert names(gallery) == {"Bob"}
    with opened(path, clock) as gallery:
        assert names(gallery) == {"Bob"}
        assert gallery.counts() == {"Bob": 3}


def test_gallery_locked_at_midnight_hides_at_once_and_erases_at_the_next_opening(path: Path, clock: Clock) -> None:
    clock.set(end_of(LAST))
    gallery = opened(path, clock)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        clock.set(end_of(LAST) + timedelta(seconds=1))
        gallery.refresh()
        gallery._beside.wait()
        assert names(gallery) == {"Bob"}
        assert [person.name for person in gallery.people()] == ["Ada", "Bob"], "it could not be written"
    finally:
        other.close()
        gallery.close()
    with opened(path, clock) as gallery:
        assert [person.name for person in gallery.people()] == ["Bob"]
    assert not any(traces(path, row) for row in units(1, 3))


def test_consent_given_anew_in_time_keeps_somebody(path: Path, clock: Clock) -> None:
    clock.set(end_of(LAST))
    with opened(path, clock) as gallery:
        gallery.consent("Ada", "door", LAST + timedelta(days=365))
        clock.set(end_of(LAST) + timedelta(seconds=1))
        gallery.refresh()
        gallery._beside.wait()
        assert names(gallery) == {"Ada", "Bob"}
        assert gallery.expire() == []
