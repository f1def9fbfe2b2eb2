"""Frames to verdicts: detect, track, choose whom to embed, embed all cameras' faces at once, search, vote, settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from rtface.embedding import quality as face_quality
from rtface.embedding.align import thumbnail
from rtface.embedding.crops import best_crop, best_detection
from rtface.interfaces import Detector, Embedder, FrameEmbedder, PendingRows, Tracker
from rtface.pipeline.camera import Camera, DecidedBy, EventNumbers
from rtface.pipeline.gallery_watch import GalleryWatch
from rtface.pipeline.headroom import Headroom
from rtface.pipeline.judge import Judge
from rtface.pipeline.lookout import Lookout
from rtface.pipeline.memory import TrackMemory
from rtface.pipeline.round import Look, Round, Sighting
from rtface.pipeline.timing import Stopwatch
from rtface.types import Ballot, Detection, Event, EventKind, Frame, FrameResult, Rules, Track, TrackState

EMBEDDINGS_A_ROUND = 4
LOOKS_A_ROUND = 6
"""At most so many faces of all cameras are embedded at once, and cut out to be judged worth it, so that a crowd walking
in costs many short rounds and not one long one. Faces take turns. Broken tracks are not held back: their names hang on
it."""


@dataclass(frozen=True, slots=True)
class TrackRules:
    """How a track's evidence becomes a name; the settings of the same names."""

    min_votes: int
    min_quality: float
    confirm_s: float


