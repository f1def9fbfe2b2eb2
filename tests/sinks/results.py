"""Results for sinks to write."""

from __future__ import annotations

import math

import numpy as np

from rtface.types import (
    Detection,
    Event,
    EventKind,
    Frame,
    FrameResult,
    Identity,
    Image,
    Neighbor,
    Track,
    TrackState,
)

ADA = Identity("Ada", 0.6234567, 5 / 6, tuple(Neighbor("Ada", 0.6234567) for _ in range(6)))
NOBODY = Identity(None, math.inf, 0.0)


def picture(level: int = 90, size: tuple[int, int] = (96, 72)) -> Image:
    """A grey, read-only picture of (width, height)."""
    image = np.full((size[1], size[0], 3), level, np.uint8)
    image.flags.writeable = False
    return image


def track(number: int, identity: Identity | None) -> Track:
    box = np.array([10.04, -0.01, 40.26, 50.0], np.float32)
    seen = Detection(box, np.zeros((5, 2), np.float32), 0.9)
    return Track(number, box, TrackState.CONFIRMED, seen, 0.0, 0.1, identity)


def event(kind: EventKind, identity: Identity | None = None, *, at: float = 1.23456789, source: str = "film") -> Event:
    about = 0 if kind in (EventKind.SOURCE_LOST, EventKind.SOURCE_BACK) else 7
    return Event(kind, about, identity, at, source, "onnxruntime", "facenet:1f2e3d4c", 12, "a1-7")


def result(
    index: int = 0,
    *tracks: Track,
    at: float | None = None,
    source: str = "film",
    image: Image | None = None,
    events: tuple[Event, ...] = (),
    repeated: bool = False,
) -> FrameResult:
    when = index / 25 if at is None else at
    shown = Frame(picture() if image is None else image, index, when, 0.0, source)
    return FrameResult(shown, tracks, events, {"detect": 4.98765, "age": 12.0}, 3, repeated)
