"""The tracker on invented faces at invented times."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from rtface.errors import ConfigError
from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, Track, TrackState

Path = Callable[[float], float]


def face(x: float, y: float = 100.0, *, side: float = 60.0, score: float = 0.9) -> Detection:
    """A square face around (x, y)."""
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Detection(box, np.full((5, 2), (x, y), np.float32), score)


def confirmed(tracks: list[Track]) -> list[int]:
    return [track.id for track in tracks if track.state is TrackState.CONFIRMED]


def seen_once(x: float = 100.0, at: float = 0.0) -> FaceTracker:
    tracker = FaceTracker()
    tracker.update([face(x)], at)
    return tracker


def settled(x: float = 100.0, *, until: float = 1.0, fps: float = 30) -> FaceTracker:
    """A tracker that has watched one resting face up to the time ``until``; its id is 1."""
    tracker = FaceTracker()
    frames = round(until * fps)
    for frame in range(frames + 1):
        tracker.update([face(x)], until - (frames - frame) / fps)
    return tracker


def test_first_sight_is_tentative_with_the_detection_itself() -> None:
    seen = face(100)
    [track] = FaceTracker().update([seen], 5.0)
    assert (track.id, track.state, track.identity) == (1, TrackState.TENTATIVE, None)
    assert track.detection is seen
    assert (track.first_seen, track.last_seen) == (5.0, 5.0)
    np.testing.assert_array_equal(track.box, seen.box)


def test_confirmed_needs_two_sightings_and_a_twentieth_of_a_second() -> None:
    tracker = FaceTracker()
    states = [tracker.update([face(100)], frame / 60)[0].state.value for frame in range(5)]
    assert states == ["tentative"] * 3 + ["confirmed"] * 2


def test_two_sources_frames_of_one_moment_do_not_confirm() -> None:
    tracker = seen_once()
    assert [track.state for track in tracker.update([face(100)], 0.0)] == [TrackState.TENTATIVE]


def test_a_still_is_confirmed_on_sight_where_that_is_asked_for() -> None:
    [track] = FaceTracker(confirm_hits=1).update([face(100)], 0.0)
    assert track.state is TrackState.CONFIRMED


@pytest.mark.parametrize("fps", [3, 5, 15, 30, 60])
def test_a_resting_face_is_one_confirmed_track_at_any_frame_rate(fps: float) -> None:
    tracker = FaceTracker()
    tracks = [tracker.update([face(100)], frame / fps) for frame in range(int(2 * fps))]
    assert {track.id for frame in tracks for track in frame} == {1}
    assert confirmed(tracks[-1]) == [1]


def test_a_ghost_of_one_frame_is_never_confirmed_and_never_comes_back() -> None:
    tracker = settled(400)
    ids: set[int] = set()
    for frame in range(1, 61):
        ghosts = [face(100)] if frame in (1, 31) else []
        tracks = tracker.update([face(400), *ghosts], 1 + frame / 30)
        assert confirmed(tracks) == [1]
        ids |= {track.id for track in tracks}
        if 8 <= frame < 31 or frame >= 38:
            assert len(tracks) == 1
    assert ids == {1, 2, 3}


def test_a_tentative_face_may_blink_for_a_moment() -> None:
    tracker = seen_once()
    [hidden] = tracker.update([], 0.1)
    assert (hidden.state, hidden.detection) == (TrackState.TENTATIVE, None)
    [back] = tracker.update([face(100)], 0.2)
    assert (back.id, back.state) == (1, TrackState.CONFIRMED)


def test_a_hidden_face_is_lost_for_a_second_and_then_gone() -> None:
    tracker = settled()
    for tenth in range(1, 11):
        [track] = tracker.update([], 1 + tenth / 10)
        assert (track.state, track.detection, track.last_seen) == (TrackState.LOST, None, 1.0)
    assert tracker.update([], 2.05) == []
    assert [track.id for track in tracker.update([face(100)], 2.1)] == [2]


def test_a_face_that_reappears_in_time_keeps_its_id() -> None:
    tracker = settled()
    for frame in range(1, 21):
        tracker.update([], 1 + frame / 30)
    [track] = tracker.update([face(110)], 1.7)
    assert (track.id, track.state, track.first_seen) == (1, TrackState.CONFIRMED, 0.0)


@pytest.mark.parametrize("fps", [10, 30, 60])
@pytest.mark.parametrize("speed", [-2.0, 1.0, 3.0])
def test_a_moving_face_hidden_for_seven_tenths_keeps_its_id(fps: float, speed: float) -> None:
    tracker = FaceTracker()
    tracks: list[Track] = []
    for frame in range(int(3 * fps)):
        at = frame / fps
        hidden = 1.0 < at < 1.7
        tracks = tracker.update([] if hidden else [face(500 + 60 * speed * at)], at)
    assert [track.id for track in tracks] == [1]


def test_a_lost_box_is_finite_and_comes_to_rest_near_where_the_face_went() -> None:
    tracker = FaceTracker(patience_s=60)
    for frame in range(30):
        tracker.update([face(100 + 6 * frame)], frame / 30)
    lefts = [float(tracker.update([], 1 + 0.5 * step)[0].box[0]) for step in range(60)]
    assert np.isfinite(lefts).all()
    assert lefts == sorted(lefts)
    assert lefts[-1] - lefts[20] < 1
    assert 244 < lefts[-1] < 244 + 60 * 3


def test_after_a_long_gap_the_face_is_a_new_one() -> None:
    tracker = settled()
    assert [(track.id, track.state) for track in tracker.update([face(100)], 100.0)] == [(2, TrackState.TENTATIVE)]


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_two_people_crossing_keep_their_ids(fps: float) -> None:
    tracker = FaceTracker()
    tracks: list[Track] = []
    for frame in range(int(4 * fps) + 1):
        at = frame / fps
        left, right = 100 + 100 * at, 500 - 100 * at
        behind = [] if abs(left - right) < 40 else [face(right, 110, side=56)]
        tracks = tracker.update([face(left), *behind], at)
    assert confirmed(tracks) == [1, 2]
    places = {track.id: float(track.box[[0, 2]].mean()) for track in tracks}
    assert places == pytest.approx({1: 500, 2: 100}, abs=1)


def test_a_small_face_that_no_longer_overlaps_itself_is_followed() -> None:
    tracker = FaceTracker()
    tracks = [tracker.update([face(100 + 24 * frame, side=20)], frame / 5) for frame in range(10)]
    assert {track.id for frame in tracks for track in frame} == {1}


def test_a_panned_row_of_faces_moves_together() -> None:
    tracker = FaceTracker()
    places = [100.0, 180.0, 260.0, 340.0]
    tracker.update([face(place) for place in places], 0.0)
    tracks = tracker.update([face(place + 45) for place in reversed(places)], 0.2)
    assert [float(track.box[[0, 2]].mean()) for track in tracks] == [place + 45 for place in places]
    assert [track.id for track in tracks] == [1, 2, 3, 4]


def test_dropped_frames_and_uneven_gaps_do_not_break_a_moving_track() -> None:
    rng = np.random.default_rng(3)
    tracker, at = FaceTracker(), 0.0
    ids: set[int] = set()
    for _ in range(200):
        at += float(rng.choice([1 / 30, 1 / 30, 0.1, 0.35]))
        x = 500 + 200 * math.sin(at) + rng.normal(0, 1)
        ids |= {track.id for track in tracker.update([face(x)], at)}
    assert ids == {1}


def test_a_duplicate_detection_makes_no_second_track() -> None:
    tracker = FaceTracker()
    for frame in range(30):
        tracks = tracker.update([face(104, side=64, score=0.7), face(100, score=0.9)], frame / 30)
        assert [track.id for track in tracks] == [1]
        assert tracks[0].detection is not None and tracks[0].detection.score == 0.9


def test_a_ghost_beside_a_face_does_not_take_the_face() -> None:
    tracker = settled()
    tracker.update([face(100), face(140)], 1.033)
    tracks = tracker.update([face(122)], 1.067)
    assert [track.id for track in tracks if track.detection is not None] == [1]


def test_somebody_else_far_away_does_not_get_a_lost_track() -> None:
    tracker = settled()
    tracker.update([], 1.1)
    tracks = tracker.update([face(100 + 60 * 1.2)], 1.5)
    assert [(track.id, track.state) for track in tracks] == [(1, TrackState.LOST), (2, TrackState.TENTATIVE)]


def test_a_face_of_twice_the_size_is_somebody_else() -> None:
    tracks = settled().update([face(100, side=130)], 1.033)
    assert [track.id for track in tracks if track.detection is not None] == [2]


def test_split_gives_the_face_a_confirmed_track_and_ends_the_old_one() -> None:
    tracker = settled()
    new = tracker.split(1)
    assert (new.id, new.state, new.first_seen, new.last_seen) == (2, TrackState.CONFIRMED, 1.0, 1.0)
    assert new.detection is not None
    assert confirmed(tracker.update([face(100)], 1.033)) == [2]
    assert [track.id for track in tracker.update([], 1.067)] == [2]


def test_split_of_a_track_that_is_not_alive_says_which_are() -> None:
    tracker = settled()
    with pytest.raises(KeyError, match=r"No track 7 is alive\. Alive: 1\."):
        tracker.split(7)
    tracker.split(1)
    with pytest.raises(KeyError, match="Alive: 2"):
        tracker.split(1)


def test_split_of_a_face_out_of_sight_is_refused() -> None:
    tracker = settled()
    tracker.update([], 1.1)
    with pytest.raises(ValueError, match="out of sight"):
        tracker.split(1)
    assert [track.id for track in tracker.update([face(100)], 1.2)] == [1]


@pytest.mark.parametrize("at", [0.5, math.nan, math.inf, -math.inf])
def test_time_that_runs_backwards_or_nowhere_is_refused(at: float) -> None:
    tracker = seen_once(at=1.0)
    with pytest.raises(ValueError, match="must never decrease"):
        tracker.update([], at)


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="confirm_hits is 0"):
        FaceTracker(confirm_hits=0)
    with pytest.raises(ConfigError, match="patience_s is -1"):
        FaceTracker(patience_s=-1)
    with pytest.raises(ConfigError, match="confirm_s is nan"):
        FaceTracker(confirm_s=math.nan)
