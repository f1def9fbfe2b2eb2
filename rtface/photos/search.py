"""Where somebody is in a library: by name, as the gallery votes, or by a face, within a distance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.voting import settle
from rtface.photos.library import LibraryFaces
from rtface.pipeline.judge import Judge


@dataclass(frozen=True, slots=True)
class Hit:
    """A face of a library, by its number, and its squared L2 distance to who was looked for, 0..4."""

    face: int
    distance: float


def find_person(faces: LibraryFaces, judge: Judge, person: str) -> list[Hit]:
    """The faces that the gallery takes for somebody, nearest first; one person is in a photo once."""
    votes = judge.vote(faces.rows) if len(faces.rows) else []
    hits = []
    for _, group in groupby(range(len(votes)), key=lambda number: int(faces.photos[number])):
        settled = settle({number: votes[number] for number in group})
        hits += [Hit(number, found.distance) for number, found in settled.items() if found.person == person]
    return sorted(hits, key=lambda hit: (hit.distance, hit.face))


def find_face(faces: LibraryFaces, embedding: NDArray[np.float32], limit: float) -> list[Hit]:
    """The faces within a distance of a (D,) unit vector, nearest first."""
    distances = np.clip(2 - 2 * (faces.rows @ embedding), 0, 4)
    order = np.argsort(distances, kind="stable")
    return [Hit(int(number), float(distances[number])) for number in order if distances[number] <= limit]
