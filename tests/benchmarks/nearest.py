"""Search libraries and rtface's index behind one face, for ``search.py``: built, asked with some breadth, kept.

Only hnswlib is needed by rtface; usearch and faiss-cpu are for the comparison (``pip install usearch faiss-cpu``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.building import build
from rtface.gallery.cache import GraphCache, Saved
from rtface.gallery.live_index import DEFAULT_RECALL

Rows = NDArray[np.float32]
Found = tuple[NDArray[np.int64], Rows]
Blocks = Callable[[], Iterator[tuple[int, Rows]]]
"""Gives the number of the first row, and rows, block by block."""
EFFORT = 200
"""``ef_construction`` of all graphs."""


class Library(Protocol):
    """One index."""

    def build(self, blocks: Blocks, threads: int) -> None:
        """Takes in all rows."""

    def aim(self, effort: int) -> None:
        """Sets the breadth of search (``ef``); 0: as it was built to be."""

    def search(self, queries: Rows, k: int) -> Found:
        """Labels and squared distances, each (N, k), on one thread."""

    def save(self, file: Path) -> None:
        """Writes the index."""

    def load(self, file: Path) -> None:
        """Reads what ``save`` wrote."""


class Exact:
    """One matrix product (BLAS), as rtface's ``ExactIndex`` does it."""

    def __init__(self, size: int, rows: int, links: int) -> None:
        self._rows = np.empty((rows, size), np.float32)

    def build(self, blocks: Blocks, threads: int) -> None:
        for start, rows in blocks():
            self._rows[start : start + len(rows)] = rows

    def aim(self, effort: int) -> None:
        del effort

    def search(self, queries: Rows, k: int) -> Found:
        cosines = queries @ self._rows.T
        chosen = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(cosines, chosen, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(chosen, order, axis=1), 2 - 2 * np.take_along_axis(values, order, axis=1)

    def save(self, file: Path) -> None:
        np.save(file, self._rows)

    def load(self, file: Path) -> None:
        self._rows = np.load(file)


class Hnswlib:
    """rtface's library."""

    space = "l2"

    def __init__(self, size: int, rows: int, links: int) -> None:
        import hnswlib

        self._graph = hnswlib.Index(space=self.space, dim=size)
        self._shape = {"max_elements": rows, "M": links, "ef_construction": EFFORT}

    def build(self, blocks: Blocks, threads: int) -> None:
        self._graph.init_index(**self._shape)
        for start, rows in blocks():
            self._graph.add_items(rows, np.arange(start, start + len(rows)), num_threads=threads)

    def aim(self, effort: int) -> None:
        self._graph.set_ef(effort)

    def search(self, queries: Rows, k: int) -> Found:
        labels, distances = self._graph.knn_query(queries, k, num_threads=1)
        return labels.astype(np.int64), distances

    def save(self, file: Path) -> None:
        self._graph.save_index(str(file))

    def load(self, file: Path) -> None:
        self._graph.load_index(str(file))


class Rtface:
    """rtface's graph (hnswlib), designed for recall@1 of 0.999 measured on the rows themselves, and its file."""

    def __init__(self, size: int, rows: int, links: int) -> None:
        self._size, self._rows = size, rows
        self._saved: Saved | None = None

    def build(self, blocks: Blocks, threads: int) -> None:
        def labelled() -> Iterator[tuple[NDArray[np.int64], Rows]]:
            for start, rows in blocks():
                yield np.arange(start, start + len(rows), dtype=np.int64), rows

        self._saved = Saved(*build(labelled, self._size, self._rows, DEFAULT_RECALL, threads=threads))

    def aim(self, effort: int) -> None:
        assert self._saved is not None
        graph, tuning = self._saved.graph, self._saved.tuning
        graph.effort, graph.near = (effort, 0.0) if effort else (tuning.effort, tuning.near)

    def search(self, queries: Rows, k: int) -> Found:
        assert self._saved is not None
        return self._saved.graph.search(queries, k)

    def chosen(self) -> dict[str, Any]:
        """What it was built to be."""
        assert self._saved is not None
        graph, tuning = self._saved.graph, self._saved.tuning
        numbers = self._size if graph.space is None else len(graph.space.axes)
        return {
            "numbers": numbers,
            "links": graph.links,
            "ef": tuning.effort,
            "near": tuning.near,
            "recall": tuning.recall,
        }

    def save(self, file: Path) -> None:
        assert self._saved is not None
        self._cache(file).save(self._saved, str, 0)

    def load(self, file: Path) -> None:
        self._saved = self._cache(file).load(str, self._rows)

    def _cache(self, file: Path) -> GraphCache:
        cache = GraphCache(file, "made up", self._size)
        cache.file, cache.note = file, file.with_suffix(".note")
        return cache


class HnswlibInner(Hnswlib):
    """The same with the inner product."""

    space = "ip"


class Usearch:
    """usearch's graph, its numbers as float32."""

    dtype = "f32"

    def __init__(self, size: int, rows: int, links: int) -> None:
        from usearch.index import Index

        self._graph: Any = Index(ndim=size, metric="l2sq", dtype=self.dtype, connectivity=links, expansion_add=EFFORT)

    def build(self, blocks: Blocks, threads: int) -> None:
        for start, rows in blocks():
            self._graph.add(np.arange(start, start + len(rows), dtype=np.uint64), rows, threads=threads)

    def aim(self, effort: int) -> None:
        self._graph.expansion_search = effort

    def search(self, queries: Rows, k: int) -> Found:
        found = self._graph.search(queries, k, threads=1)
        return found.keys.reshape(-1, k).astype(np.int64), found.distances.reshape(-1, k)

    def save(self, file: Path) -> None:
        self._graph.save(str(file))

    def load(self, file: Path) -> None:
        self._graph.load(str(file))


class UsearchHalf(Usearch):
    """Its numbers as float16."""

    dtype = "f16"


class UsearchBytes(Usearch):
    """Its numbers as int8; usearch scales unit vectors itself, for the cosine only."""

    dtype = "i8"

    def __init__(self, size: int, rows: int, links: int) -> None:
        from usearch.index import Index

        self._graph = Index(ndim=size, metric="cos", dtype=self.dtype, connectivity=links, expansion_add=EFFORT)


class Faiss:
    """faiss's graph, its numbers as float32."""

    def __init__(self, size: int, rows: int, links: int) -> None:
        import faiss

        self._faiss: Any = faiss
        self._graph = self._empty(size, links)
        self._graph.hnsw.efConstruction = EFFORT

    def _empty(self, size: int, links: int) -> Any:
        return self._faiss.IndexHNSWFlat(size, links)

    def build(self, blocks: Blocks, threads: int) -> None:
        self._faiss.omp_set_num_threads(threads)
        for _, rows in blocks():
            if not self._graph.is_trained:
                self._graph.train(rows)
            self._graph.add(rows)

    def aim(self, effort: int) -> None:
        self._faiss.omp_set_num_threads(1)
        self._graph.hnsw.efSearch = effort

    def search(self, queries: Rows, k: int) -> Found:
        distances, labels = self._graph.search(queries, k)
        return labels, distances

    def save(self, file: Path) -> None:
        self._faiss.write_index(self._graph, str(file))

    def load(self, file: Path) -> None:
        self._graph = self._faiss.read_index(str(file))


class FaissHalf(Faiss):
    """Its numbers as float16."""

    def _empty(self, size: int, links: int) -> Any:
        return self._faiss.IndexHNSWSQ(size, self._faiss.ScalarQuantizer.QT_fp16, links)


class FaissBytes(Faiss):
    """Its numbers as bytes, scaled by what the first block holds."""

    def _empty(self, size: int, links: int) -> Any:
        return self._faiss.IndexHNSWSQ(size, self._faiss.ScalarQuantizer.QT_8bit, links)


LIBRARIES: dict[str, Callable[[int, int, int], Library]] = {
    "exact": Exact,
    "rtface": Rtface,
    "hnswlib": Hnswlib,
    "hnswlib-ip": HnswlibInner,
    "usearch": Usearch,
    "usearch-f16": UsearchHalf,
    "usearch-i8": UsearchBytes,
    "faiss": Faiss,
    "faiss-f16": FaissHalf,
    "faiss-i8": FaissBytes,
}
