"""What the loop remembers of a track, and when it looks at its face again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.evidence import WINDOW, Evidence
from rtface.types import Ballot, Identity

EAGER_VOTES = 5
"""A new track is embedded in every frame until it has cast this many votes."""
UNDECIDED_S = 0.5
"""An undecided track is looked at again after this long, or at once when its face got clearly better."""
BETTER = 1.15
"""How much better a crop has to be than the best one so far to be worth an embedding at once ..."""
LOOK_S = 0.1
"""... and how often a face is cut out to see whether it is: 0.5 ms each."""
SAME_THUMBNAIL = 0.4
"""Correlation with the face of the frame before, below which something happened: a cut, a swap, a hand."""


@dataclass(slots=True)
class TrackMemory:
    """Evidence and looks of one track.

    Attributes:
        evidence: what its embeddings say.
        embeddings: (D,) of each look in the evidence, oldest first.
        announced: the verdict last told in an event, or None.
        embedded_at: seconds of its last embedding.
        best_quality: of its embeddings, 0..1.
        votes: embeddings counted since it began; the evidence forgets old ones.
        centroid: (D,) sum of its embeddings, not normalised; None before the first.
        thumbnail: (256,) its face in the frame before.
        turn: number of the round in which its face was last cut out.
        looked_at: seconds when that was.
        broken: the face no longer looks like the frame before and has not been checked since.
    """

    evidence: Evidence = field(default_factory=Evidence)
    embeddings: deque[NDArray[np.float32]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    announced: Identity | None = None
    embedded_at: float = -np.inf
    best_quality: float = 0.0
    votes: int = 0
    centroid: NDArray[np.float32] | None = None
    thumbnail: NDArray[np.float32] | None = None
    turn: int = 0
    looked_at: float = -np.inf
    broken: bool = False

    def look(self, thumbnail: NDArray[np.float32]) -> None:
        """Notes how the face looks now and whether that breaks with the frame before."""
        before, self.thumbnail = self.thumbnail, thumbnail
        if before is None or not before.any() or not thumbnail.any():
            return  # A flat patch, such as a face in the dark, has no looks to compare.
        if float(before @ thumbnail) < SAME_THUMBNAIL:
            self.broken = True

    def may_want_embedding(self, at: float, confirm_s: float) -> bool:
        """Whether this face is worth cutting out at all: not while it has a name that was confirmed lately."""
        if self.broken or self.votes < EAGER_VOTES:
            return True
        named_lately = self.announced is not None and at - self.embedded_at < confirm_s
        return not named_lately and at - self.looked_at >= LOOK_S

    def wants_embedding(self, at: float, quality: float) -> bool:
        """Whether a crop of this quality is worth an embedding now."""
        if self.votes < EAGER_VOTES or self.announced is not None:
            return True
        return at - self.embedded_at >= UNDECIDED_S or quality > self.best_quality * BETTER

    def distance_to(self, embedding: NDArray[np.float32]) -> float:
        """Squared L2 distance of an embedding to the middle of the track's own; 0 before the first."""
        if self.centroid is None:
            return 0.0
        middle = self.centroid / max(float(np.linalg.norm(self.centroid)), 1e-12)
        return float(np.clip(2 - 2 * float(middle @ embedding), 0, 4))

    @property
    def announced_as(self) -> str | None:
        """The name last told in an event; None: none."""
        return None if self.announced is None else self.announced.person

    @property
    def revision(self) -> int:
        """Of the gallery as the look knew it that knew the oldest; -1 before the first."""
        return min((look.gallery_revision for look in self.evidence.looks), default=-1)

    def judge_again(self, said: Sequence[Ballot]) -> None:
        """Puts what the gallery now says of each of ``embeddings`` in place of what it said."""
        before, self.evidence = self.evidence.looks, Evidence()
        for look, now in zip(before, said, strict=True):
            self.evidence.add(replace(now, at=look.at, quality=look.quality))

    def add(self, embedding: NDArray[np.float32], look: Ballot, at: float, quality: float) -> None:
        """Counts one more embedding and what it says."""
        self.evidence.add(replace(look, at=at, quality=quality))
        self.embeddings.append(embedding)
        self.votes += 1
        self.embedded_at = at
        self.best_quality = max(self.best_quality, quality)
        self.centroid = embedding if self.centroid is None else self.centroid + embedding
