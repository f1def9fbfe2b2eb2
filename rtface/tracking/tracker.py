"""Follows faces by where they are: one tracker a source, time in seconds, never frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtface import geometry
from rtface.errors import ConfigError
from rtface.tracking.assignment import assign
from rtface.tracking.motion import Motion, centre_and_size
from rtface.types import Detection, Track, TrackState

SAME_FACE_IOU = 0.6
"""Two detections of one picture that overlap more are one face. The detectors suppress at 0.3 to 0.4; of two people so
close together only the front one can be seen."""
REACH = 0.5
"""Face sizes a face may be from its prediction at once ..."""
REACH_PER_S = 8.0
"""... and how this grows with the seconds since it was seen, nearly the speed of somebody walking past ..."""
REACH_MOST = 1.5
"""... up to here: at 5 frames a second a face at full speed has come so far before its speed is known."""
REACH_LOST = 1.0
"""A hidden face, whose speed was known, is waited for near its prediction; farther away it is more likely another."""
SIZE_RATIO_MOST = 2.0
"""A face does not double or halve its side while it is waited for."""
NEWCOMER_COST = 0.25
"""Face sizes by which a tentative track must be nearer than an established one to take a detection from it: a ghost
beside a face does not get the face."""
LIMIT = REACH_MOST + math.log(SIZE_RATIO_MOST) + NEWCOMER_COST
"""More than any pair that may be made can cost."""


@dataclass(slots=True)
class _Followed:
    """A track while it lives; ``Track`` is the snapshot that leaves."""

    id: int
    motion: Motion
    first_seen: float
    last_seen: float
    detection: Detection | None
    hits: int = 1
    state: TrackState = TrackState.TENTATIVE

    def snapshot(self) -> Track:
        box = self.motion.box if self.detection is None else self.detection.box
        return Track(self.id, box, self.state, self.detection, self.first_seen, self.last_seen)


class FaceTracker:
    """Fulfils ``interfaces.Tracker`` by prediction (``motion.py``) and cheapest assignment (``assignment.py``).

    A pair of track and detection costs the distance of their centres in face sizes plus the difference of the
    logarithms of their sides. That orders pairs as their overlap would, and still does when they no longer overlap, as
    small fast faces do not.

    A track is tentative until it has been seen ``confirm_hits`` times over ``confirm_s``; confirmed while it is seen;
    lost, with a predicted box, while it is not; gone ``patience_s`` after it was last seen. A detection that is the
    same face as a better one in the picture (``SAME_FACE_IOU``) belongs to no track; each other one to exactly one.
    """

    def __init__(
        self,
        *,
        confirm_hits: int = 2,
        confirm_s: float = 0.05,
        patience_s: float = 1.0,
        ghost_patience_s: float = 0.2,
    ) -> None:
        """An empty tracker.

        Args:
            confirm_hits: sightings that make a track; 1 confirms on sight, for stills, whatever ``confirm_s``.
            confirm_s: seconds these sightings must span.
            patience_s: seconds a confirmed face may be hidden and keep its id. Frames farther apart than this never
                make a track, unless ``confirm_hits`` is 1.
            ghost_patience_s: the same for a tentative one; a source slower than this still gets one next frame.

        Raises:
            ConfigError: a number out of range.
        """
        if confirm_hits < 1:
            raise ConfigError(f"confirm_hits is {confirm_hits}; a track needs at least 1 sighting.")
        for name, seconds in (
            ("confirm_s", confirm_s),
            ("patience_s", patience_s),
            ("ghost_patience_s", ghost_patience_s),
        ):
            if not 0 <= seconds < math.inf:
                raise ConfigError(f"{name} is {seconds}; it must be a number of seconds, 0 or more.")
        self._confirm_hits, self._confirm_s = confirm_hits, confirm_s
        self._patience_s, self._ghost_patience_s = patience_s, ghost_patience_s
        self._followed: list[_Followed] = []
        self._next_id = 1
        self._at = -math.inf

    def update(self, detections: Sequence[Detection], at: float) -> list[Track]:
        """Tracks alive at this moment, by id: tentative, confirmed and lost; ``identity`` is None.

        Args:
            detections: faces of one frame.
            at: seconds, never smaller than in the call before.

        Raises:
            ValueError: time runs backwards, or is not a number.
        """
        if not self._at <= at < math.inf:
            raise ValueError(f"Frame time {at} s after {self._at} s: captured_at of one source must never decrease.")
        self._forget(at)
        for track in self._followed:
            track.motion.advance(at)
        faces = _distinct(detections)
        boxes: list[list[float]] = [face.box.tolist() for face in faces]
        pairs = dict(assign(self._costs(boxes, at), LIMIT))
        for row, track in enumerate(self._followed):
            if row in pairs:
                self._see(track, faces[pairs[row]], boxes[pairs[row]], at)
            else:
                self._miss(track)
        taken = set(pairs.values())
        for column, face in enumerate(faces):
            if column not in taken:
                self._begin(face, boxes[column], at)
        self._at = at
        self._forget(at)
        return [track.snapshot() for track in self._followed]

    def split(self, track_id: int) -> Track:
        """Gives the face now at this track an id of its own: it turned out to be somebody else.

        The old track ends here and is not in the next update. Returns the new, confirmed track.

        Raises:
            KeyError: no track of this id is alive.
            ValueError: its face is not in the last frame, so there is nothing to split off.
        """
        row = next((row for row, track in enumerate(self._followed) if track.id == track_id), None)
        if row is None:
            alive = ", ".join(str(track.id) for track in self._followed) or "none"
            raise KeyError(f"No track {track_id} is alive. Alive: {alive}.")
        old = self._followed[row]
        if old.detection is None:
            raise ValueError(f"The face of track {track_id} is out of sight since {old.last_seen} s: nothing to split.")
        del self._followed[row]
        new = _Followed(self._new_id(), old.motion, self._at, self._at, old.detection, state=TrackState.CONFIRMED)
        self._followed.append(new)
        return new.snapshot()

    def _costs(self, boxes: Sequence[Sequence[float]], at: float) -> list[list[float]]:
        """A row a track, a column a box; infinite where they cannot be the same face."""
        places = [centre_and_size(box) for box in boxes]
        costs: list[list[float]] = []
        for track in self._followed:
            motion = track.motion
            side = motion.side
            most = REACH_LOST if track.state is TrackState.LOST else REACH_MOST
            reach = min(REACH + REACH_PER_S * (at - track.last_seen), most)
            surcharge = NEWCOMER_COST if track.state is TrackState.TENTATIVE else 0.0
            line: list[float] = []
            for x, y, width, height in places:
                other = math.sqrt(width * height)
                away = math.hypot(x - motion.x, y - motion.y) * 2 / (side + other)
                ratio = max(side, other) / min(side, other)
                same = away <= reach and ratio <= SIZE_RATIO_MOST
                line.append(away + math.log(ratio) + surcharge if same else math.inf)
            costs.append(line)
        return costs

    def _see(self, track: _Followed, face: Detection, box: Sequence[float], at: float) -> None:
        track.motion.correct(box)
        track.detection, track.last_seen = face, at
        track.hits += 1
        spans = track.hits >= self._confirm_hits and at - track.first_seen >= self._confirm_s
        if spans or track.state is not TrackState.TENTATIVE:
            track.state = TrackState.CONFIRMED

    def _miss(self, track: _Followed) -> None:
        track.detection = None
        if track.state is TrackState.CONFIRMED:
            track.state = TrackState.LOST

    def _begin(self, face: Detection, box: Sequence[float], at: float) -> None:
        track = _Followed(self._new_id(), Motion(box, at), at, at, face)
        if self._confirm_hits == 1:
            track.state = TrackState.CONFIRMED
        self._followed.append(track)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _forget(self, at: float) -> None:
        """Drops tracks unseen for too long. A tentative one seen in the last frame is owed one more, however late."""
        self._followed = [
            track
            for track in self._followed
            if at - track.last_seen
            <= (
                self._ghost_patience_s
                if track.state is TrackState.TENTATIVE and track.last_seen < self._at
                else self._patience_s
            )
        ]


def _distinct(detections: Sequence[Detection]) -> Sequence[Detection]:
    """One detection a face, best first where there were several."""
    if len(detections) < 2:
        return detections
    boxes = np.stack([detection.box for detection in detections])
    if np.count_nonzero(geometry.iou(boxes, boxes) > SAME_FACE_IOU) == len(detections):
        return detections
    scores = np.array([detection.score for detection in detections], np.float32)
    return [detections[index] for index in geometry.suppress(boxes, scores, SAME_FACE_IOU)]
