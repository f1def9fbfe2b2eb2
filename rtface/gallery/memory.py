"""What one process holds of the gallery: whose each row is, and an index that follows the file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeGuard

import numpy as np

from rtface.errors import GalleryBroken
from rtface.gallery.cache import GraphCache, RowDigest
from rtface.gallery.database import Database
from rtface.gallery.index import ExactIndex, HnswIndex, Index, IndexKind, Labels, Rows, choose
from rtface.types import Neighbor

log = logging.getLogger(__name__)

NORM_TOLERANCE = 1e-3
"""On the squared norm; float32 arithmetic stays a thousand times closer."""


class GalleryMemory:
    """Rows and index as of one revision. The index is made when first searched."""

    def __init__(self, database: Database, cache: GraphCache, size: int, kind: IndexKind) -> None:
        self.revision = -1
        self._database = database
        self._cache = cache
        self._size = size
        self._kind = kind
        self._names: dict[int, str] = {}
        self._person_of: dict[int, int] = {}
        self._rows_of: Counter[int] = Counter()
        self._last = 0
        self._counts: Mapping[str, int] = {}
        self._index: Index | None = None
        self._digest: RowDigest | None = None
        self._saved_rows = 0
        self.follow()

    def __len__(self) -> int:
        return len(self._person_of)

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows of each person."""
        return self._counts

    def follow(self) -> bool:
        """Takes in what has changed in the file; True when something had."""
        with self._database.reading():
            return self._follow()

    def _follow(self) -> bool:
        revision, rewritten = self._database.revisions()
        if revision == self.revision:
            return False
        known, before = self._last, self._person_of
        if rewritten > self.revision:
            self._names, self._person_of, self._rows_of, self._last = {}, {}, Counter(), 0
        new = self._take(self._database.rows(_OWNERS, self._last, types=(int, int, str)))
        if self._index is not None:
            self._shrink(
                self._index, [] if before is self._person_of else sorted(before.keys() - self._person_of.keys())
            )
            self._extend(self._index, known, [picture for picture in new if picture > known])
        self._counts = MappingProxyType({self._names[person]: rows for person, rows in self._rows_of.items()})
        self.revision = revision
        return True

    def _take(self, owners: Iterable[tuple[int, int, str]]) -> list[int]:
        new = []
        for picture, person, name in owners:
            self._person_of[picture] = person
            self._names[person] = name
            self._rows_of[person] += 1
            self._last = picture
            new.append(picture)
        return new

    def _shrink(self, index: Index, gone: Sequence[int]) -> None:
        if gone:
            index.remove(np.array(gone, np.int64))
            self._digest = None

    def _extend(self, index: Index, after: int, expected: Sequence[int]) -> None:
        labels, rows = self._vectors(after, expected)
        index.add(labels, rows)
        if self._digest is not None:
            self._digest.update(labels, rows)

    def _vectors(self, after: int, expected: Sequence[int]) -> tuple[Labels, Rows]:
        """Labels and unit rows of the pictures after this one, in their order.

        Raises:
            GalleryBroken: they are not the expected ones, or not unit vectors.
        """
        found = self._database.rows(
            "SELECT picture_id, vector FROM embeddings WHERE picture_id > ? ORDER BY picture_id", after
        )
        labels = np.array([row[0] for row in found], np.int64)
        blobs = [blob for _, blob in found if is_vector(blob, self._size)]
        if labels.tolist() != list(expected) or len(blobs) != len(labels):
            raise self._broken("pictures and embeddings do not match")
        rows = np.frombuffer(b"".join(blobs), "<f4").astype(np.float32).reshape(len(labels), self._size)
        if not are_units(rows).all():
            raise self._broken("an embedding is not a unit vector")
        return labels, rows

    def _broken(self, fault: str) -> GalleryBroken:
        return GalleryBroken(
            f"The gallery {self._database.path} is damaged: {fault}. rtface gallery check says where; remove "
            "the person it names and enrol again."
        )

    @property
    def index(self) -> Index:
        """The index of all rows; made, or read from its cache, when first asked for."""
        if self._index is None:
            with self._database.reading():
                self._follow()
                labels, rows = self._vectors(0, list(self._person_of))
            self._index = self._make_index(labels, rows)
        return self._index

    def _make_index(self, labels: Labels, rows: Rows) -> Index:
        if choose(self._kind, len(labels)) == "exact":
            exact = ExactIndex(self._size)
            exact.add(labels, rows)
            return exact
        self._digest = RowDigest()
        self._digest.update(labels, rows)
        graph = self._cache.load(labels, rows)
        if graph is not None:
            self._saved_rows = len(graph)
            graph.add(labels[len(graph) :], rows[len(graph) :])
            return graph
        log.info("building the index of %d rows", len(labels))
        graph = HnswIndex(self._size, room=len(labels))
        graph.add(labels, rows)
        self._save(graph)
        return graph

    def search(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """For each of N unit rows its at most k nearest rows, nearest first."""
        labels, distances = self.index.search(queries, k)
        return [
            [Neighbor(self._names[self._person_of[label]], distance) for label, distance in zip(*found, strict=True)]
            for found in zip(labels.tolist(), distances.tolist(), strict=True)
        ]

    def save(self) -> None:
        """Writes the index's cache if it has grown; what cannot be written is built again next time."""
        if isinstance(self._index, HnswIndex):
            self._save(self._index)

    def _save(self, graph: HnswIndex) -> None:
        if self._digest is None or self._digest.rows == self._saved_rows or not self._database.writable:
            return
        try:
            # Under the write lock, so that nobody is removed between the look and the renaming.
            with self._database.writing():
                _, rewritten = self._database.revisions()
                if rewritten <= self.revision:
                    self._cache.save(graph, self._digest, self.revision)
                    self._saved_rows = self._digest.rows
        except OSError as error:
            log.warning("the index of %s is not kept and will be built again: %s", self._database.path, error)


_OWNERS = """SELECT pictures.id, people.id, people.name FROM pictures JOIN people ON people.id = pictures.person_id
    WHERE pictures.id > ? ORDER BY pictures.id"""


def is_vector(value: object, size: int) -> TypeGuard[bytes]:
    """Whether a value on file has the form of an embedding; in a damaged file it can be anything."""
    return isinstance(value, bytes) and len(value) == 4 * size


def are_units(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,) whether each of (N, D) rows has norm 1; one with a NaN or an infinity has not."""
    with np.errstate(invalid="ignore"):  # the cast complains of signalling NaNs, which a damaged file may hold
        double = rows.astype(np.float64)
    squares = np.einsum("nd,nd->n", double, double)
    return np.asarray(np.abs(squares - 1) < NORM_TOLERANCE)
