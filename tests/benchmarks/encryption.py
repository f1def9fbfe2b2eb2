"""What a key costs: filling, opening and searching a gallery in the clear and a sealed one.

    python -m tests.benchmarks.encryption --rows 10000 100000

Each opening is in a process of its own: until the first answer (with a key that holds loading the
library), with the exact index, and with HNSW read from its file.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rtface.gallery.cache import GraphCache
from rtface.gallery.editing import NewRow
from rtface.gallery.index import IndexKind
from rtface.gallery.rekeying import rekey
from rtface.gallery.sqlite import open_database
from tests.gallery.samples import gallery_at, units

KEY = bytes(range(32))
SIZE = 512


def fill(path: Path, rows: int, key: bytes | None) -> float:
    """Seconds to add rows in one transaction, ten to a person."""
    with gallery_at(path, size=SIZE, key=key) as gallery:
        began = time.perf_counter()
        with gallery.editing() as edit:
            gallery.model.adopt(gallery.database)
            for start in range(0, rows, 1000):
                vectors = gallery.form.encode(units(start, min(1000, rows - start), SIZE))
                for place, vector in enumerate(vectors, start):
                    person = edit.person(f"Person {place // 10}", 0.0)
                    edit.insert(person, NewRow(f"{place}", vector, "x", 0.5, 0.0))
        return time.perf_counter() - began


def open_once(path: Path, key: bytes | None, kind: IndexKind) -> float:
    """Seconds from opening to the first answer, without the imports."""
    query = units(1, 1, SIZE)
    began = time.perf_counter()
    with gallery_at(path, size=SIZE, key=key, index=kind) as gallery:
        gallery.search(query, 5)
        return time.perf_counter() - began


def opening(path: Path, key: bytes | None, kind: IndexKind, times: int) -> float:
    """The median of several, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    taken = []
    for _ in range(times):
        with context.Pool(1) as pool:
            taken.append(pool.apply(open_once, (path, key, kind)))
    return statistics.median(taken)


def rekeying(path: Path, before: bytes | None, after: bytes | None) -> float:
    """Seconds to change the key, with the erasing of what was there before."""
    database = open_database(path, create=False, key=before)
    try:
        began = time.perf_counter()
        rekey(database, after, GraphCache(path, "", 0).forget)
        return time.perf_counter() - began
    finally:
        database.close()


def measure(counts: Iterable[int], times: int, hnsw: bool) -> None:
    print(f"{'rows':>9} {'':<7}{'fill s':>8}{'exact s':>9}{'HNSW s':>8}{'file MB':>9}{'index MB':>10}")
    for rows in counts:
        with tempfile.TemporaryDirectory() as folder:
            for name, key in (("clear", None), ("sealed", KEY)):
                path = Path(folder) / name / "g.db"
                filled = fill(path, rows, key)
                exact = opening(path, key, "exact", times)
                if hnsw:
                    open_once(path, key, "hnsw")  # builds and keeps the index
                graph = opening(path, key, "hnsw", times) if hnsw else float("nan")
                index = sum(file.stat().st_size for file in path.parent.glob("*.hnsw*")) / 1e6
                sizes = f"{path.stat().st_size / 1e6:>9.1f}{index:>10.1f}"
                print(f"{rows:>9,} {name:<7}{filled:>8.2f}{exact:>9.3f}{graph:>8.3f}{sizes}", flush=True)
            path = Path(folder) / "clear" / "g.db"
            changes = [rekeying(path, *keys) for keys in ((None, KEY), (KEY, bytes(32)), (bytes(32), None))]
            print("{:>9,} encrypt {:.2f} s, rotate-key {:.2f} s, decrypt {:.2f} s".format(rows, *changes), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--times", type=int, default=5, help="openings of which the median is taken")
    parser.add_argument("--no-hnsw", action="store_true", help="leave out the index that takes minutes to build")
    options = parser.parse_args()
    measure(options.rows, options.times, not options.no_hnsw)


if __name__ == "__main__":
    main()
