"""What travels through one round of the loop: frames with their faces, the faces chosen, their rows to come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.errors import RtfaceError
from rtface.interfaces import PendingRows
from rtface.pipeline.camera import Camera
from rtface.pipeline.memory import TrackMemory
from rtface.pipeline.timing import Stopwatch
from rtface.types import Detection, Frame, Image, Track


@dataclass(slots=True)
class Look:
    """One face chosen to be embedded."""

    camera: Camera
    frame: Frame
    track: Track
    detection: Detection
    crop: Image
    quality: float

    @property
    def memory(self) -> TrackMemory:
        """Of its track."""
        return self.camera.memories[self.track.id]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A frame, the faces found in it, and the stopwatch that has timed this."""

    frame: Frame
    detections: Sequence[Detection]
    watch: Stopwatch


@dataclass(slots=True, eq=False)
class Round:
    """Frames that are tracked and whose faces are being embedded.

    Attributes:
        sightings: at most one a source.
        tracks: of each sighting.
        looks: the faces that are being embedded.
        rows: theirs, until collected; None when there are none.
        watch: times what the frames share.
        under_way: whether the embedder computes while others go on.
    """

    sightings: Sequence[Sighting]
    tracks: Sequence[Sequence[Track]]
    looks: Sequence[Look]
    rows: PendingRows | None
    watch: Stopwatch
    under_way: bool

    def collect(self) -> NDArray[np.float32] | None:
        """(N, size) the rows of ``looks``, once; None when there are none."""
        rows, self.rows = self.rows, None
        return None if rows is None else rows.collect()

    def abandon(self) -> None:
        """Leaves no run under way that nobody waits for; nothing to do after ``collect``."""
        with suppress(RtfaceError):  # what ended the round is being told already
            self.collect()
