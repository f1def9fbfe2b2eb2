"""One camera: who is before it, what is remembered of them, and what of it is news."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from rtface.gallery.evidence import decide
from rtface.gallery.voting import settle
from rtface.interfaces import Tracker
from rtface.pipeline.lookout import Lookout
from rtface.pipeline.memory import TrackMemory
from rtface.types import Claim, Decision, Event, EventKind, Identity, Rules, Track, TrackState


class DecidedBy(NamedTuple):
    """What every event names as its grounds; fields of ``Event`` in their order."""

    backend: str
    model: str
    gallery_revision: int


class EventNumbers:
    """Ids of the events of one run: twelve random hex digits that are the run's, and a count."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(6)
        self._told = count(1)

    def next(self) -> str:
        """Never the same twice, in no run."""
        return f"{self._run}-{next(self._told)}"


@dataclass(slots=True)
class Camera:
    """State kept of one source.

    Attributes:
        source: its name.
        lookout, tracker: its own.
        rules: what a name needs here.
        numbers: for the events of all cameras.
        memories: of its tracks, by id.
        alive: ids of the tracks that were told of and have not left.
    """

    source: str
    lookout: Lookout
    tracker: Tracker
    rules: Rules
    numbers: EventNumbers
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
        return settle(self._claims(tracks))

    def _claims(self, tracks: Sequence[Track]) -> dict[int, Identity]:
        """What each track's own looks say."""
        memories = {track.id: self.memories[track.id] for track in tracks if track.id in self.memories}
        return {
            track_id: memory.evidence.verdict(self.rules).identity
            for track_id, memory in memories.items()
            if memory.votes
        }

    def _decision(self, track: Track, seen: Sequence[Track]) -> Decision:
        """What the verdict of a track in this frame rests on."""
        claims = self._claims(seen)
        own = claims.pop(track.id)
        rivals = tuple(
            Claim(track_id, claim.share, claim.distance)
            for track_id, claim in claims.items()
            if claim.person is not None and claim.person == own.person
        )
        return decide(self.memories[track.id].evidence.looks, self.rules, track_id=track.id, rivals=rivals)

    def _news(self, alive: set[int], seen: Sequence[Track], at: float, grounds: DecidedBy) -> tuple[Event, ...]:
        """What changed since the frame before. A face out of sight for a moment keeps what was told of it."""
        events = [self._left(track_id, at, grounds) for track_id in sorted(self.alive - alive)]
        for track in seen:
            memory = self.memories.setdefault(track.id, TrackMemory())
            if track.id not in self.alive:
                events.append(self._event(EventKind.APPEARED, track.id, None, at, grounds))
            before = memory.announced.person if memory.announced else None
            person = track.identity.person if track.identity else None
            if before is not None and person != before:
                decision = self._decision(track, seen)
                events.append(self._event(EventKind.REVOKED, track.id, memory.announced, at, grounds, decision))
            if person is not None and person != before:
                decision = self._decision(track, seen)
                events.append(self._event(EventKind.IDENTIFIED, track.id, track.identity, at, grounds, decision))
            memory.announced = track.identity if person is not None else None
        self.alive = alive & (self.alive | {track.id for track in seen})
        self.memories = {track_id: self.memories[track_id] for track_id in self.alive}
        return tuple(events)

    def _left(self, track_id: int, at: float, grounds: DecidedBy) -> Event:
        return self._event(EventKind.LEFT, track_id, self.memories[track_id].announced, at, grounds)

    def _event(
        self,
        kind: EventKind,
        track_id: int,
        identity: Identity | None,
        at: float,
        grounds: DecidedBy,
        decision: Decision | None = None,
    ) -> Event:
        return Event(kind, track_id, identity, at, self.source, *grounds, self.numbers.next(), decision)
