"""What one process holds of the gallery: whose each row is, and an index that follows the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

import numpy as np

from rtface.gallery.cache import GraphCache
from rtface.gallery.check import index_problems
from rtface.gallery.database import Database, Revisions, revisions
from rtface.gallery.index import Index, IndexKind, Labels, Rows
from rtface.gallery.live_index import DEFAULT_RECALL, LiveIndex
from rtface.gallery.people import BATCH, SHOWN
from rtface.gallery.reading import rows_of
from rtface.gallery.roster import Roster
from rtface.gallery.vectors import VectorForm
from rtface.types import Neighbor


class GalleryMemory:
    """Rows and index as of one revision. The index is made when first searched."""

    def __init__(
        self,
        database: Database,
        cache: GraphCache,
        form: VectorForm,
        kind: IndexKind,
        today: Callable[[], date],
        *,
        recall: float = DEFAULT_RECALL,
        connect: Callable[[], Database] | None = None,
    ) -> None:
        """Args:
        database: followed.
        cache: of the graph.
        form: of the vectors.
        kind: of index.
        today: the local date; people whose consent has ended before it are not here.
        recall: recall@1 of a graph, 0..1.
        connect: another connection to the same database, for a thread that builds beside; None: none is built so.
        """
        self.revision = -1
        self._database = database
        self._form = form
        self._today = today
        self._day = today()
        self._roster = Roster()
        self._last = 0
        self._live = LiveIndex(database, cache, form, kind, recall, connect)
        self._cache = cache
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
        self._append(now.current, None if at_once else self._live.at_once)
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
        self._live.move(before, self._roster)

    def _update(self, persons: Iterable[int]) -> None:
        before = self._roster.labels
        self._roster.forget(persons)
        for person in persons:
            values = (person, self._last, self._day.isoformat())
            theirs = f"{_ROWS} WHERE person_id = ? AND pictures.id <= ? AND {SHOWN}"
            self._roster.take(self._database.rows(theirs, *values, types=_ROW))
        self._live.move(before, self._roster)

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
        if until is None:
            self._live.extend(np.array([row[0] for row in rows], np.int64))
        self._roster.take(rows)
        self._last = rows[-1][0]
        return [row[0] for row in rows]

    @property
    def index(self) -> Index:
        """The index of all rows; made, or read from its cache, when first asked for."""
        while self._live.current is None:
            with self._database.reading():
                self._follow()
                ready = self._live.open(self._roster, self.revision)
            if not ready:
                built = self._live.build(self._roster)
                with self._database.reading():
                    self._follow()
                    self._live.take(built, self._roster)
                self._live.save(self._roster, self.revision)
        self._live.look_after(self._roster, self.revision)
        return self._live.current

    def search(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """See ``Searcher``."""
        labels, distances = self.index.search(self._form.project(queries), k)
        self._live.settle()
        return [
            [
                Neighbor(name, distance, against, label)
                for label, distance, (name, against) in zip(near, far, self._roster.owners(near), strict=True)
            ]
            for near, far in zip(labels.tolist(), distances.tolist(), strict=True)
        ]

    def use(self, form: VectorForm) -> None:
        """See ``Searcher``. The index is made again when next searched."""
        self._form = form
        self._live.use(form)

    def problems(self) -> list[str]:
        """See ``Searcher``."""
        index = self.index
        with self._database.reading():
            self._follow()
            return index_problems(index, self._roster.labels, self._vectors)

    def _vectors(self, labels: Labels) -> Rows:
        return rows_of(self._database, self._form, labels)

    def forget_saved(self) -> None:
        """See ``Searcher``."""
        self._live.forget(self._roster)

    def saved_bytes(self) -> int:
        """See ``Searcher``."""
        return self._cache.size()

    def save(self) -> None:
        """See ``Searcher``. What cannot be written is built again next time; what is being built beside is lost."""
        self._live.close()
        if self._live.unfinished:
            _ = self.index
        self._live.save(self._roster, self.revision)


ANY = 2**62
"""Over every row id."""
_ROWS = """SELECT pictures.id, people.id, against, name, sha256, added_at
    FROM pictures JOIN people ON people.id = person_id"""
_ROW = (int, int, int, str, str, float)
