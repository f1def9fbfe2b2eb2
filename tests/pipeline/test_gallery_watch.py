"""A gallery that others change while faces are before the camera: in a painted world, on an invented clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.pipeline.gallery_watch import LOOK_S, LOOKS_A_ROUND
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.recognizer import Recognizer, TrackRules
from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, Event, EventKind, Frame, FrameResult, Neighbor
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery, detection, direction, paint

ADA, BOB, EVE = 60, 120, 180
FPS = 10
FILLER = 230
CROWD = {(64 * (place % 6), 64 * (place // 6)): 70.0 + 10 * place for place in range(12)}
"""Brightness of twelve faces in two rows."""


class SharedGallery(FakeGallery):
    """Others change it with ``change``; this process knows once it has asked. Counts rows searched for at a time."""

    def __init__(self, people: dict[str, float]) -> None:
        super().__init__(people)
        self.waiting: list[Callable[[], object]] = []
        self.against: set[str] = set()
        self.searched: list[int] = []

    def change(self, *changes: Callable[[], object]) -> None:
        self.waiting += changes

    def refresh(self) -> bool:
        self.refreshed += 1
        if not self.waiting:
            return False
        self.waiting.pop(0)()  # one at a time, as of very many
        self.revision += 1
        return True

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        self.searched.append(len(embeddings))
        found = super().search(embeddings, k)
        return [
            [Neighbor(near.person.removeprefix("not "), near.distance, near.person.startswith("not ")) for near in row]
            for row in found
        ]

    def add(self, name: str, brightness: float) -> None:
        self.rows.append((name, direction(brightness)))

    def remove(self, name: str) -> None:
        self.rows = [row for row in self.rows if row[0] != name]

    def rename(self, old: str, new: str) -> None:
        self.rows = [(new if name == old else name, row) for name, row in self.rows]


class World:
    """A camera and a gallery; every frame takes 1 / FPS seconds."""

    def __init__(self, people: dict[str, float], faces: dict[tuple[int, int], float], side: int = 80) -> None:
        self.gallery = SharedGallery(people)
        self.frames = 0
        self._picture = paint(faces, size=(160, 400), side=side)
        script: Sequence[Detection] = [detection(left, top, side=side) for left, top in faces]
        judge = Judge(self.gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
        self.recognizer = Recognizer(
            FakeDetector([script]),
            FakeEmbedder(),
            judge,
            TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0),
            lambda stills: FaceTracker(),
            clock=lambda: self.frames / FPS,
        )

    def watch(self, seconds: float) -> list[FrameResult]:
        results = []
        for _ in range(round(seconds * FPS)):
            frame = Frame(self._picture, self.frames, self.frames / FPS, self.frames / FPS, "cam")
            results += self.recognizer.process([frame])
            self.frames += 1
        return results


def names(result: FrameResult) -> list[str | None]:
    return [track.identity.person if track.identity else None for track in result.tracks]


def told(results: Sequence[FrameResult]) -> list[Event]:
    return [event for result in results for event in result.events]


def after(results: Sequence[FrameResult], wanted: list[str | None]) -> float:
    """Seconds until these names were shown, to stay."""
    right = [names(result) == wanted for result in results]
    assert right[-1]
    return (len(right) - right[::-1].index(False) if False in right else 0) / FPS


def test_stranger_of_a_minute_is_named_at_once_when_enrolled_elsewhere() -> None:
    world = World({"Ada": ADA}, {(50, 60): EVE})
    assert names(world.watch(20)[-1]) == [None]
    world.gallery.change(lambda: world.gallery.add("Eve", EVE))
    later = world.watch(2)
    assert after(later, ["Eve"]) <= LOOK_S + 1 / FPS
    (event,) = told(later)
    assert (event.kind, event.gallery_revision) == (EventKind.IDENTIFIED, 2)
    assert event.decision is not None
    assert {look.gallery_revision for look in event.decision.ballots} == {2}
    assert len(event.decision.ballots) == 15, "the looks of before count, as the gallery now sees them"
    assert event.decision.ballots[0].at < 20


def test_removed_person_loses_the_name_at_once() -> None:
    world = World({"Ada": ADA, "Bob": BOB}, {(50, 60): ADA})
    assert names(world.watch(10)[-1]) == ["Ada"]
    world.gallery.change(lambda: world.gallery.remove("Ada"))
    later = world.watch(10)
    assert after(later, [None]) <= LOOK_S + 1 / FPS
    (event,) = told(later)
    assert (event.kind, event.gallery_revision) == (EventKind.REVOKED, 2)
    assert event.decision is not None
    assert not [row for look in event.decision.ballots for row in look.vote.neighbors if row.person == "Ada"]


def test_renamed_person_is_never_nobody() -> None:
    world = World({"Ada": ADA, "Bob": BOB}, {(50, 60): ADA})
    world.watch(10)
    world.gallery.change(lambda: world.gallery.rename("Ada", "Augusta"))
    later = world.watch(10)
    assert after(later, ["Augusta"]) <= LOOK_S + 1 / FPS
    assert all(names(result) in (["Ada"], ["Augusta"]) for result in later)
    assert [(event.kind, event.identity and event.identity.person) for event in told(later)] == [
        (EventKind.REVOKED, "Ada"),
        (EventKind.IDENTIFIED, "Augusta"),
    ]


def test_renamed_person_in_a_crowd_is_never_nobody() -> None:
    world = World({f"person {light}": light for light in CROWD.values()}, CROWD, side=60)
    before = world.watch(10)
    assert None not in names(before[-1])
    world.gallery.change(lambda: world.gallery.rename("person 170.0", "Augusta"))
    later = world.watch(3)
    assert all(None not in names(result) for result in later)
    assert "Augusta" in names(later[-1])


def test_counter_example_added_elsewhere_takes_the_name_away() -> None:
    world = World({"Ada": ADA}, {(50, 60): ADA})
    world.watch(10)
    world.gallery.change(lambda: world.gallery.add("not Ada", ADA))
    later = world.watch(2)
    assert after(later, [None]) <= LOOK_S + 1 / FPS
    assert [event.kind for event in told(later)] == [EventKind.REVOKED]


def test_nothing_is_searched_again_while_nothing_changes() -> None:
    world = World({"Ada": ADA}, {(50, 60): ADA})
    world.watch(10)
    world.gallery.searched.clear()
    asked = world.gallery.refreshed
    world.watch(20)
    assert sum(world.gallery.searched) <= 20 / 2 + 1, "one look in two seconds"
    assert world.gallery.refreshed - asked <= 20 / LOOK_S + 1


def test_crowd_is_judged_again_a_few_looks_a_frame_and_everybody_gets_a_turn() -> None:
    world = World({}, CROWD, side=60)
    assert set(names(world.watch(20)[-1])) == {None}
    world.gallery.searched.clear()
    world.gallery.change(lambda: world.gallery.rows.extend((f"person {b}", direction(b)) for b in CROWD.values()))
    later = world.watch(LOOK_S + 13 / FPS)
    assert None not in names(later[-1])
    assert max(world.gallery.searched) <= LOOKS_A_ROUND


def test_import_that_takes_many_rounds_starves_nobody_and_is_taken_in_round_by_round() -> None:
    faces = dict(list(CROWD.items())[:5])
    world = World({}, faces, side=60)
    world.watch(10)
    world.gallery.searched.clear()
    asked = world.gallery.refreshed
    people = {f"person {light}": light for light in faces.values()} | {f"filler {i}": FILLER for i in range(60)}
    world.gallery.change(*(partial(world.gallery.add, name, light) for name, light in people.items()))
    rounds = len(people)
    later = world.watch(LOOK_S + rounds / FPS)
    assert world.gallery.refreshed - asked >= rounds, "a part in every round, not one a look"
    assert not world.gallery.waiting
    everybody = [f"person {light}" for light in faces.values()]
    assert after(later, list(everybody)) <= LOOK_S + 3 * len(faces) / FPS, "long before the import's end"
    assert len([event for event in told(later) if event.kind is EventKind.REVOKED]) == 0
    assert max(world.gallery.searched) <= LOOKS_A_ROUND


@pytest.mark.parametrize("name", ["Ada", None])
def test_face_out_of_sight_during_the_change_is_judged_by_it_when_it_is_back(name: str | None) -> None:
    world = World({"Ada": ADA} if name else {}, {(50, 60): ADA})
    world.watch(5)
    detector = world.recognizer._detector
    assert isinstance(detector, FakeDetector)
    shown, detector.script = detector.script, [[]]
    world.watch(0.2)
    world.gallery.change((lambda: world.gallery.remove("Ada")) if name else (lambda: world.gallery.add("Ada", ADA)))
    world.watch(0.3)
    detector.script = shown
    assert after(world.watch(1), [None if name else "Ada"]) <= 2 / FPS
