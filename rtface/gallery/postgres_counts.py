"""How many rows each person has, asked of the server where it is wanted: ten million people fit in no camera's box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, ValuesView
from datetime import date
from itertools import chain, repeat
from typing import Any

from rtface.gallery.database import Database
from rtface.gallery.people import SHOWN

EXACT_ENOUGH = 0.01
"""Sums over all people may be that much behind the gallery: they set a distance, over the logarithm of their size."""

_ENROLLED = f"""FROM people JOIN pictures ON pictures.person_id = people.id WHERE against = 0 AND {SHOWN}"""


class ServerCounts(Mapping[str, int]):
    """Rows that speak for each person, by name."""

    def __init__(self, database: Database, today: Callable[[], date]) -> None:
        """Args: ``today`` is the local date; people whose consent has ended before it are not here."""
        self._database = database
        self._today = today
        self._revision = -1
        self._known: dict[str, int] = {}
        self._sizes: dict[int, int] | None = None
        self._sizes_of = -1

    def follow(self, revision: int) -> None:
        """What was learnt at another revision is not used again."""
        if revision != self._revision:
            self._revision = revision
            self._known = {}

    def __getitem__(self, name: str) -> int:
        if name not in self._known:
            ((self._known[name],),) = self._ask(f"SELECT count(*) {_ENROLLED} AND name = ?", name)
        if not self._known[name]:
            raise KeyError(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for (name,) in self._ask(f"SELECT DISTINCT name {_ENROLLED}")])

    def __len__(self) -> int:
        ((people,),) = self._ask(f"SELECT count(DISTINCT people.id) {_ENROLLED}")
        return int(people)

    def values(self) -> ValuesView[int]:
        """Everybody's number of rows in no order, perhaps of a moment ago (``EXACT_ENOUGH``)."""
        return _Sizes(self)

    def sizes(self) -> Mapping[int, int]:
        """How many people have so many rows; one query for all, and again when the gallery has changed enough."""
        rows = sum(size * people for size, people in (self._sizes or {}).items())
        if self._sizes is None or abs(self._revision - self._sizes_of) > EXACT_ENOUGH * rows:
            each = f"SELECT count(*) AS size {_ENROLLED} GROUP BY people.id"
            self._sizes = dict(self._ask(f"SELECT size, count(*) FROM ({each}) AS people GROUP BY size"))
            self._sizes_of = self._revision
        return self._sizes

    def _ask(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, self._today().isoformat(), *values)


class _Sizes(ValuesView[int]):
    def __init__(self, counts: ServerCounts) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return sum(self._counts.sizes().values())

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(repeat(size, people) for size, people in self._counts.sizes().items())
