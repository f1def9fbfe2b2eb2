"""One camera: who is before it, what is remembered of them, and what of it is news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rtface.gallery.voting import settle
from rtface.interfaces import Tracker
from rtface.pipeline.lookout import Lookout
from rtface.pipeline.memory import TrackMemory
from rtface.types import Event, EventKind, Identity, Track, TrackState


class DecidedBy(NamedTuple):
    """What every event names as its grounds; the last fields of ``Event``."""

    backend: str
    model: str
    gallery_revision: int


@dataclass(slots=True)
class Camera:
    """State kept of one source.

    Attributes:
        source: its name.
        lookout, tracker: its own.
        min_votes, min_share: what a name needs here.
        memories: of its tracks, by id.
        alive: ids of the tracks that were told of and have not left.
    """

    source: str
    lookout: Lookout
    tracker: Tracker
    min_votes: int
    min_share: float
    memories: dict[int, TrackMemory] = field(default_factory=dict)
    alive: set[int] = field(default_factory=set)

    def tell(
        self, tracks: Sequence[Track], at: float, grounds: DecidedBy
    ) -> tuple[tuple[Track, ...], tuple[Event, ...]]:
        """The tracks seen in a frame, with their names, and what has changed since the frame before."""
        known = [track for track in tracks if track.state is not TrackState.TENTATIVE]
        seen = [track for track in known if track.detection is not None]
        verdicts = self._verdicts(seen)
        named = tuple(replace(track, identity=verdicts.get(track.id)) for track in seen)
        return named, self._news({track.id for track in known}, named, at, grounds)

    def farewells(self, at: float, grounds: DecidedBy) -> tuple[Event, ...]:
        """The camera has ended: everybody leaves."""
        return tuple(self._left(track_id, at, grounds) for track_id in sorted(self.alive))

    def _verdicts(self, tracks: Sequence[Track]) -> dict[int, Identity]:
        claims = {}
        for track in tracks:
            memory = self.memories.get(track.id)
            if memory is not None and memory.votes:
                claims[track.id] = memory.evidence.verdict(min_votes=self.min_votes, min_share=self.min_share)
        return settle(claims)

    def _news(self, alive: set[int], seen: Sequence[Track], at: float, grounds: DecidedBy) -> tuple[Event, ...]:
        """What changed since the frame before. A face out of sight for a moment keeps what was told of it."""
        events = [self._left(track_id, at, grounds) for track_id in sorted(self.alive - alive)]
        for track in seen:
            memory = self.memories.setdefault(track.id, TrackMemory())
            if track.id not in self.alive:
                events.append(Event(EventKind.APPEARED, track.id, None, at, self.source, *grounds))
            before = memory.announced.person if memory.announced else None
            person = track.identity.person if track.identity else None
            if before is not None and person != before:
                events.append(Event(EventKind.REVOKED, track.id, memory.announced, at, self.source, *grounds))
            if person is not None and person != before:
                events.append(Event(EventKind.IDENTIFIED, track.id, track.identity, at, self.source, *grounds))
            memory.announced = track.identity if person is not None else None
        self.alive = alive & (self.alive | {track.id for track in seen})
        self.memories = {track_id: self.memories[track_id] for track_id in self.alive}
        return tuple(events)

    def _left(self, track_id: int, at: float, grounds: DecidedBy) -> Event:
        return Event(EventKind.LEFT, track_id, self.memories[track_id].announced, at, self.source, *grounds)
