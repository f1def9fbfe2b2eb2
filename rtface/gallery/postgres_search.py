"""The nearest rows searched by the server itself, through pgvector; nothing of the gallery is in this process.

The index holds half-precision copies (half the memory) and gives candidates; their distances are then computed from the
float32 rows, so that every distance told is the exact one. A face with nobody near is searched for again, widely (see
``HnswIndex``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from rtface.gallery.check import MISSED, SAME, SAMPLE
from rtface.gallery.database import revisions
from rtface.gallery.people import SHOWN
from rtface.gallery.postgres import PostgresDatabase
from rtface.gallery.postgres_counts import ServerCounts
from rtface.gallery.postgres_vectors import as_vectors
from rtface.gallery.vectors import Rows, VectorForm
from rtface.types import Neighbor

CANDIDATES = 4
"""For each row asked for: half precision may order near ones otherwise, and some may be hidden."""
FEWEST_CANDIDATES = 32
MOST_CANDIDATES = 400
"""More are found sooner by comparing with every row."""

NEAR = 0.6
"""Squared distance; where the narrow search finds a row no farther than this, its answer stands. Of a million rows a
graph finds all that are nearer than 0.65 with ``ef`` 64 (docs/search.md)."""
WIDE_EFFORT = 600
"""hnsw.ef_search of the wide search: recall@1 of 0.998 (FaceNet) and 0.994 (SFace) among 100,000, against 0.968 and
0.920 without it (docs/scale.md)."""

_WIDELY = f"(SELECT set_config('hnsw.ef_search', '{WIDE_EFFORT}', true) AS effort) AS widely JOIN "
"""For this transaction, which without another one is this statement."""
_GRAPH = """SELECT picture_id, vector_l2_squared_distance(vector, query) AS distance
    FROM (SELECT picture_id, vector FROM embeddings
        ORDER BY vector::halfvec({size}) <-> query::halfvec({size}) LIMIT {limit}) AS candidates"""
_EXACT = """SELECT picture_id, vector_l2_squared_distance(vector, query) AS distance FROM embeddings
    ORDER BY distance, picture_id LIMIT {limit}"""
_SEARCH = """SELECT place, picture_id, distance, against, name, {shown} FROM {widely} unnest(%b::vector[])
    WITH ORDINALITY AS queries (query, place){on} CROSS JOIN LATERAL ({near}) AS near
    JOIN pictures ON pictures.id = picture_id JOIN people ON people.id = person_id
    ORDER BY place, distance, picture_id"""

_SELF_SEARCH = """SELECT count(*), count(*) FILTER (WHERE EXISTS
        (SELECT 1 FROM ({near}) AS near WHERE distance <= ?))
    FROM generate_series(?::bigint, ?, ?) AS place
    CROSS JOIN LATERAL (SELECT vector AS query FROM embeddings WHERE picture_id >= place
        ORDER BY picture_id LIMIT 1) AS sample"""


class ServerSearcher:
    """A ``Searcher`` whose rows and index are the server's. ``revision`` is the one at the last ``follow``; a search
    sees the gallery as it is, which may be newer."""

    def __init__(self, database: PostgresDatabase, form: VectorForm, today: Callable[[], date]) -> None:
        """Args: ``today`` is the local date; people whose consent has ended before it are not found."""
        self._database = database
        self._size = form.size
        self._today = today
        self._counts = ServerCounts(database, today)
        self.revision = -1
        self._day = today()
        self.follow()

    @property
    def counts(self) -> ServerCounts:
        """Rows that speak for each person, asked for one by one."""
        return self._counts

    def __len__(self) -> int:
        ((rows,),) = self._database.rows(
            f"SELECT count(*) FROM pictures JOIN people ON people.id = person_id WHERE {SHOWN}",
            self._today().isoformat(),
        )
        return int(rows)

    def follow(self, *, at_once: bool = True) -> bool:  # noqa: ARG002 - the joint's
        """See ``Searcher``. There is nothing to take in."""
        now, today = revisions(self._database).current, self._today()
        changed = (now, today) != (self.revision, self._day)
        self.revision, self._day = now, today
        self._counts.follow(now)
        return changed

    def search(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """See ``Searcher``."""
        limit = max(CANDIDATES * k, FEWEST_CANDIDATES)
        if limit > MOST_CANDIDATES:
            return self.exact(queries, k)
        found = self._found(queries, k, _GRAPH, limit)
        far = [place for place, rows in enumerate(found) if not rows or rows[0].distance > NEAR]
        for place, rows in zip(far, self._found(queries[far], k, _GRAPH, limit, widely=True), strict=True):
            found[place] = rows
        return found

    def exact(self, queries: Rows, k: int) -> list[list[Neighbor]]:
        """The same by comparing with every row: what ``search`` is held to."""
        return self._found(queries, k, _EXACT, k)

    def _found(self, queries: Rows, k: int, near: str, limit: int, *, widely: bool = False) -> list[list[Neighbor]]:
        if not len(queries):
            return []
        sql = _SEARCH.format(
            near=near.format(size=self._size, limit=limit),
            shown=SHOWN,
            widely=_WIDELY if widely else "",
            on=" ON effort <> ''" if widely else "",
        )
        rows = self._database.rows(
            sql, self._today().isoformat(), as_vectors(queries), types=(int, int, float, int, str, bool)
        )
        found: list[list[Neighbor]] = [[] for _ in queries]
        seen = [0] * len(found)
        for place, picture, distance, against, name, shown in rows:
            seen[place - 1] += 1
            if shown and len(found[place - 1]) < k:
                found[place - 1].append(Neighbor(name, min(distance, 4.0), bool(against), picture))
        if any(len(rows) < k and count == limit for rows, count in zip(found, seen, strict=True)):
            return self._found(queries, k, _EXACT, 2 * limit)  # many near ones are hidden
        return found

    def use(self, form: VectorForm) -> None:
        """See ``Searcher``."""
        self._size = form.size

    def problems(self) -> list[str]:
        """See ``Searcher``: rows that the index does not find, of a sample spread over the gallery."""
        ((first, last),) = self._database.rows(
            "SELECT coalesce(min(picture_id), 1), coalesce(max(picture_id), 0) FROM embeddings", types=(int, int)
        )
        near = _GRAPH.format(size=self._size, limit=FEWEST_CANDIDATES)
        ((looked_for, found),) = self._database.rows(
            _SELF_SEARCH.format(near=near), SAME, first, last, max(1, (last - first) // SAMPLE), types=(int, int)
        )
        if looked_for - found > MISSED * looked_for:
            return [
                f"index: {looked_for - found} of {looked_for} rows do not find themselves; on the server, "
                "REINDEX INDEX rtface.embeddings_near"
            ]
        return []

    def forget_saved(self) -> None:
        """See ``Searcher``. The index is the server's."""

    def save(self) -> None:
        """See ``Searcher``."""

    def saved_bytes(self) -> int:
        """See ``Searcher``: of the index, on the server's."""
        ((found,),) = self._database.rows("SELECT coalesce(pg_relation_size(to_regclass('embeddings_near')), 0)")
        return int(found)
