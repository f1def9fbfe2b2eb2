"""The words every part of rtface speaks: frozen records that travel from a camera to a sink.

One measure everywhere: *distance* is the squared L2 distance between unit vectors, 0..4, smaller is
more alike (the D(x, y) of the FaceNet paper, section 3). ``score`` belongs to the detector, ``distance`` to
the gallery, ``share`` to the vote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR, not to be written to."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR, not to be written to.
        index: counts from 0 in the source; a gap is a dropped frame.
        captured_at: seconds, monotonic. A live source's own clock, a file's media time; tracks are judged by it.
        received_at: seconds of ``time.monotonic`` when the pixels reached this process; frame age counts from it.
        source: name of the source, passwords masked.
    """

    image: Image
    index: int
    captured_at: float
    received_at: float
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face found in a picture.

    Attributes:
        box: (4,) float32, left, top, right, bottom in px; may reach over the picture's edge.
        landmarks: (5, 2) float32 px: eye, eye, nose, mouth corner, mouth corner, image-left first.
        score: the detector's confidence, 0..1.
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A detection with everything recognition needs, made whole and never half-filled.

    Attributes:
        detection: where it was found.
        crop: (S, S, 3) uint8 BGR, as the embedding model wants it.
        embedding: (D,) float32 of norm 1.
        quality: 0..1, see ``rtface.embedding.quality``.
    """

    detection: Detection
    crop: Image
    embedding: NDArray[np.float32]
    quality: float


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One gallery row near a query.

    Attributes:
        person: whose row it is.
        distance: to the query, 0..4.
        against: a counter-example: the face of somebody who is not this person.
        picture: number of the row in the gallery, never reused; None where the gallery has none.
    """

    person: str
    distance: float
    against: bool = False
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A verdict.

    Attributes:
        person: the name, or None: nobody known.
        distance: of the nearest vote for the person; of the nearest row of anybody when there is none; infinite in an
            empty gallery.
        share: the part of the votes the person got, 0..1.
        neighbors: the gallery rows it rests on, nearest first.
    """

    person: str | None
    distance: float
    share: float
    neighbors: tuple[Neighbor, ...] = ()


@dataclass(frozen=True, slots=True)
class Ballot:
    """One look at a face, with all that its vote rests on.

    Attributes:
        vote: what this look says by itself, with the gallery rows found.
        weights: (person, weight) of everybody who has a row that votes, by name.
        enrolled: (person, rows in the gallery) of everybody among the rows found, by name.
        limit: the largest distance of a vote at that moment.
        gallery_revision: of the gallery that was asked.
        at: seconds of ``Frame.captured_at``.
        quality: of the crop, 0..1.
    """

    vote: Identity
    weights: tuple[tuple[str, float], ...]
    enrolled: tuple[tuple[str, int], ...]
    limit: float
    gallery_revision: int
    at: float = 0.0
    quality: float = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What turns neighbours into a vote and votes into a name; settings, with the ones set to ``auto`` worked out.

    Attributes:
        k: rows that vote on a look.
        min_share: a look's vote needs more than this part, 0..1.
        min_margin: by how much the next person has to be farther than the one voted for, 0..4.
        min_votes: looks that have to agree.
        false_identification_rate: how often one look at a stranger gives a vote for anybody.
        false_name_rate: how often a stranger may get a name while followed.
    """

    k: int
    min_share: float
    min_margin: float
    min_votes: int
    false_identification_rate: float
    false_name_rate: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A face of the same frame whose looks speak for the same person."""

    track_id: int
    share: float
    distance: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything a verdict rests on, enough to reach it again.

    Attributes:
        person: the verdict; None: nobody.
        ballots: the looks it was reached from, oldest first.
        rules: by which.
        evidence: how many times likelier the votes are for the person with the most of them than for a stranger.
        needed: the evidence a name needs.
        rivals: other faces of the frame that claimed the same person.
    """

    person: str | None
    ballots: tuple[Ballot, ...]
    rules: Rules
    evidence: float
    needed: float
    rivals: tuple[Claim, ...] = ()


class TrackState(Enum):
    """The life of a track: seen too little to tell, followed, out of sight and waited for."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face followed over time.

    Attributes:
        id: from 1, never reused by the same tracker.
        box: (4,) float32, left, top, right, bottom in px; predicted while the face is out of sight.
        state: tentative, confirmed or lost.
        detection: of this frame, or None when the face was not found in it.
        first_seen, last_seen: seconds of ``Frame.captured_at``.
        identity: the verdict so far; None while there is none.
    """

    id: int
    box: NDArray[np.float32]
    state: TrackState
    detection: Detection | None
    first_seen: float
    last_seen: float
    identity: Identity | None = None


class EventKind(Enum):
    """What can happen to a track."""

    APPEARED = "appeared"
    IDENTIFIED = "identified"
    REVOKED = "revoked"
    LEFT = "left"
    SOURCE_LOST = "source_lost"
    SOURCE_BACK = "source_back"


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person or a program wants to be told.

    Attributes:
        kind: what happened.
        track_id: whom it happened to; 0 when it is about the source itself.
        identity: the verdict now; for a revocation the one withdrawn; None where there was none.
        at: seconds of ``Frame.captured_at``.
        source: name of the source.
        backend: the engine that computed the embedding, e.g. ``onnxruntime``.
        model: name and fingerprint of the embedding model, e.g. ``facenet:1f2e3d4c``.
        gallery_revision: the state of the gallery that decided.
        id: unlike that of any other event of any run or camera.
        decision: what was decided, and from what; None where nothing was.
    """

    kind: EventKind
    track_id: int
    identity: Identity | None
    at: float
    source: str
    backend: str
    model: str
    gallery_revision: int
    id: str = ""
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All that is known about one frame once it has been through the loop.

    Attributes:
        frame: the frame itself.
        tracks: confirmed tracks whose face is in this frame, by id; one out of sight for a moment is not here.
        events: what happened in this frame.
        timings: {stage: ms} for this frame; ``age`` is from ``received_at`` to the verdict.
        dropped: frames this source has lost so far because the loop was busy.
        repeated: the frame has been told before and comes again only to carry ``events``: its source broke off,
            came back or ended.
        notice: what whoever watches should know of the machine itself, such as that engines are being built.
    """

    frame: Frame
    tracks: tuple[Track, ...]
    events: tuple[Event, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    dropped: int = 0
    repeated: bool = False
    notice: str = ""
