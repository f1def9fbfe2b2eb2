"""How fast and how right galleries of up to a million people are searched: exact, rtface, hnswlib, usearch, faiss.

    python tests/benchmarks/search.py --shared ../shared --out DIR [--keep KEPT] [--rows 1000 10000] [--sizes 512 128]
        [--libraries exact hnswlib] [--links 16] [--people real|noise] [--threads 1] [--lock FILE] [--table]

The people are made up, in the likeness of FaceNet's (512 numbers) and SFace's (128) embeddings of LFW; see
``people.py`` and, for how like they are, ``likeness.py``. One gallery row a person; asked are second pictures of 1,000
of them (``known``) and 1,000 strangers, on one core. A JSON line for each case goes to DIR/search.jsonl as soon as it
is measured, and a case that is there already is not measured again. ``--keep`` keeps what takes long (embeddings, true
neighbours, graphs) in KEPT, and takes from there what an earlier run has kept: a new DIR with an old KEPT measures
loading and searching again without building.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""For numpy's products; the graphs are told their threads."""
SIZES = (512, 128)
"""FaceNet's and SFace's."""
ASKED = 1000
BATCH = 8
K = 5
EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
ENOUGH = 0.9995
"""Recall beyond which no wider search is measured."""


def main() -> None:
    """Measures what is asked for and not yet there, each case in a process of its own."""
    options = _options()
    for folder in (options.out, options.keep or options.out):
        folder.mkdir(parents=True, exist_ok=True)
    if options.table:
        print(table(read(options.out), options.recall))
    elif options.one:
        library, size, rows, links = options.one.split(",")
        measure(options, library, int(size), int(rows), int(links))
    else:
        for case in cases(options):
            if not any(_case(line) == case for line in read(options.out)):
                words = [*sys.argv[1:], "--one", ",".join(map(str, case[1:]))]
                subprocess.run([sys.executable, __file__, *words], check=False, env=os.environ | ONE_THREAD)


