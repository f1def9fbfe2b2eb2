"""A table of models.toml read field by field, with sentences for what is missing, wrong or unknown."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

from rtface.errors import ModelBroken


class Table:
    """One table. Each field is asked for once; ``finish`` refuses those nobody asked for."""

    def __init__(self, name: str, values: Mapping[str, object], file: Path) -> None:
        self.name = name
        self.place = f"{file}, [{name}]"
        self.folder = file.parent
        self._file = file
        self._values = values
        self._asked: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        self._asked.add(key)
        return key in self._values

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._value(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, value, "a text")
        return value

    def choice(self, key: str, known: Collection[str]) -> str:
        """One of the known words."""
        value = self.text(key)
        if value not in known:
            raise self.wrong(key, value, f"one of {', '.join(known)}")
        return value

    def integer(self, key: str, lowest: int) -> int:
        """A whole number."""
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise self.wrong(key, value, f"a whole number from {lowest}")
        return value

    def real(self, key: str, lowest: float, highest: float) -> float:
        """A number in a range."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise self.wrong(key, value, f"a number from {lowest:g} to {highest:g}")
        return float(value)

    def table(self, key: str) -> Table:
        """A table within this one."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self.wrong(key, value, "a table")
        return Table(f"{self.name}.{key}", value, self._file)

    def tables(self, key: str) -> list[Table]:
        """At least one table in a list."""
        value = self._value(key)
        if not isinstance(value, list) or not value or not all(isinstance(part, dict) for part in value):
            raise self.wrong(key, value, "a list of tables that is not empty")
        return [Table(f"{self.name}.{key}", part, self._file) for part in value]

    def rest(self) -> Mapping[str, object]:
        """The table as it stands."""
        return self._values

    def finish(self) -> None:
        """Refuses fields that nobody asked for: a misspelt one would otherwise be silently without effect."""
        for key in self._values:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, 1)
                hint = f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(sorted(self._asked))}."
                raise ModelBroken(f"{self.place}: there is no field {key!r}.{hint}")

    def wrong(self, key: str, value: object, wanted: str) -> ModelBroken:
        """The error for a field whose value cannot be."""
        return ModelBroken(f"{self.place}: {key} = {value!r} is not possible; it wants {wanted}.")

    def _value(self, key: str) -> object:
        if not self.has(key):
            raise ModelBroken(f"{self.place}: the field {key!r} is missing.")
        return self._values[key]
