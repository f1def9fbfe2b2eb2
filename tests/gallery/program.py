"""Galleries used by other processes, which may be killed. Started through ``multiprocessing``'s fork server."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from rtface.server_url import ServerUrl
from tests.gallery.samples import gallery_at, units

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["rtface.gallery.store", "hnswlib", "numpy", "tests.gallery.killing"])


@contextmanager
def running(work: Callable[..., None], *arguments: object) -> Iterator[tuple[ForkServerProcess, Connection]]:
    """A process doing ``work(pipe, *arguments)`` and the end of the pipe where it reports; killed at the end."""
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=work, args=(there, *arguments))
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        process.kill()
        process.join()
        here.close()


def everything_said(pipe: Connection) -> list[str]:
    """What is left in the pipe of a process that has ended."""
    said = []
    try:
        while True:
            said.append(pipe.recv())
    except EOFError:
        return said


def add_forever(pipe: Connection, path: Path | ServerUrl, seed: int) -> None:
    """Enrols two people picture by picture and says each one's sha256 once it is durable."""
    with gallery_at(path) as gallery:
        for place, row in enumerate(units(seed, 100_000)):
            sha = f"{seed}-{place}"
            gallery.add(f"{seed}-{place % 2}", row, sha256=sha, file="x", quality=0.5)
            pipe.send(sha)


def live_forever(pipe: Connection, path: Path, seed: int) -> None:
    """Adds, removes and keeps its index, saying before (``-``) and after (``=``) what it does to whom."""
    rng = np.random.default_rng(seed)
    place = 0
    while True:
        with gallery_at(path, index="hnsw") as gallery:
            for _ in range(3):
                name = f"{seed}-{place}"
                gallery.add(name, units(place, 1)[0], sha256=name, file="x", quality=0.5)
                pipe.send(f"+{name}")
                place += 1
            gallery.search(units(1, 1), 3)
            if rng.random() < 0.7:
                name = str(rng.choice(sorted(gallery.counts())))
                pipe.send(f"-{name}")
                gallery.remove(name)
                pipe.send(f"={name}")


def make(pipe: Connection, path: Path | ServerUrl, barrier: Barrier) -> None:
    """Makes the gallery at the same moment as others do."""
    barrier.wait()
    with gallery_at(path, patience=30) as gallery:
        pipe.send(gallery.revision)


def add_some(pipe: Connection, path: Path, barrier: Barrier, tag: str) -> None:
    """Adds 15 pictures of its own and 5 that every such process has to one person."""
    with gallery_at(path, patience=30) as gallery:
        barrier.wait()
        for place, row in enumerate(units(len(tag) * 1000 + ord(tag[0]), 15)):
            gallery.add("Ada", row, sha256=f"{tag}-{place}", file=tag, quality=0.5)
        for place, row in enumerate(units(5, 5)):
            gallery.add("Ada", row, sha256=f"shared-{place}", file=tag, quality=0.5)
    pipe.send("done")


def fill_small_disk(pipe: Connection, path: Path, limit: int) -> None:
    """Enrols until no file of this process may grow further, saying each sha256 once it is durable."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with gallery_at(path) as gallery:
        for place, row in enumerate(units(3, 10_000)):
            try:
                gallery.add("Ada", row, sha256=str(place), file="x", quality=0.5)
            except OSError as error:
                pipe.send(f"! {error}")
                return
            pipe.send(str(place))


def read_without_rights(pipe: Connection, path: Path, user: int) -> None:
    """As this user, where it may become one: says who is nearest, then what is said to each change."""
    if os.geteuid() == 0:
        os.setgid(user)
        os.setuid(user)
    with gallery_at(path, create=False, index="hnsw") as gallery:
        pipe.send(gallery.search(units(1, 1), 1)[0][0].person)
        changes: tuple[Callable[[], None], ...] = (
            lambda: gallery.add("Bob", units(2, 1)[0], sha256="b", file="x", quality=0.5),
            lambda: gallery.remove("Ada"),
            lambda: gallery.rename("Ada", "Augusta"),
        )
        for change in changes:
            try:
                change()
            except OSError as error:
                pipe.send(str(error))
