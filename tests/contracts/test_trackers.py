"""What every tracker in ``rtface/tracking`` keeps, whatever detections and gaps come."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtface.tracking
from rtface import geometry
from rtface.interfaces import Tracker
from rtface.types import Detection, Track, TrackState


def trackers() -> Iterator[Callable[[], Tracker]]:
    """Every class in the folder that offers what ``interfaces.Tracker`` asks for."""
    for module in pkgutil.iter_modules(rtface.tracking.__path__, "rtface.tracking."):
        for part in vars(importlib.import_module(module.name)).values():
            if isinstance(part, type) and part.__module__ == module.name and {"update", "split"} <= set(dir(part)):
                yield part


REPEATABLE = settings(derandomize=True, deadline=None)
OPENERS = list(trackers())
GAPS = st.sampled_from([0.0, 1 / 60, 1 / 30, 0.2, 0.7, 3.0])
FACES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(12, 40)), max_size=6)
FILMS = st.lists(st.tuples(GAPS, FACES), max_size=25)
Film = list[tuple[float, list[tuple[int, int, int]]]]
DUPLICATE_IOU = 0.5


def detections(faces: list[tuple[int, int, int]]) -> list[Detection]:
    """Squares on a coarse grid, none of which is nearly another."""
    found: list[Detection] = []
    for column, row, side in faces:
        box = np.array([20 * column, 20 * row, 20 * column + side, 20 * row + side], np.float32)
        if all(geometry.iou(box[None], other.box[None])[0, 0] < DUPLICATE_IOU for other in found):
            found.append(Detection(box, np.zeros((5, 2), np.float32), 0.5 + side / 100))
    return found


def play(tracker: Tracker, film: Film) -> Iterator[tuple[float, list[Detection], list[Track]]]:
    at = 10.0
    for gap, faces in film:
        at += gap
        found = detections(faces)
        yield at, found, tracker.update(found, at)


def test_the_folder_has_a_tracker() -> None:
    assert [opener.__name__ for opener in OPENERS] == ["FaceTracker"]


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS)
def test_each_detection_belongs_to_exactly_one_track(opener: Callable[[], Tracker], film: Film) -> None:
    for _, found, tracks in play(opener(), film):
        held = [id(track.detection) for track in tracks if track.detection is not None]
        assert sorted(held) == sorted(id(detection) for detection in found)


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS)
def test_ids_come_sorted_grow_from_one_and_are_never_used_again(opener: Callable[[], Tracker], film: Film) -> None:
    alive: set[int] = set()
    newest = 0
    for _, _, tracks in play(opener(), film):
        ids = [track.id for track in tracks]
        assert ids == sorted(set(ids))
        born = [track for track in ids if track not in alive]
        assert all(track > newest for track in born)
        newest = max([newest, *born])
        alive = set(ids)


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS)
def test_times_and_states_agree_with_what_was_seen(opener: Callable[[], Tracker], film: Film) -> None:
    for at, _, tracks in play(opener(), film):
        for track in tracks:
            assert track.first_seen <= track.last_seen <= at
            assert track.detection is None or track.last_seen == at
            assert track.state is not TrackState.LOST or track.detection is None
            assert track.state is not TrackState.CONFIRMED or track.detection is not None
            assert track.identity is None


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS)
def test_boxes_are_finite_and_right_way_round(opener: Callable[[], Tracker], film: Film) -> None:
    for _, _, tracks in play(opener(), film):
        for track in tracks:
            assert track.box.shape == (4,) and track.box.dtype == np.float32
            assert np.isfinite(track.box).all()
            assert (track.box[:2] < track.box[2:]).all()


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS)
def test_everybody_is_forgotten_in_the_end(opener: Callable[[], Tracker], film: Film) -> None:
    tracker = opener()
    for _ in play(tracker, film):
        pass
    assert tracker.update([], 1e6) == []


@pytest.mark.parametrize("opener", OPENERS)
@REPEATABLE
@given(film=FILMS, data=st.data())
def test_split_anywhere_keeps_ids_fresh_and_ends_the_old_track(
    opener: Callable[[], Tracker], film: Film, data: st.DataObject
) -> None:
    tracker = opener()
    newest, ended = 0, set[int]()
    for _, _, tracks in play(tracker, film):
        assert ended.isdisjoint(track.id for track in tracks)
        newest = max([newest, *(track.id for track in tracks)])
        visible = [track for track in tracks if track.detection is not None]
        wanted: bool = data.draw(st.booleans())
        if visible and wanted:
            old = data.draw(st.sampled_from(visible))
            new = tracker.split(old.id)
            assert new.id > newest and new.state is TrackState.CONFIRMED
            assert new.detection is old.detection
            newest, ended = new.id, ended | {old.id}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_snapshot_is_not_changed_by_later_frames(opener: Callable[[], Tracker]) -> None:
    tracker = opener()
    [before] = tracker.update(detections([(0, 0, 30)]), 0.0)
    kept = (before.box.copy(), before.state, before.last_seen)
    for frame in range(1, 30):
        tracker.update(detections([(0, 0, 32)]) if frame < 10 else [], frame / 30)
    np.testing.assert_array_equal(before.box, kept[0])
    assert (before.state, before.last_seen) == kept[1:]
