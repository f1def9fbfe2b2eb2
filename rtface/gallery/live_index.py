"""The index one process searches: exact or a graph, taken from the cache or built, kept in step with the gallery.

A graph that has to be built, or built again because too many of its rows were removed, is built in a thread beside the
searching, which goes on with what there is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np

from rtface.errors import GalleryUnavailable
from rtface.gallery.building import BuildBeside, Pulse, build
from rtface.gallery.cache import Digest, GraphCache, Saved
from rtface.gallery.database import Database, revisions
from rtface.gallery.graph import HnswIndex
from rtface.gallery.index import EXACT_AT_MOST, ExactIndex, Index, IndexKind, Labels, choose
from rtface.gallery.reading import blocks_of, rows_of
from rtface.gallery.recall import Tuning, tune
from rtface.gallery.roster import Roster
from rtface.gallery.subspace import MOST_LEFT
from rtface.gallery.vectors import VectorForm

log = logging.getLogger(__name__)

DEFAULT_RECALL = 0.999
"""recall@1 of a graph."""
ROWS_AT_ONCE = 1024
"""New rows one look of a running program takes in: some ten milliseconds, so that no picture waits for an import of
thousands."""
SETTLED_AT_ONCE = 16
"""Rows one search takes into a graph: some 20 ms. The others are compared one by one until then."""
SETTLED_AT_END = 5000
"""A graph that more rows wait for is not kept when a program ends; it would take ten seconds."""
REMOVED_SHARE = 0.2
"""Of a graph's rows; it is built again then. Removed rows cost memory and steps, not neighbours."""
GROWN = 1.5
"""So many times the rows it was measured with, a graph is measured again when next opened."""
UNSAVED_SHARE = 1e-3
"""New rows that are not worth writing the graph again: a thousand of a million are added in a second."""
LOOKED_AT = 64
"""Rows of a saved graph that are compared with the database's."""

Connect = Callable[[], Database]


