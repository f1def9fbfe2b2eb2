"""The HNSW graph beside the gallery: built once, read many times, never trusted.

``gallery.db.hnsw`` is the graph and ``gallery.db.hnsw.json`` says what it was built from. It is used when it is
undamaged and was built from exactly the first rows of the gallery as it is now (rows only ever come at the end); the
others are added. Anything else is built again and written over. Of an encrypted gallery both files are sealed, and the
open graph is in memory alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rtface.gallery.index import HnswIndex, Labels, Rows
from rtface.gallery.sealed_file import file_in_memory, open_file, seal_file
from rtface.gallery.sealing import UNSEALED, Sealer

log = logging.getLogger(__name__)

VERSION = 1


class RowDigest:
    """A checksum of rows in their order, the same however they are cut into batches."""

    def __init__(self) -> None:
        self._labels = hashlib.sha256()
        self._rows = hashlib.sha256()
        self.rows = 0

    def update(self, labels: Labels, rows: Rows) -> None:
        """Takes in (N,) labels and (N, D) rows."""
        self._labels.update(np.ascontiguousarray(labels, "<i8").tobytes())
        self._rows.update(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(labels)

    def __str__(self) -> str:
        return self._labels.hexdigest() + self._rows.hexdigest()


@dataclass(frozen=True, slots=True)
class _Note:
    """What a graph was built from.

    Attributes:
        version: of this format.
        revision: of the gallery; for people to read.
        model: fingerprint of the embedding model.
        size: numbers in an embedding.
        rows: how many of the gallery's first rows are in it.
        rows_sha256: of these.
        graph_sha256: of the file.
    """

    version: int
    revision: int
    model: str
    size: int
    rows: int
    rows_sha256: str
    graph_sha256: str


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

    def load(self, labels: Labels, rows: Rows) -> HnswIndex | None:
        """The graph, if it was built from the first of these (N, D) rows; it lacks the others. None if it is no use."""
        try:
            note = self._read_note()
            reason = self._objection(note, labels, rows)
            if reason is None:
                before = self.file.stat()
                with self.file.open("rb") as stream:
                    whole = hashlib.file_digest(stream, "sha256").hexdigest() == note.graph_sha256
                if whole:
                    index = self._read_graph()
                    # Another process may have put a new graph in its place since the checksum.
                    if os.path.samestat(before, self.file.stat()) and len(index) == note.rows:
                        return index
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

    def _read_graph(self) -> HnswIndex:
        if self._sealer.record is None:
            return HnswIndex(self._size, file=self.file)
        with file_in_memory() as plain:
            open_file(self.file, plain, self._sealer)
            return HnswIndex(self._size, file=plain)

    def _write_graph(self, index: HnswIndex) -> None:
        if self._sealer.record is None:
            index.save(self._spare)
            return
        with file_in_memory() as plain:
            index.save(plain)
            seal_file(plain, self._spare, self._sealer)

    def _objection(self, note: _Note, labels: Labels, rows: Rows) -> str | None:
        if (note.version, note.model, note.size) != (VERSION, self._model, self._size):
            return "it is of another model or version"
        if note.rows > len(labels):
            return "rows were removed since it was made"
        digest = RowDigest()
        digest.update(labels[: note.rows], rows[: note.rows])
        return None if str(digest) == note.rows_sha256 else "it was made from other rows"

    def save(self, index: HnswIndex, digest: RowDigest, revision: int) -> None:
        """Writes the graph beside and renames it into place; only its owner can read it.

        Raises:
            OSError: it cannot be written; what was there before is untouched or useless, never wrong.
        """
        try:
            self._make_spare()
            self._write_graph(index)
            with self._spare.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
            self._spare.replace(self.file)
            note = _Note(VERSION, revision, self._model, self._size, digest.rows, str(digest), checksum)
            self._make_spare()
            self._spare.write_bytes(self._sealer.seal(json.dumps(asdict(note), indent=1).encode(), "index", 0))
            self._spare.replace(self.note)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        finally:
            self._spare.unlink(missing_ok=True)

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