def cases(options: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    """People, library, size, rows, links: the small ones first."""
    for rows in options.rows:
        for size in options.sizes:
            for library in options.libraries:
                for links in [0] if library in ("exact", "rtface") else options.links:
                    yield options.people, library, size, rows, links


def measure(options: argparse.Namespace, library: str, size: int, rows: int, links: int) -> None:
    """Builds one index, or takes the one kept, asks it, and writes its lines."""
    import numpy as np

    from tests.benchmarks.nearest import LIBRARIES, Rtface
    from tests.benchmarks.people import embedded, fitted, noise, real

    keep = options.keep or options.out
    people = noise(size) if options.people == "noise" else fitted(*real(embedded(options.shared, keep, size)))
    queries = np.stack([people.queries(rows, ASKED), people.strangers(ASKED)], axis=1).reshape(-1, size)  # in turn
    truth = nearest(keep / f"truth-{options.people}-{size}-{rows}.npz", people, rows, queries)
    file = keep / f"{options.people}-{library}-{size}-{rows}-{links}.npy"
    if not file.with_suffix(".json").exists():
        build(options, LIBRARIES[library](size, rows, links), lambda: people.gallery(rows), file)
    index, before = LIBRARIES[library](size, rows, links), resident_mb()
    start = time.perf_counter()
    index.load(file)
    base = {"people": options.people, "library": library, "size": size, "rows": rows, "links": links}
    base |= json.loads(file.with_suffix(".json").read_text())
    base |= {"load_s": round(time.perf_counter() - start, 2), "loaded_mb": round(resident_mb() - before)}
    if not options.keep:
        file.unlink()
        file.with_suffix(".json").unlink()
    chosen = index.chosen() if isinstance(index, Rtface) else {"ef": 0}
    for effort in {"exact": (0,), "rtface": (0, *EFFORTS)}.get(library, EFFORTS):
        line = (
            base
            | {"chosen": chosen, "ef": effort or chosen["ef"]}
            | asked(options, index, effort, queries, *truth, near=chosen.get("near", 0.0))
        )
        with (options.out / "search.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        if effort and min(line["known_recall1"], line["stranger_recall1"]) >= ENOUGH:
            break


def build(options: argparse.Namespace, index: Any, gallery: Callable[[], Iterator[Any]], file: Path) -> None:
    """Writes an index, and beside it what building took."""
    before, drawing = resident_mb(), [0.0, 0.0]
    with locked(options.lock, fcntl.LOCK_SH):
        start, cpu = time.perf_counter(), time.process_time()
        index.build(lambda: _timed(gallery(), drawing), options.threads)
        built = {
            "build_s": round(time.perf_counter() - start - drawing[0], 2),
            "build_cpu_s": round(time.process_time() - cpu - drawing[1], 2),
            "threads": options.threads,
            "memory_mb": round(resident_mb() - before),
        }
    start = time.perf_counter()
    index.save(file)
    built |= {"save_s": round(time.perf_counter() - start, 2), "file_mb": round(file.stat().st_size / 1e6)}
    file.with_suffix(".json").write_text(json.dumps(built))


def asked(
    options: argparse.Namespace, index: Any, effort: int, queries: Any, truth: Any, cosines: Any, *, near: float
) -> dict[str, float]:
    """Recall of known people and of strangers, and times on one core. ``near_recall`` is of those of the true five
    nearest that are no farther than ``near``."""
    import numpy as np

    from tests.benchmarks.nearest import Exact

    index.aim(effort)
    with locked(options.lock, fcntl.LOCK_EX):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        try:
            for query in queries[:100]:
                index.search(query[None], K)
            ones, busy, found = _times(index, queries, 1, 20.0)
            batches, _, _ = _times(index, queries, BATCH, 10.0)
        finally:
            os.sched_setaffinity(0, cores)
    if not isinstance(index, Exact):  # a slow machine times some of the questions, but all are counted
        rest = [index.search(queries[first : first + BATCH], K)[0] for first in range(len(found), len(queries), BATCH)]
        found = np.concatenate([found, *rest])
    wanted = truth[: len(found)]
    hits = (found[:, :, None] == wanted[:, None, :]).any(axis=1)
    close = 2 - 2 * cosines[: len(found)] <= near
    known = np.arange(len(found)) % 2 == 0
    return {
        "p50_ms": round(float(np.percentile(ones[::2], 50)), 3),
        "p95_ms": round(float(np.percentile(ones[::2], 95)), 3),
        "cpu_p50_ms": round(float(np.percentile(busy[::2], 50)), 3),
        "stranger_p50_ms": round(float(np.percentile(ones[1::2], 50)), 3),
        "stranger_p95_ms": round(float(np.percentile(ones[1::2], 95)), 3),
        "batch_p50_ms": round(float(np.percentile(batches, 50)), 3),
        "batch_p95_ms": round(float(np.percentile(batches, 95)), 3),
        "known_recall1": round(float((found[known, 0] == wanted[known, 0]).mean()), 4),
        "known_recall5": round(float(hits[known].mean()), 4),
        "stranger_recall1": round(float((found[~known, 0] == wanted[~known, 0]).mean()), 4),
        "stranger_recall5": round(float(hits[~known].mean()), 4),
        "near_recall": round(float(hits[close].mean()), 4) if close.any() else 1.0,
        "near_rows": int(close.sum()),
        "asked": len(found),
    }


def _times(index: Any, queries: Any, batch: int, most_s: float) -> tuple[list[float], list[float], Any]:
    """Milliseconds a search by the clock and of the CPU, and what was found; not much longer than ``most_s`` in all."""
    import numpy as np

    times, busy, found, until = [], [], [], time.perf_counter() + most_s
    for first in range(0, len(queries), batch):
        start, cpu = time.perf_counter(), time.process_time()
        labels, _ = index.search(queries[first : first + batch], K)
        times.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - cpu))
        found.append(labels)
        if time.perf_counter() > until and first >= 10 * batch:
            break
    return times, busy, np.concatenate(found)


