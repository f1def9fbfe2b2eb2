"""Frames to verdicts: detect, track, choose whom to embed, embed all cameras' faces at once, search, vote, settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rtface.embedding import quality as face_quality
from rtface.embedding.align import thumbnail
from rtface.embedding.crops import best_crop
from rtface.gallery.voting import settle
from rtface.interfaces import Detector, Embedder, Tracker
from rtface.pipeline.judge import Judge
from rtface.pipeline.lookout import Lookout
from rtface.pipeline.memory import TrackMemory
from rtface.pipeline.timing import Stopwatch
from rtface.types import Detection, Event, EventKind, Frame, FrameResult, Identity, Image, Track, TrackState

EMBEDDINGS_A_ROUND = 4
LOOKS_A_ROUND = 6
"""At most so many faces of all cameras are embedded at once, and cut out to be judged worth it, so that a crowd walking
in costs many short rounds and not one long one. Faces take turns. Broken tracks are not held back: their names hang on
it."""
GALLERY_LOOK_S = 1.0
"""How often a change made by another process is looked for."""


@dataclass(frozen=True, slots=True)
class TrackRules:
    """How a track's evidence becomes a name; the settings of the same names."""

    min_votes: int
    min_share: float
    min_quality: float
    confirm_s: float


@dataclass(slots=True)
class _Camera:
    """State kept of one source."""

    lookout: Lookout
    tracker: Tracker
    rules: TrackRules
    memories: dict[int, TrackMemory] = field(default_factory=dict)
    alive: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Look:
    """One face chosen to be embedded."""

    camera: _Camera
    frame: Frame
    track: Track
    detection: Detection
    crop: Image
    quality: float

    @property
    def memory(self) -> TrackMemory:
        """Of its track."""
        return self.camera.memories[self.track.id]


