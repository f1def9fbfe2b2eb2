"""Somebody looked for in a library, by name and by face."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.photos.library import LibraryFaces
from rtface.photos.search import Hit, find_face, find_person
from rtface.pipeline.judge import Judge
from rtface.types import Identity
from tests.fakes import direction


def faces(*photos: int) -> LibraryFaces:
    count = len(photos)
    rows = np.stack([direction(10 * number + 10) for number in range(count)])
    boxes, qualities = np.zeros((count, 4), np.float32), np.ones(count, np.float32)
    return LibraryFaces([f"{photo}.jpg" for photo in photos], np.array(photos), boxes, qualities, rows)


class Voter(Judge):
    """Says what it is told to."""

    def __init__(self, *said: Identity) -> None:
        self._said = said

    def vote(self, embeddings: np.ndarray) -> list[Identity]:
        assert len(embeddings) == len(self._said)
        return list(self._said)


def test_face_is_found_within_the_limit_nearest_first() -> None:
    library = faces(1, 2, 3)
    squares = 2 - 2 * library.rows @ direction(20)
    limit = float(np.sort(squares)[1]) + 1e-4
    found = find_face(library, direction(20), limit)
    assert [hit.face for hit in found] == np.argsort(squares)[:2].tolist()
    assert found[0].distance == pytest.approx(0, abs=1e-5)


def test_person_is_found_where_the_gallery_votes_for_them() -> None:
    ada, ben = Identity("Ada", 0.5, 1.0), Identity("Ben", 0.2, 1.0)
    nearer, nobody = Identity("Ada", 0.3, 1.0), Identity(None, 1.5, 0.0)
    found = find_person(faces(1, 2, 3, 4), Voter(ada, ben, nearer, nobody), "Ada")
    assert found == [Hit(2, 0.3), Hit(0, 0.5)]


def test_person_is_in_a_photo_once() -> None:
    found = find_person(faces(1, 1), Voter(Identity("Ada", 0.5, 0.8), Identity("Ada", 0.3, 1.0)), "Ada")
    assert found == [Hit(1, 0.3)]


def test_empty_library_has_nobody() -> None:
    empty = LibraryFaces([], np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), EMPTY)
    assert find_person(empty, Voter(), "Ada") == []
    assert find_face(empty, direction(10), 4.0) == []


EMPTY = np.zeros((0, 8), np.float32)
