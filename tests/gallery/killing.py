"""A gallery that is changed by a process which is killed, again and again, and what it must then be.

The process says what it is about to do and, once that is durable, that it is done. Whoever kills it keeps the account:
afterwards the gallery is exactly as after the last change reported, or as after the one begun then.
"""

from __future__ import annotations

import random
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.errors import KeyRefused
from rtface.gallery.cache import GraphCache
from rtface.gallery.people import Consent, Person, Picture, vectors_of
from rtface.gallery.portable import Entry, Export, Row
from rtface.gallery.receiving import receive
from rtface.gallery.rekeying import rekey
from rtface.gallery.sqlite import open_database
from rtface.gallery.store import PersonGallery
from tests.gallery import program
from tests.gallery.samples import SIZE, bytes_on_disk, gallery_at, traces, units

KINDS = ("enrol", "remove", "rename", "merge", "import", "save", "key")
"""Of changes; ``save`` builds the index and keeps it, ``key`` encrypts, changes the key or decrypts."""
MOST_PEOPLE = 8


def face(sha: str) -> NDArray[np.float32]:
    """(SIZE,) the embedding of the picture of this name."""
    return np.asarray(units(zlib.crc32(sha.encode()), 1)[0])


def portrait(sha: str) -> bytes:
    """The crop of this picture."""
    return b"JPEG " + random.Random(sha).randbytes(60)


@dataclass(frozen=True)
class Change:
    """One change: its kind, whom it is about, and pictures, the other name or the new key in hex."""

    kind: str
    name: str = ""
    more: tuple[str, ...] = ()


@dataclass
class State:
    """People with their pictures, and the key."""

    people: dict[str, frozenset[str]] = field(default_factory=dict)
    key: bytes | None = None

    def after(self, change: Change) -> State:
        """What this change makes of it."""
        people, new = deepcopy(self.people), frozenset(change.more)
        if change.kind in ("enrol", "import"):
            people[change.name] = people.get(change.name, frozenset()) | new
        elif change.kind == "remove":
            del people[change.name]
        elif change.kind == "rename":
            people[change.more[0]] = people.pop(change.name)
        elif change.kind == "merge":
            people[change.more[0]] = people[change.more[0]] | people.pop(change.name)
        key = bytes.fromhex(change.more[0]) or None if change.kind == "key" else self.key
        return State(people, key)


def choose(rng: random.Random, state: State) -> Change:
    """The next change."""
    names = sorted(state.people)
    kinds = ["enrol", "import"] if len(names) < 3 else [*KINDS[:-1]] * 3 + ["key"]
    kind = "remove" if len(names) >= MOST_PEOPLE else rng.choice(kinds)
    fresh, some = f"{rng.getrandbits(64):016x}", tuple(f"{rng.getrandbits(64):016x}" for _ in range(rng.randint(2, 5)))
    if kind == "key":
        return Change(kind, more=(rng.randbytes(32).hex() if state.key is None or rng.random() < 0.5 else "",))
    if kind == "enrol":
        return Change(kind, rng.choice([*names, fresh]), some[:1])
    if kind == "import":
        return Change(kind, fresh, some)
    if kind == "merge":
        one, other = rng.sample(names, 2)
        return Change(kind, one, (other,))
    return Change(kind, "" if kind == "save" else rng.choice(names), (fresh,) if kind == "rename" else ())


def perform(gallery: PersonGallery, change: Change) -> None:
    """Does it; ``save`` and ``key`` are done with the gallery closed or closing."""
    if change.kind == "enrol":
        (sha,) = change.more
        gallery.add(change.name, face(sha), sha256=sha, file=f"/pictures/{sha}", quality=0.5, crop=portrait(sha))
    elif change.kind == "remove":
        gallery.remove(change.name)
    elif change.kind == "rename":
        gallery.rename(change.name, change.more[0])
    elif change.kind == "merge":
        gallery.merge(change.name, change.more[0])
    elif change.kind == "import":
        rows = [Row(Picture(sha, f"/pictures/{sha}", 1.0, 0.5), face(sha), portrait(sha)) for sha in change.more]
        person = Person(change.name, 0, 1.0, 0, "a note", ("tag",), Consent(1.0, "tests"))
        export = Export(Path("import"), gallery.form.name, gallery.form.size, iter([Entry(person, rows)]))
        receive(gallery, export, today=date(2023, 1, 1))
    elif change.kind == "save":
        gallery.search(units(1, 1), 3)
        gallery.close()


def live(pipe: Connection, path: Path, seed: int, key: bytes | None) -> None:
    """Changes the gallery until killed, saying each ``Change`` before, and ``None`` once it is durable."""
    rng = random.Random(seed)
    while True:
        with gallery_at(path, index="hnsw", key=key, patience=5) as gallery:
            change = Change("")
            while change.kind not in ("save", "key"):
                change = choose(rng, State(people_of(gallery), key))
                pipe.send(change)
                if change.kind == "key":
                    gallery.close()
                    key = change_key(path, key, bytes.fromhex(change.more[0]) or None)
                perform(gallery, change)
                pipe.send(None)