class Recognizer:
    """Turns frames of any number of sources into results, one call at a time.

    Feed it a frame of each source that has one; all their faces share one run of the embedding network. ``process``
    does all of it. In its three steps, ``detect``, ``begin`` and ``conclude``, the next round's frames may be detected
    between ``begin`` and ``conclude``, and the results stay the same.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Builds nothing yet.

        Args:
            detector, embedder, judge: the parts, shared by all sources.
            rules: for frames of a scene.
            make_tracker: gives each source its own; told whether the source's pictures are stills.
            stills: names of sources whose every picture is judged by itself, on one look.
            full_look_s: how often a scene is searched whole, and not only where it has changed; 0 is every frame.
            new_face_s: how often a changed part with no known face is searched; 0 is every frame.
            clock: gives seconds, as ``Frame.received_at`` counts them.
        """
        self._detector = detector
        self._embedder = embedder
        self._judge = judge
        self._watch = GalleryWatch(judge)
        self._rules = rules
        self._make_tracker = make_tracker
        self._stills = stills
        self._full_look_s, self._new_face_s = full_look_s, new_face_s
        self._clock = clock
        self._headroom = Headroom()
        self._cameras: dict[str, Camera] = {}
        self._round = 0
        self._numbers = EventNumbers()

    def serve_with(self, detector: Detector, embedder: Embedder) -> None:
        """Goes on with other engines of the same networks; every round begun has been concluded."""
        self._detector, self._embedder = detector, embedder
        for camera in self._cameras.values():
            camera.lookout.detector = detector

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Results for these frames, in their order; at most one frame a source."""
        return self.conclude(self.begin([self.detect(frame) for frame in frames]))

    def detect(self, frame: Frame) -> Sighting:
        """Finds the faces. Hangs on the source's frames before and on no verdict, so it may run ahead of one."""
        camera = self._cameras.get(frame.source) or self._new_camera(frame.source)
        watch, began = Stopwatch(), self._clock()
        with watch.stage("detect"):
            detections = camera.lookout.detect(frame.image, frame.captured_at)
        self._headroom.detected(self._clock() - began)
        return Sighting(frame, detections, watch)

    def begin(self, sightings: Sequence[Sighting]) -> Round:
        """Tracks, chooses whom to embed and launches that; the round before has been concluded."""
        self._watch.step(self._clock(), self._cameras.values(), self._rules_of)
        tracks = []
        for seen in sightings:
            with seen.watch.stage("track"):
                tracker = self._cameras[seen.frame.source].tracker
                tracks.append(tracker.update(seen.detections, seen.frame.captured_at))
        watch = Stopwatch()
        with watch.stage("align"):
            looks = self._choose([seen.frame for seen in sightings], tracks)
        under_way = self._embedder.asynchronous and bool(looks)
        with watch.stage("recognize"):
            rows = self._launch(looks) if looks else None
        return Round(sightings, tracks, looks, rows, watch, under_way)

    def has_time(self) -> bool:
        """Whether a frame more can be detected, as far as one can tell, before the embedding under way is done."""
        return self._headroom.fits(self._clock())

    def conclude(self, begun: Round) -> list[FrameResult]:
        """Waits for the embeddings, searches and votes: results for the round's frames, in their order."""
        with begun.watch.stage("recognize"):
            swapped = self._heed(begun)
        results = []
        for seen, tracks in zip(begun.sightings, begun.tracks, strict=True):
            frame = seen.frame
            current = [swapped.get((frame.source, track.id), track) for track in tracks]
            named, events = self._cameras[frame.source].tell(current, frame.captured_at, self._grounds())
            laps = {**seen.watch.timings, **begun.watch.timings, "age": (self._clock() - frame.received_at) * 1e3}
            results.append(FrameResult(frame, named, events, laps, notice=self._watch.notice))
        return results

    def finish(self, source: str, at: float) -> tuple[Event, ...]:
        """The source has ended: everybody in it leaves."""
        camera = self._cameras.pop(source, None)
        return () if camera is None else camera.farewells(at, self._grounds())

    def source_event(self, kind: EventKind, frame: Frame) -> Event:
        """News about the source of a frame itself."""
        return Event(kind, 0, None, frame.captured_at, frame.source, *self._grounds(), self._numbers.next())

    def _rules_of(self, source: str) -> Rules:
        stills = source in self._stills
        return self._judge.rules(1 if stills else self._rules.min_votes, still=stills)

    def _new_camera(self, source: str) -> Camera:
        stills = source in self._stills
        full_look_s = 0.0 if stills else self._full_look_s
        lookout = Lookout(self._detector, full_look_s=full_look_s, new_face_s=self._new_face_s)
        camera = Camera(source, lookout, self._make_tracker(stills), self._rules_of(source), self._numbers)
        self._cameras[source] = camera
        return camera

    def _choose(self, frames: Sequence[Frame], tracks: Sequence[Sequence[Track]]) -> list[Look]:
        """The faces of this round worth an embedding: all broken ones, then those with the fewest votes."""
        self._round += 1
        broken: list[Look] = []
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

    def _is_wanted(self, look: Look) -> bool:
        good = look.quality >= self._rules.min_quality
        return good and look.memory.wants_embedding(look.frame.captured_at, look.quality)

    def _look(self, frame: Frame, track: Track, detection: Detection) -> Look:
        crop = self._embedder.crop(frame.image, detection)
        camera = self._cameras[frame.source]
        memory = camera.memories[track.id]
        memory.turn, memory.looked_at = self._round, frame.captured_at
        return Look(camera, frame, track, detection, crop, face_quality.judge(detection, crop).score)

    def _launch(self, looks: Sequence[Look]) -> PendingRows:
        detector, embedder = self._detector, self._embedder
        if isinstance(embedder, FrameEmbedder):
            places = [best_detection(detector, embedder, look.frame.image, look.detection) for look in looks]
            frames = [look.frame.image for look in looks]
            rows = embedder.launch_in(list(zip(frames, places, strict=True)))
        else:
            crops = [best_crop(detector, embedder, look.frame.image, look.detection, look.crop) for look in looks]
            rows = embedder.launch(np.stack(crops))
        self._headroom.launched(self._clock())
        return rows

    def _heed(self, begun: Round) -> dict[tuple[str, int], Track]:
        """Votes with the round's embeddings; gives the tracks that are somebody else than in the frame before."""
        embeddings = begun.collect()
        if embeddings is None:
            return {}
        self._headroom.collected(self._clock())
        ballots: Sequence[Ballot | None] = [None] * len(begun.looks)
        with self._watch.outage_told():
            ballots = self._judge.look(embeddings)
        swapped = {}
        for look, embedding, said in zip(begun.looks, embeddings, ballots, strict=True):
            memory = look.memory
            if memory.broken and memory.distance_to(embedding) > self._judge.limit:
                track = look.camera.tracker.split(look.track.id)
                swapped[look.frame.source, look.track.id] = track
                memory = look.camera.memories[track.id] = TrackMemory(thumbnail=memory.thumbnail)
            if said is not None and look.quality >= self._rules.min_quality:
                memory.add(embedding, said, look.frame.captured_at, look.quality)
            memory.broken = False
        return swapped

    def _grounds(self) -> DecidedBy:
        model = f"{self._embedder.name}:{self._embedder.fingerprint}"
        return DecidedBy(self._embedder.backend, model, self._judge.gallery.revision)
