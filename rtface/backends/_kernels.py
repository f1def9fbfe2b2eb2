"""The kernels that TensorRT for RTX compiles for the card in use, kept from one start to the next.

Its engines hold code for no card in particular; what the card runs is compiled when an engine is first run.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Kernels:
    """The file of an engine's compiled kernels. ``cache`` is TensorRT's own store of them."""

    def __init__(self, engine: Path, cache: Any) -> None:
        """Reads what an earlier run has left; TensorRT itself refuses what another driver or version has made."""
        self.cache = cache
        self._file = file_of(engine)
        self._known = self._file.read_bytes() if self._file.is_file() else b""
        if self._known and not cache.deserialize(self._known):
            log.debug("the kernels in %s are of another driver or version", self._file)
            self._known = b""

    def save(self) -> None:
        """Writes them if there are new ones. A folder that cannot be written to costs time at the next start only."""
        made = bytes(self.cache.serialize() or b"")
        if made in (b"", self._known):
            return
        partial = self._file.with_name(f".{self._file.name}.{os.getpid()}.part")
        try:
            partial.write_bytes(made)
            partial.replace(self._file)
        except OSError as error:
            log.debug("the kernels cannot be kept: %s", error)
            partial.unlink(missing_ok=True)
        self._known = made


def file_of(engine: Path) -> Path:
    """Where an engine's kernels are kept."""
    return engine.with_name(f"{engine.name}.kernels")
