"""A connection that does not wait for ever: a server that hangs sends nothing, not even that it is gone."""

from __future__ import annotations

import time
from typing import TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen

Result = TypeVar("Result")


class BoundedConnection(Connection[tuple[object, ...]]):
    """``answer_s`` is how long a statement of a running video may take; None: for ever."""

    answer_s: float | None = None

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """See ``Connection``.

        Raises:
            OperationalError: no answer came; the connection is closed, for what comes later would be taken for the
                answer to another statement.
        """
        if timeout is not None or self.answer_s is None:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_s)
        except psycopg.OperationalError:
            if time.monotonic() - began < self.answer_s:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_s:g} s") from None
