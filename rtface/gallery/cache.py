"""The HNSW graph beside the gallery: built once, read many times, never trusted.

``gallery.db.hnsw`` is the graph and ``gallery.db.hnsw.json`` says what it was built from. It is used when it is
undamaged and was built from exactly the first rows of the gallery as it is now (rows only ever come at the end); the
others are added. Anything else is built again and written over. Of an encrypted gallery both files are sealed, and the
open graph is in memory alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtface.gallery.graph import HnswIndex
from rtface.gallery.index import Rows
from rtface.gallery.recall import Tuning
from rtface.gallery.sealed_file import file_in_memory, open_file, seal_file
from rtface.gallery.sealing import UNSEALED, Sealer
from rtface.gallery.subspace import Subspace

log = logging.getLogger(__name__)

VERSION = 3

Digest = Callable[[int], str]
"""A checksum of so many of the gallery's first rows, see ``Roster.digest``; it names the form of the vectors too."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A graph as it is kept: with what was measured of it."""

    graph: HnswIndex
    tuning: Tuning


@dataclass(frozen=True, slots=True)
class _Note:
    """What a graph was built from.

    Attributes:
        version: of this format.
        revision: of the gallery; for people to read.
        model: fingerprint of the embedding model.
        size: numbers in an embedding.
        rows: how many of the gallery's first rows are in it.
        rows_digest: of these.
        graph_sha256: of the file.
        tuning: what was measured of it.
        removed: labels of rows that were removed; noise is in their place.
        space: middle and axes of the subspace it is in, float32 in base64; None: in none.
    """

    version: int
    revision: int
    model: str
    size: int
    rows: int
    rows_digest: str
    graph_sha256: str
    tuning: Mapping[str, Any]
    removed: list[int]
    space: tuple[str, str] | None


class GraphCache:
    """The two files of one gallery."""

    def __init__(self, gallery: Path, model: str, size: int, sealer: Sealer = UNSEALED) -> None:
        """Args: ``model`` is the embedding model's fingerprint, ``size`` D, ``sealer`` the gallery's."""
        self.file = gallery.with_name(gallery.name + ".hnsw")
        self.note = gallery.with_name(gallery.name + ".hnsw.json")
        self._spare = gallery.with_name(gallery.name + ".hnsw.new")
        self._model = model
        self._size = size
        self._sealer = sealer

    def load(self, digest: Digest, rows: int) -> Saved | None:
        """The graph, if it was built from the first of these so many rows; it lacks the others. None: it is no use."""
        try:
            note = self._read_note()
            reason = self._objection(note, digest, rows)
            if reason is None:
                before = self.file.stat()
                with self.file.open("rb") as stream:
                    whole = hashlib.file_digest(stream, "sha256").hexdigest() == note.graph_sha256
                if whole:
                    graph = self._read_graph(note)
                    # Another process may have put a new graph in its place since the checksum.
                    if os.path.samestat(before, self.file.stat()) and len(graph) == note.rows:
                        return Saved(graph, _tuning(graph, note))
                reason = "its checksum is wrong"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error)
        log.info("the index %s is not used and will be built again: %s", self.file, reason)
        return None

    def _read_note(self) -> _Note:
        opened = self._sealer.opened(self.note.read_bytes(), "index", 0)
        if not isinstance(opened, bytes):
            raise ValueError("it was sealed with another key, or is damaged")
        return _Note(**json.loads(opened))

    def _read_graph(self, note: _Note) -> HnswIndex:
        space = None if note.space is None else Subspace(*_arrays(note.space, self._size))
        if self._sealer.record is None:
            return HnswIndex(self._size, space=space, file=self.file, removed=note.removed)
        with file_in_memory() as plain:
            open_file(self.file, plain, self._sealer)
            return HnswIndex(self._size, space=space, file=plain, removed=note.removed)

    def _write_graph(self, index: HnswIndex) -> None:
        if self._sealer.record is None:
            index.save(self._spare)
            return
        with file_in_memory() as plain:
            index.save(plain)
            seal_file(plain, self._spare, self._sealer)

    def _objection(self, note: _Note, digest: Digest, rows: int) -> str | None:
        if (note.version, note.model, note.size) != (VERSION, self._model, self._size):
            return "it is of another model or version"
        if note.rows > rows:
            return "rows were removed since it was made"
        return None if digest(note.rows) == note.rows_digest else "it was made from other rows"

    def save(self, saved: Saved, digest: Digest, revision: int) -> None:
        """Writes the graph beside and renames it into place; only its owner can read it.

        Raises:
            OSError: it cannot be written; what was there before is untouched or useless, never wrong.
        """
        try:
            self._make_spare()
            self._write_graph(saved.graph)
            with self._spare.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
            self._spare.replace(self.file)
            note = self._note(saved, digest, revision, checksum)
            self._make_spare()
            self._spare.write_bytes(self._sealer.seal(json.dumps(asdict(note), indent=1).encode(), "index", 0))
            self._spare.replace(self.note)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        finally:
            self._spare.unlink(missing_ok=True)

    def _note(self, saved: Saved, digest: Digest, revision: int, checksum: str) -> _Note:
        graph, rows = saved.graph, len(saved.graph)
        space = None if graph.space is None else (_text(graph.space.middle), _text(graph.space.axes))
        return _Note(
            version=VERSION,
            revision=revision,
            model=self._model,
            size=self._size,
            rows=rows,
            rows_digest=digest(rows),
            graph_sha256=checksum,
            tuning=asdict(saved.tuning),
            removed=graph.removed,
            space=space,
        )

    def _make_spare(self) -> None:
        os.close(os.open(self._spare, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))

    def resize(self, size: int) -> None:
        """Rows have so many numbers from now on."""
        self._size = size

    def size(self) -> int:
        """Bytes of both files; 0 where there are none."""
        return sum(file.stat().st_size for file in (self.file, self.note) if file.exists())

    def forget(self) -> None:
        """Deletes every file that may hold a vector, also one a killed process left half-written.

        Raises:
            OSError: one cannot be deleted.
        """
        for file in (self.file, self.note, self._spare):
            file.unlink(missing_ok=True)


def _tuning(graph: HnswIndex, note: _Note) -> Tuning:
    """What was measured of a graph, which is set to it. Raises TypeError, ValueError: a note is damaged."""
    kinds = {"effort": int, "near": float, "recall": float, "target": float, "rows": int}
    if not isinstance(note.tuning, dict) or not all(isinstance(note.tuning.get(key), kinds[key]) for key in kinds):
        raise ValueError("what was measured of it is damaged")
    tuning = Tuning(**note.tuning)
    graph.effort, graph.near = tuning.effort, tuning.near
    return tuning


def _text(array: Rows) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def _arrays(space: tuple[str, str], size: int) -> tuple[Rows, Rows]:
    middle, axes = (np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32) for text in space)
    return middle.reshape(size), axes.reshape(-1, size)