def nearest(file: Path, people: Any, rows: int, queries: Any) -> Any:
    """(N, K) labels and cosines by comparing with every row; kept in a file."""
    import numpy as np

    if file.exists():
        with np.load(file) as known:
            return known["labels"], known["cosines"]
    labels = np.empty((len(queries), 0), np.int64)
    cosines = np.empty((len(queries), 0), np.float32)
    for start, block in people.gallery(rows):
        product = queries @ block.T
        best = np.argpartition(-product, K - 1, axis=1)[:, :K]
        labels = np.concatenate([labels, best + start], axis=1)
        cosines = np.concatenate([cosines, np.take_along_axis(product, best, axis=1)], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :K]
        labels, cosines = np.take_along_axis(labels, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    np.savez(file, labels=labels, cosines=cosines)
    return labels, cosines


@contextmanager
def locked(file: Path | None, kind: int) -> Iterator[None]:
    """Holds a lock that other work on this machine takes too, shared for work and exclusive for timing."""
    if file is None:
        yield
        return
    with file.open() as stream:
        fcntl.flock(stream, kind)
        yield


def _timed(blocks: Iterator[Any], seconds: list[float]) -> Iterator[Any]:
    """The blocks; adds to ``seconds`` how long drawing them takes, by the clock and of the CPU: no part of building."""
    while True:
        start, cpu = time.perf_counter(), time.process_time()
        block = next(blocks, None)
        seconds[0] += time.perf_counter() - start
        seconds[1] += time.process_time() - cpu
        if block is None:
            return
        yield block


def resident_mb() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def read(out: Path) -> list[dict[str, Any]]:
    """Lines measured so far."""
    file = out / "search.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _case(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[key] for key in ("people", "library", "size", "rows", "links"))


def table(lines: list[dict[str, Any]], recall: float) -> str:
    """Markdown: each index at the narrowest search of this recall@1 of known people, or else at its widest; rtface's as
    it has chosen to be."""
    out = [
        "| people | numbers | rows | index | M | ef | build s | MB | load s | known: p50 ms | p95 ms | recall@1 | @5 | "
        "strangers: p50 ms | p95 ms | recall@1 | @5 | 8 at once p50 ms |",
        "|---" * 18 + "|",
    ]
    for case in sorted({_case(line) for line in lines}, key=lambda one: (one[0], -one[2], one[3], one[1], one[4])):
        own = [line for line in lines if _case(line) == case]
        line = own[0] if case[1] == "rtface" else next((one for one in own if one["known_recall1"] >= recall), own[-1])
        links = line.get("chosen", {}).get("links") or line["links"] or ""
        out.append(
            f"| {line['people']} | {line['size']} | {line['rows']:,} | {line['library']} | {links} | "
            f"{line['ef'] or ''} | {line['build_s']:.0f} | {line['loaded_mb']} | {line['load_s']:.1f} | "
            + " | ".join(
                f"{line[key]:.{digits}f}"
                for key, digits in (
                    *(("p50_ms", 2), ("p95_ms", 2), ("known_recall1", 4), ("known_recall5", 4)),
                    *(("stranger_p50_ms", 2), ("stranger_p95_ms", 2), ("stranger_recall1", 4), ("stranger_recall5", 4)),
                    ("batch_p50_ms", 2),
                )
            )
            + " |"
        )
    return "\n".join(out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 128], choices=SIZES)
    parser.add_argument("--libraries", nargs="+", default=["exact", "rtface", "hnswlib", "usearch", "faiss"])
    parser.add_argument("--links", type=int, nargs="+", default=[16], help="M of the graphs")
    parser.add_argument("--people", choices=["real", "noise"], default="real")
    parser.add_argument("--lock", type=Path, help="a lock file that other work on this machine holds")
    parser.add_argument("--keep", type=Path, help="a folder for what takes long, used again")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of building")
    parser.add_argument("--recall", type=float, default=0.999, help="of known people, that the table's ef is chosen by")
    parser.add_argument("--table", action="store_true", help="only print what was measured")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