class LiveIndex:
    """``current`` is searched; None until it is made."""

    def __init__(
        self,
        database: Database,
        cache: GraphCache,
        form: VectorForm,
        kind: IndexKind,
        recall: float,
        connect: Connect | None,
    ) -> None:
        """Args: ``connect`` makes a connection for another thread; without one nothing is built beside."""
        self.current: Index | None = None
        self._database = database
        self._cache = cache
        self._form = form
        self._kind = kind
        self._recall = recall
        self._connect = connect
        self._graph: Saved | None = None
        self._unsaved = True
        self._saved_rows = 0
        self._aside: Saved | None = None
        self._beside: BuildBeside | None = None
        self._hopeless = False
        self._thread = threading.get_ident()

    @property
    def at_once(self) -> int | None:
        """New rows it takes in between two frames; None: any number, for they cost nothing."""
        return None if self.current is None else ROWS_AT_ONCE

    def settle(self) -> None:
        """Takes some of the rows that wait into the graph."""
        if isinstance(self.current, HnswIndex) and self.current.waiting:
            self.current.settle(SETTLED_AT_ONCE)

    def use(self, form: VectorForm) -> None:
        """All vectors lie in this form now: whatever was made of them is of no use."""
        self.close()
        self._form, self.current, self._graph, self._aside, self._hopeless = form, None, None, None, False
        self._cache.resize(form.size)

    def open(self, roster: Roster, revision: int) -> bool:
        """Makes the index of these rows, inside ``reading``; False where a graph would have to be built first."""
        if choose(self._kind, len(roster)) == "exact":
            self.current = self._exact(roster)
            return True
        saved = self._aside or self._cache.load(self._digest(roster), len(roster))
        known, self._aside = self._aside is not None, None
        if saved is not None and (known or self._agrees(saved.graph)) and self._take_up(saved, roster):
            self._unsaved = self._unsaved or known
        elif self._kind == "hnsw" or self._connect is None:
            return False
        else:
            self.current = self._exact(roster)
        self.look_after(roster, revision)
        return True

    def _exact(self, roster: Roster) -> ExactIndex:
        exact = ExactIndex(self._form.size, room=len(roster))
        for labels, rows in blocks_of(self._database, self._form, roster.labels):
            exact.add(labels, rows)
        if len(exact) != len(roster):
            rows_of(self._database, self._form, roster.labels)  # says what is missing
        return exact

    def _agrees(self, graph: HnswIndex) -> bool:
        """Whether some of its rows are the database's; all of them were when it was saved."""
        labels = np.sort(graph.labels())
        for label in labels[np.unique(np.linspace(0, len(labels) - 1, LOOKED_AT).astype(np.intp))]:
            one = np.array([label], np.int64)
            difference = graph.vectors(one) - rows_of(self._database, self._form, one)
            if float((difference**2).sum()) > MOST_LEFT:
                log.info("the saved index is not used and will be built again: a vector of it is another one")
                return False
        return True

    def _take_up(self, saved: Saved, roster: Roster) -> bool:
        """Makes a graph the current index, if it can be brought to these rows."""
        graph, tuning = saved.graph, saved.tuning
        self._unsaved, self._saved_rows = False, len(graph)
        if not self._bring(graph, graph.labels(), roster.labels):
            return False
        if len(graph) > GROWN * tuning.rows or (tuning.target != self._recall and len(graph)):
            tuning, self._unsaved = tune(graph, self._recall), True
        self._graph = Saved(graph, tuning)
        self.current = self._exact(roster) if self._gives_up(tuning) else graph
        return True

    def _gives_up(self, tuning: Tuning) -> bool:
        """Whether every row is compared for want of a graph that is good enough, which is told in any case."""
        if self._kind != "auto" or tuning.reached:
            return False
        few = tuning.rows <= EXACT_AT_MOST
        log.warning(
            "a graph of %s finds the nearest face in %.2f %% of searches, not in %.2f %% (setting recall)%s",
            *(self._database.place, 100 * tuning.recall, 100 * self._recall),
            ", so every row is compared, which takes longer" if few else "",
        )
        self._hopeless = self._hopeless or few
        return few

    def _bring(self, index: Index, before: Labels, after: Labels) -> bool:
        """From these labels to those; False where a row does not fit, and the index is of no more use."""
        gone, come = _missing(before, after), _missing(after, before)
        if len(gone):
            index.remove(gone)
            self._unsaved = True
        return self._add(index, come)

    def _add(self, index: Index, labels: Labels) -> bool:
        if not len(labels):
            return True
        rows = rows_of(self._database, self._form, labels)
        if isinstance(index, HnswIndex) and not index.fits(rows):
            log.info("a face of %s does not fit its index, which is built again", self._database.place)
            return False
        if isinstance(index, HnswIndex) and len(labels) > SETTLED_AT_ONCE:
            index.add_later(labels, rows)
        else:
            index.add(labels, rows)
        return True

    def build(self, roster: Roster) -> Saved:
        """A graph of these rows, however long it takes, outside any transaction."""
        log.info("building the index of %d rows", len(roster))
        labels, form, database = roster.labels, self._form, self._database
        return Saved(*build(lambda: blocks_of(database, form, labels), form.size, len(labels), self._recall))

    def take(self, saved: Saved, roster: Roster) -> None:
        """Makes what ``build`` gave the current index, inside ``reading``."""
        self._take_up(saved, roster)
        self._unsaved = True

    def move(self, before: Labels, roster: Roster) -> None:
        """Follows the roster from these labels to its own, inside ``reading``."""
        if self.current is not None and not self._bring(self.current, before, roster.labels):
            self.current = self._graph = None

    def extend(self, labels: Labels) -> None:
        """Takes in new rows, inside ``reading``."""
        if self.current is not None and not self._add(self.current, labels):
            self.current = self._graph = None

    def look_after(self, roster: Roster, revision: int) -> None:
        """Begins to build beside where another index would be better, and takes up what has been built."""
        if self._beside is not None:
            self._adopt(self._beside, roster)
        elif self._connect is not None and self._wants_another(roster):
            labels, form, recall = roster.labels, self._form, self._recall
            mark = self._digest(roster)(len(labels))

            def work(database: Database, pulse: Pulse) -> Saved:
                saved = Saved(
                    *build(lambda: blocks_of(database, form, labels), form.size, len(labels), recall, pulse=pulse)
                )
                if len(saved.graph) == len(labels):
                    self._keep(database, saved, lambda _: mark, revision)
                return saved

            self._beside = BuildBeside(self._connect, work)

    def _wants_another(self, roster: Roster) -> bool:
        if isinstance(self.current, HnswIndex):
            return self.current.removed_share > REMOVED_SHARE
        return self.current is not None and not self._hopeless and choose(self._kind, len(roster)) == "hnsw"

    def _adopt(self, beside: BuildBeside, roster: Roster) -> None:
        if not beside.done or self.current is None:
            return
        saved = beside.result
        if saved is None or self._gives_up(saved.tuning):
            self._beside, self._hopeless = None, True
            return
        graph, labels = saved.graph, saved.graph.labels()
        gone, come = _missing(labels, roster.labels), _missing(roster.labels, labels)
        rows = self.current.vectors(come)
        self._beside, self._hopeless = None, not graph.fits(rows)
        if not self._hopeless:
            graph.remove(gone)
            graph.add_later(come, rows)
            self._graph, self.current = saved, graph
            self._unsaved, self._saved_rows = not self._cache.size() or bool(len(gone)), len(graph) - len(come)

    def forget(self, roster: Roster) -> None:
        """Deletes what is saved; reads it first if nothing is in memory, so that it need not be built again.

        Raises:
            OSError: a file cannot be deleted.
        """
        mine = threading.get_ident() == self._thread
        if mine and self.current is None and self._aside is None and self._cache.size():
            self._aside = self._cache.load(self._digest(roster), len(roster))
        self._cache.forget()

    @property
    def unfinished(self) -> bool:
        """A graph was read to be saved again without whoever is removed."""
        return self._aside is not None

    def save(self, roster: Roster, revision: int) -> None:
        """Keeps the graph for next time, if there is one and it is worth it."""
        if self._graph is None or not self._database.writable:
            return
        graph = self._graph.graph
        if graph.waiting > SETTLED_AT_END:
            return
        if self._unsaved or len(graph) - self._saved_rows > UNSAVED_SHARE * len(graph) or not self._cache.size():
            self._keep(self._database, self._graph, self._digest(roster), revision)
            self._unsaved, self._saved_rows = False, len(graph)

    def _keep(self, database: Database, saved: Saved, digest: Digest, revision: int) -> None:
        try:
            saved.graph.overwrite_removed()
            # Under the write lock, so that nobody is removed between the look and the renaming.
            with database.writing():
                if revisions(database).rewritten <= revision:
                    self._cache.save(saved, digest, revision)
        except (OSError, GalleryUnavailable) as error:
            log.warning("the index of %s is not kept and will be built again: %s", database.place, error)

    def close(self) -> None:
        """Ends what is built beside; it is lost."""
        if self._beside is not None:
            self._beside.stop()
            self._beside = None

    def _digest(self, roster: Roster) -> Digest:
        return lambda count: f"{self._form.name} {roster.digest(count)}"


def _missing(labels: Labels, elsewhere: Labels) -> Labels:
    """Those that are not elsewhere; each stands once, which spares sorting a million of them between two pictures."""
    return labels[~np.isin(labels, elsewhere, assume_unique=True)]
