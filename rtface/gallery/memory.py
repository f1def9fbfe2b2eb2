"""What one process holds of the gallery: whose each row is, and an index that follows the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import date

import numpy as np

from rtface.errors import GalleryBroken
from rtface.gallery.cache import GraphCache, RowDigest
from rtface.gallery.check import index_problems
from rtface.gallery.database import Database, Revisions, revisions
from rtface.gallery.index import ExactIndex, HnswIndex, Index, IndexKind, Labels, Rows, choose
from rtface.gallery.people import BATCH, SHOWN, stored_vectors
from rtface.gallery.roster import Roster
from rtface.gallery.vectors import VectorForm, are_units
from rtface.types import Neighbor

log = logging.getLogger(__name__)

ROWS_AT_ONCE = {"exact": 4096, "hnsw": 16}
"""New rows one ``follow`` of a running program takes into its index: some 20 ms, so that no picture waits for an import
of thousands."""


class GalleryMemory:
    """Rows and index as of one revision. The index is made when first searched."""

    def __init__(
        self, database: Database, cache: GraphCache, form: VectorForm, kind: IndexKind, today: Callable[[], date]
    ) -> None:
        """Args: ``today`` is the local date; people whose consent has ended before it are not here."""
        self.revision = -1
        self._database = database
        self._cache = cache
        self._form = form
        self._kind = kind
        self._today = today
        self._day = today()
        self._roster = Roster()
        self._last = 0
        self._index: Index | None = None
        self._digest: RowDigest | None = None
        self._saved_rows = 0
        self.follow()

    def __len__(self) -> int:
        return len(self._roster)

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows that speak for each person."""
        return self._roster.counts

    def follow(self, *, at_once: bool = True) -> bool:
        """See ``Searcher``."""
        with self._database.reading():
            return self._follow(at_once)

    def _follow(self, at_once: bool = True) -> bool:
        now, today = revisions(self._database), self._today()
        if now.current == self.revision and today == self._day:
            return False
        before = self.revision, self._roster.labels
        changed = self._changed_since(now)
        hidden = self._hidden_since(today)
        self._day = today
        if changed is None:
            self._read_again()
        elif changed or hidden:
            self._update({*changed, *hidden})
        self._append(now.current, None if at_once or self._index is None else ROWS_AT_ONCE[self._index.kind])
        return before[0] != self.revision or before[1] is not self._roster.labels

    def _changed_since(self, now: Revisions) -> list[int] | None:
        """People changed otherwise than by new rows; None: the log does not say."""
        if now.rewritten <= self.revision or not len(self._roster):
            return []
        logged = self._database.rows(
            "SELECT DISTINCT person_id FROM changes WHERE revision > ?", self.revision, types=(int,)
        )
        newest = self._database.rows("SELECT coalesce(max(revision), 0) FROM changes", types=(int,))
        # An older rtface that still has the file open writes no log.
        complete = now.logged_after <= self.revision and newest == [(now.rewritten,)]
        return [person for (person,) in logged] if complete else None

    def _hidden_since(self, today: date) -> list[int]:
        """People whose consent has ended since this was last asked."""
        if today == self._day:
            return []
        ended = self._database.rows("SELECT id FROM people WHERE consent_until < ?", today.isoformat(), types=(int,))
        return [person for (person,) in ended]

    def _read_again(self) -> None:
        before, last = self._roster.labels, self._last
        self._roster, self._last = Roster(), 0
        while self._last < last and self._take(until=last, limit=BATCH):
            pass
        self._last = last
        self._reindex(before)

    def _update(self, persons: Iterable[int]) -> None:
        before = self._roster.labels
        self._roster.forget(persons)
        for person in persons:
            values = (person, self._last, self._day.isoformat())
            theirs = f"{_ROWS} WHERE person_id = ? AND pictures.id <= ? AND {SHOWN}"
            self._roster.take(self._database.rows(theirs, *values, types=_ROW))
        self._reindex(before)

    def _reindex(self, before: Labels) -> None:
        """Brings the index from these labels to those of the roster."""
        gone, come = np.setdiff1d(before, self._roster.labels), np.setdiff1d(self._roster.labels, before)
        if self._index is None or not len(gone) + len(come):
            return
        self._digest = None
        if len(gone):
            self._index.remove(gone)
        if len(come):
            self._index.add(come, self._vectors(come))

    def _append(self, revision: int, limit: int | None) -> None:
        """Takes in new rows, at most ``limit``; None: all up to this revision, which is the one now."""
        new = self._take(limit=limit or BATCH)
        while new and limit is None:
            new = self._take(limit=BATCH)
        if not new or (limit and len(new) < limit):
            self.revision = revision
            return
        reached = self._database.rows("SELECT revision FROM pictures WHERE id = ?", self._last, types=(int,))
        self.revision = max(self.revision, reached[0][0])

    def _take(self, *, limit: int, until: int | None = None) -> list[int]:
        """The next rows, into the roster and, unless they were in it before, the index."""
        rows = self._database.rows(
            f"{_ROWS} WHERE pictures.id > ? AND pictures.id <= ? AND {SHOWN} ORDER BY pictures.id LIMIT ?",
            *(self._last, ANY if until is None else until, self._day.isoformat(), limit),
            types=_ROW,
        )
        if not rows:
            return []
        if self._index is not None and until is None:
            self._extend(self._index, np.array([row[0] for row in rows], np.int64))
        self._roster.take(rows)
        self._last = rows[-1][0]
        return [row[0] for row in rows]

    def _extend(self, index: Index, labels: Labels) -> None:
        rows = self._vectors(labels)
        index.add(labels, rows)
        if self._digest is not None:
            self._digest.update(labels, rows)

    def _vectors(self, labels: Labels) -> Rows:
        """(N, d) unit rows under these labels, which ascend.

        Raises:
            GalleryBroken: one is missing, or not a unit vector.
        """
        rows = np.empty((len(labels), self._form.size), np.float32)
        done = 0
        for batch in stored_vectors(self._database, int(labels[0]) - 1, int(labels[-1])) if len(labels) else ():
            ids = np.array([label for label, _ in batch], np.int64)
            wanted = np.isin(ids, labels[done : done + len(batch)])
            blobs = [blob for (_, blob), here in zip(batch, wanted, strict=True) if here]
            stored = [blob for blob in blobs if self._form.is_stored(blob)]
            part = slice(done, done + len(stored))
            if not np.array_equal(ids[wanted], labels[part]):
                break
            rows[part] = self._form.decode(stored)
            if not are_units(rows[part]).all():
                raise self._broken("an embedding is not a unit vector")
            done = part.stop
        if done != len(labels):
            raise self._broken("pictures and embeddings do not match")
        return rows

    def _broken(self, fault: str) -> GalleryBroken:
        return GalleryBroken(
            f"The gallery {self._database.place} is damaged: {fault}. rtface gallery check says where; remove "
            "the person it names and enrol again."
        )

    @property
    def index(self) -> Index:
        """The index of all rows; made, or read from its cache, when first asked for."""
        if self._index is None:
            with self._database.reading():
                self._follow()
                labels = self._roster.labels
                rows = self._vectors(labels)
            self._index = self._make_index(labels, rows)
        return self._index

    def _make_index(self, labels: Labels, rows: Rows) -> Index:
        if choose(self._kind, len(labels)) == "exact":
            exact = ExactIndex(self._form.size)
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
        graph = HnswIndex(self._form.size, room=len(labels))
        graph.add(labels, rows)
        self._save(graph)
        return graph

    def search(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """See ``Searcher``."""
        labels, distances = self.index.search(self._form.project(queries), k)
        return [
            [
                Neighbor(name, distance, against, label)
                for label, distance, (name, against) in zip(near, far, self._roster.owners(near), strict=True)
            ]
            for near, far in zip(labels.tolist(), distances.tolist(), strict=True)
        ]

    def use(self, form: VectorForm) -> None:
        """See ``Searcher``. The index is made again when next searched."""
        self._form, self._index, self._digest, self._saved_rows = form, None, None, 0
        self._cache.resize(form.size)

    def problems(self) -> list[str]:
        """See ``Searcher``."""
        index = self.index
        with self._database.reading():
            self._follow()
            return index_problems(index, self._roster.labels, self._vectors)

    def forget_saved(self) -> None:
        """See ``Searcher``."""
        self._cache.forget()

    def saved_bytes(self) -> int:
        """See ``Searcher``."""
        return self._cache.size()

    def save(self) -> None:
        """See ``Searcher``. What cannot be written is built again next time."""
        if isinstance(self._index, HnswIndex):
            self._save(self._index)

    def _save(self, graph: HnswIndex) -> None:
        if self._digest is None or self._digest.rows == self._saved_rows or not self._database.writable:
            return
        try:
            # Under the write lock, so that nobody is removed between the look and the renaming.
            with self._database.writing():
                if revisions(self._database).rewritten <= self.revision:
                    self._cache.save(graph, self._digest, self.revision)
                    self._saved_rows = self._digest.rows
        except OSError as error:
            log.warning("the index of %s is not kept and will be built again: %s", self._database.place, error)


ANY = 2**62
"""Over every row id."""
_ROWS = """SELECT pictures.id, people.id, against, name FROM pictures JOIN people ON people.id = person_id"""
_ROW = (int, int, int, str)
