"""What opening a gallery of very many people costs: seconds and memory of each part, with a saved graph.

    python tests/benchmarks/opening.py --shared ../shared --keep KEPT [--rows 1000000] [--size 512]

The gallery (made-up people in the likeness of LFW's, one row each) and its graph are made in KEPT where they are not
there yet, which for a million takes an hour on one core, and then opened in a process of its own, as ``rtface run``
opens it. Read from the page cache: the second run of a command is the one to look at.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from rtface.gallery.editing import NewRow  # noqa: E402
from rtface.gallery.index import IndexKind  # noqa: E402
from rtface.gallery.memory import GalleryMemory  # noqa: E402
from rtface.gallery.store import PersonGallery, open_gallery  # noqa: E402
from tests.benchmarks.people import embedded, fitted, real  # noqa: E402
from tests.benchmarks.search import resident_mb  # noqa: E402


def main() -> None:
    """Makes what is missing, then measures in a fresh process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=512, choices=(512, 128))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    path = options.keep / f"gallery-{options.size}-{options.rows}.db"
    people = fitted(*real(embedded(options.shared, options.keep, options.size)))
    if options.one:
        measure(path, people.queries(options.rows, 8))
        return
    if not path.exists():
        spare = path.with_suffix(".new")
        with opened(spare, options.size) as gallery:
            for start, rows in people.gallery(options.rows):
                enrol(gallery, start, rows)
        spare.replace(path)
    if not path.with_name(path.name + ".hnsw").exists():
        with opened(path, options.size, kind="hnsw") as gallery:
            began = time.perf_counter()
            gallery.search(people.queries(options.rows, 1), 1)
            print(f"building took {time.perf_counter() - began:.0f} s", flush=True)
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one"], check=True)


def opened(path: Path, size: int, *, kind: IndexKind = "auto") -> PersonGallery:
    """A gallery of a made-up model."""
    return open_gallery(path, model="made up", fingerprint="made up", size=size, create=True, index=kind)


def enrol(gallery: PersonGallery, first: int, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """One person a row, in one transaction."""
    with gallery.editing() as edit:
        gallery.model.adopt(gallery.database)
        for number, vector in enumerate(gallery.form.encode(rows), first):
            name = f"person {number}"
            edit.insert(edit.person(name, 1.0), NewRow(f"{number:064x}", vector, name, 1.0, 1.0))


def measure(path: Path, asked: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """Prints seconds of the parts of opening and searching, and memory."""
    before, at = resident_mb(), [time.perf_counter()]
    gallery = opened(path, asked.shape[1])
    at.append(time.perf_counter())
    gallery.search(asked[:1], 5)
    at.append(time.perf_counter())
    found = gallery.search(asked, 5)
    at.append(time.perf_counter())
    assert isinstance(gallery.searcher, GalleryMemory)
    parts = dict(zip(("open_s", "first_search_s", "eight_faces_s"), np.round(np.diff(at), 4).tolist(), strict=True))
    sizes = {"rows": len(gallery), "index": gallery.searcher.index.kind, "memory_mb": round(resident_mb() - before)}
    print(json.dumps(sizes | parts | {"nearest": round(found[0][0].distance, 3)}))
    gallery.close()


if __name__ == "__main__":
    main()