class Recognizer:
    """Turns frames of any number of sources into results, one call at a time.

    Feed it a frame of each source that has one; all their faces share one run of the embedding network.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        judge: Judge,
        rules: TrackRules,
        make_tracker: Callable[[bool], Tracker],
        *,
        stills: Collection[str] = (),
        full_look_s: float = 0.0,
        new_face_s: float = 0.0,
    ) -> None:
        """Builds nothing yet.

        Args:
            detector, embedder, judge: the parts, shared by all sources.
            rules: for frames of a scene.
            make_tracker: gives each source its own; told whether the source's pictures are stills.
            stills: names of sources whose every picture is judged by itself, on one look.
            full_look_s: how often a scene is searched whole, and not only where it has changed; 0 is every frame.
            new_face_s: how often a changed part with no known face is searched; 0 is every frame.
        """
        self._detector = detector
        self._embedder = embedder
        self._judge = judge
        self._rules = rules
        self._make_tracker = make_tracker
        self._stills = stills
        self._full_look_s, self._new_face_s = full_look_s, new_face_s
        self._cameras: dict[str, _Camera] = {}
        self._looked_at_gallery = -np.inf
        self._round = 0

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Results for these frames, in their order; at most one frame a source."""
        self._refresh_gallery()
        watches = [Stopwatch() for _ in frames]
        tracks = [self._follow(frame, watch) for frame, watch in zip(frames, watches, strict=True)]
        shared = Stopwatch()
        with shared.stage("align"):
            looks = self._choose(frames, tracks)
        with shared.stage("recognize"):
            swapped = self._embed(looks)
        results = []
        for frame, seen, watch in zip(frames, tracks, watches, strict=True):
            current = [swapped.get((frame.source, track.id), track) for track in seen]
            results.append(self._conclude(frame, current, {**watch.timings, **shared.timings}))
        return results

    def finish(self, source: str, at: float) -> tuple[Event, ...]:
        """The source has ended: everybody in it leaves."""
        camera = self._cameras.pop(source, None)
        if camera is None:
            return ()
        return tuple(
            self._event(EventKind.LEFT, track_id, camera.memories[track_id].announced, at, source)
            for track_id in sorted(camera.alive)
        )

    def source_event(self, kind: EventKind, frame: Frame) -> Event:
        """News about the source of a frame itself."""
        return self._event(kind, 0, None, frame.captured_at, frame.source)

    def _refresh_gallery(self) -> None:
        now = time.monotonic()
        if now - self._looked_at_gallery >= GALLERY_LOOK_S:
            self._looked_at_gallery = now
            if self._judge.gallery.refresh():
                enrolled = self._judge.gallery.counts()
                for camera in self._cameras.values():
                    for memory in camera.memories.values():
                        memory.evidence.forget_others(enrolled)

    def _follow(self, frame: Frame, watch: Stopwatch) -> list[Track]:
        camera = self._cameras.get(frame.source) or self._new_camera(frame.source)
        with watch.stage("detect"):
            detections = camera.lookout.detect(frame.image, frame.captured_at)
        with watch.stage("track"):
            return camera.tracker.update(detections, frame.captured_at)

    def _new_camera(self, source: str) -> _Camera:
        stills = source in self._stills
        rules = replace(self._rules, min_votes=1) if stills else self._rules
        full_look_s = 0.0 if stills else self._full_look_s
        lookout = Lookout(self._detector, full_look_s=full_look_s, new_face_s=self._new_face_s)
        camera = self._cameras[source] = _Camera(lookout, self._make_tracker(stills), rules)
        return camera

    def _choose(self, frames: Sequence[Frame], tracks: Sequence[Sequence[Track]]) -> list[_Look]:
        """The faces of this round worth an embedding: all broken ones, then those with the fewest votes."""
        self._round += 1
        broken: list[_Look] = []
        waiting: list[tuple[int, Frame, Track, Detection]] = []
        for frame, track in ((frame, track) for frame, seen in zip(frames, tracks, strict=True) for track in seen):
            if track.detection is None or track.state is not TrackState.CONFIRMED:
                continue
            memory = self._cameras[frame.source].memories.setdefault(track.id, TrackMemory())
            memory.look(thumbnail(frame.image, track.detection.box))
            if memory.broken:
                broken.append(self._look(frame, track, track.detection))
            elif memory.may_want_embedding(frame.captured_at, self._rules.confirm_s):
                waiting.append((memory.turn, frame, track, track.detection))
        waiting.sort(key=lambda entry: entry[0])
        looks = [self._look(*entry[1:]) for entry in waiting[:LOOKS_A_ROUND]]
        wanted = [look for look in looks if self._is_wanted(look)]
        wanted.sort(key=lambda look: (look.memory.votes, -look.quality))
        return broken + wanted[: max(EMBEDDINGS_A_ROUND - len(broken), 0)]

    def _is_wanted(self, look: _Look) -> bool:
        good = look.quality >= self._rules.min_quality
        return good and look.memory.wants_embedding(look.frame.captured_at, look.quality)

    def _look(self, frame: Frame, track: Track, detection: Detection) -> _Look:
        crop = self._embedder.crop(frame.image, detection)
        camera = self._cameras[frame.source]
        memory = camera.memories[track.id]
        memory.turn, memory.looked_at = self._round, frame.captured_at
        return _Look(camera, frame, track, detection, crop, face_quality.judge(detection, crop).score)

    def _embed(self, looks: Sequence[_Look]) -> dict[tuple[str, int], Track]:
        """Embeds, searches and votes; gives the tracks that turned out to be somebody else since the frame before."""
        if not looks:
            return {}
        crops = [
            best_crop(self._detector, self._embedder, look.frame.image, look.detection, look.crop) for look in looks
        ]
        embeddings = self._embedder.embed(np.stack(crops))
        swapped = {}
        for look, embedding, verdict in zip(looks, embeddings, self._judge.vote(embeddings), strict=True):
            memory = look.memory
            if memory.broken and memory.distance_to(embedding) > self._judge.limit:
                track = look.camera.tracker.split(look.track.id)
                swapped[look.frame.source, look.track.id] = track
                memory = look.camera.memories[track.id] = TrackMemory(thumbnail=memory.thumbnail)
            if look.quality >= self._rules.min_quality:
                memory.add(embedding, verdict, look.frame.captured_at, look.quality)
            memory.broken = False
        return swapped

    def _conclude(self, frame: Frame, tracks: Sequence[Track], laps: dict[str, float]) -> FrameResult:
        camera = self._cameras[frame.source]
        known = [track for track in tracks if track.state is not TrackState.TENTATIVE]
        seen = [track for track in known if track.detection is not None]
        verdicts = self._verdicts(camera, seen)
        named = tuple(replace(track, identity=verdicts.get(track.id)) for track in seen)
        events = self._news(camera, frame, {track.id for track in known}, named)
        laps["age"] = (time.monotonic() - frame.received_at) * 1e3
        return FrameResult(frame, named, events, laps)

    def _verdicts(self, camera: _Camera, tracks: Sequence[Track]) -> dict[int, Identity]:
        claims = {}
        for track in tracks:
            memory = camera.memories.get(track.id)
            if memory is not None and memory.votes:
                claims[track.id] = memory.evidence.verdict(
                    min_votes=camera.rules.min_votes, min_share=camera.rules.min_share
                )
        return settle(claims)

    def _news(self, camera: _Camera, frame: Frame, alive: set[int], seen: Sequence[Track]) -> tuple[Event, ...]:
        """What changed since the frame before. A face out of sight for a moment keeps what was told of it."""
        at, source = frame.captured_at, frame.source
        events = [
            self._event(EventKind.LEFT, track_id, camera.memories[track_id].announced, at, source)
            for track_id in sorted(camera.alive - alive)
        ]
        for track in seen:
            memory = camera.memories.setdefault(track.id, TrackMemory())
            if track.id not in camera.alive:
                events.append(self._event(EventKind.APPEARED, track.id, None, at, source))
            before = memory.announced.person if memory.announced else None
            person = track.identity.person if track.identity else None
            if before is not None and person != before:
                events.append(self._event(EventKind.REVOKED, track.id, memory.announced, at, source))
            if person is not None and person != before:
                events.append(self._event(EventKind.IDENTIFIED, track.id, track.identity, at, source))
            memory.announced = track.identity if person is not None else None
        camera.alive = alive & (camera.alive | {track.id for track in seen})
        camera.memories = {track_id: camera.memories[track_id] for track_id in camera.alive}
        return tuple(events)

    def _event(self, kind: EventKind, track_id: int, identity: Identity | None, at: float, source: str) -> Event:
        model = f"{self._embedder.name}:{self._embedder.fingerprint}"
        revision = self._judge.gallery.revision
        return Event(kind, track_id, identity, at, source, self._embedder.backend, model, revision)