def change_key(path: Path, before: bytes | None, after: bytes | None) -> bytes | None:
    """Encrypts, decrypts or changes the key; gives the new one."""
    database = open_database(path, create=False, key=before, patience=5)
    try:
        rekey(database, after, GraphCache(path, "1f2e", SIZE).forget)
    finally:
        database.close()
    return after


def people_of(gallery: PersonGallery) -> dict[str, frozenset[str]]:
    """Everybody, with the pictures."""
    return {one.name: frozenset(pic.sha256 for pic in gallery.pictures(one.name)) for one in gallery.people()}


@dataclass
class Account:
    """What became of all the kills.

    ``done`` and ``undone`` count the changes under way at a kill by their kind, ``reported`` those said to be durable;
    ``lasted`` are the seconds they took.
    """

    state: State = field(default_factory=State)
    reported: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    between: int = 0
    lasted: dict[str, list[float]] = field(default_factory=lambda: {kind: [0.01] for kind in KINDS})


def kill_once(path: Path, account: Account, seed: int) -> None:
    """Lets a process live for a while, kills it within a change, and holds the gallery against the account."""
    rng = random.Random(f"kill {seed}")
    target, spare = rng.choice(KINDS), rng.randint(0, 3)
    gone: set[str] = set()
    with program.running(live, path, seed, account.state.key) as (process, pipe):
        under_way: Change | None = None
        for change, took in _followed(pipe):
            if change is None:
                assert under_way is not None
                _settle(account, under_way, gone)
                account.lasted[under_way.kind].append(took)
            under_way, spare = change, spare - (change is None)
            if spare <= 0 and change is not None and (change.kind == target or spare < -30):
                break
        assert under_way is not None
        pipe.poll(rng.uniform(0, 0.8 * statistics.median(account.lasted[under_way.kind][-15:])))
        process.kill()
        process.join()
        for change in _rest(pipe):
            if change is None:
                assert under_way is not None
                _settle(account, under_way, gone)
            under_way = change
    _hold_against(path, account, under_way, gone)


def _followed(pipe: Connection) -> Iterator[tuple[Change | None, float]]:
    while True:
        began = time.perf_counter()
        yield pipe.recv(), time.perf_counter() - began


def _rest(pipe: Connection) -> Iterator[Change | None]:
    try:
        while True:
            yield pipe.recv()
    except EOFError:
        return


def _settle(account: Account, change: Change, gone: set[str]) -> None:
    after = account.state.after(change)
    gone |= _left(account.state, after)
    account.state = after
    account.reported[change.kind] += 1


def _left(before: State, after: State) -> set[str]:
    """Names and pictures that were there and are not."""
    every = [{*state.people, *(sha for shas in state.people.values() for sha in shas)} for state in (before, after)]
    return every[0] - every[1]


def _hold_against(path: Path, account: Account, under_way: Change | None, gone: set[str]) -> None:
    before = account.state
    after = before if under_way is None else before.after(under_way)
    found = _found(path, [before, after])
    assert found in (before, after), f"{under_way} left {found}, not {before} or {after}"
    if under_way is None:
        account.between += 1
    elif before != after:
        (account.done if found == after else account.undone)[under_way.kind] += 1
    else:
        account.undone[under_way.kind] += 1  # an index is no change: it is there or it is built again
    gone |= _left(before, found)
    everything = bytes_on_disk(path)
    for name in gone:
        assert name.encode() not in everything, "a name or picture that is gone is still on disk"
        assert traces(path, face(name)) == 0 and portrait(name)[5:] not in everything
    for sha in {sha for shas in found.people.values() for sha in shas} if found.key is not None else ():
        assert traces(path, face(sha)) == 0 and portrait(sha)[5:] not in everything, "an open vector in a sealed file"
    account.state = found


def _found(path: Path, possible: list[State]) -> State:
    """What the gallery holds, whole: database, vectors, faces, and the index against both."""
    for key in {state.key for state in possible}:
        try:
            gallery = gallery_at(path, index="hnsw", key=key, patience=5)
        except KeyRefused:
            continue
        with gallery:
            assert gallery.check() == []
            people = people_of(gallery)
            for name, shas in people.items():
                assert len(shas) == len(vectors_of(gallery.database, name)) > 0, "half a person"
                for sha in shas:
                    assert gallery.search(face(sha)[None], 1)[0][0].person == name, "index and truth do not agree"
        return State(people, key)
    raise AssertionError("no key opens the gallery")


def table(account: Account) -> str:
    """The counts, a line a kind of change."""
    lines = [f"{'change':<8}{'reported':>10}{'killed in':>11}{'done':>7}{'undone':>8}"]
    for kind in KINDS:
        done, undone = account.done[kind], account.undone[kind]
        lines.append(f"{kind:<8}{account.reported[kind]:>10,}{done + undone:>11,}{done:>7,}{undone:>8,}")
    total = account.done.total() + account.undone.total()
    lines.append(f"{'all':<8}{account.reported.total():>10,}{total:>11,}{account.done.total():>7,}")
    return "\n".join([*lines, f"and {account.between} kills between two changes"])
