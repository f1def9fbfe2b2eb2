"""Several processes share a gallery on a server, and servers that go away."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rtface.errors import GalleryLost, GalleryUnavailable
from rtface.gallery import postgres_server
from rtface.gallery.postgres import PostgresDatabase
from rtface.gallery.store import PersonGallery
from rtface.server_url import ServerUrl
from tests import postgres as servers
from tests.gallery import nodes, program
from tests.gallery.samples import enroll, gallery_at, units

NODES = ["exact", "exact", "database", "database"]
SLACK_S = 1.5
"""For a machine on which tests run beside each other; the median is held to the second."""


@pytest.fixture(scope="module")
def own_server() -> servers.Server:
    """One that may be stopped."""
    return servers.new_server()


@pytest.fixture
def url(own_server: servers.Server) -> Iterator[ServerUrl]:
    yield own_server.url(own_server.new_database())
    if not (own_server.data / "postmaster.pid").exists():
        own_server.start()


def settles(condition: Callable[[], bool], seconds: float = 15) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_four_nodes_see_each_change_of_a_writer_within_a_second(url: ServerUrl) -> None:
    gallery_at(url).close()
    with ExitStack() as stack:
        pipes: list[Connection] = []
        for kind in NODES:
            _, pipe = stack.enter_context(program.running(nodes.watch, url, kind))
            pipes.append(pipe)
        assert [pipe.recv() for pipe in pipes] == ["ready"] * len(NODES)
        _, written = stack.enter_context(program.running(nodes.write, url, 2 * nodes.LOOK_S))
        changes = list(iter(written.recv, "done"))
        seen = [collected(pipe, changes[-1][1]) for pipe in pipes]
    assert len(changes) == 6
    delays = []
    for node in seen:
        for at, revision, counts in changes:
            first = next(message for message in node if message[1] >= revision)
            delays.append(first[0] - at)
            if first[1] == revision:
                assert first[2] == counts
    delays.sort()
    assert delays[len(delays) // 2] < 1.0
    assert delays[-1] < 1.0 + SLACK_S
    final = changes[-1][2]
    assert all(node[-1][2] == final for node in seen)
    assert [node[-1][3] for node in seen] == ["person 2"] * len(NODES)
    assert any(message[3] == "Ada" for node in seen for message in node)


def collected(pipe: Connection, revision: int) -> list[tuple[float, int, dict[str, int], str | None]]:
    """What a node has said until it has seen this revision."""
    said: list[tuple[float, int, dict[str, int], str | None]] = []
    while not said or said[-1][1] < revision:
        assert pipe.poll(20), "a node does not see the change"
        said.append(pipe.recv())
    return said


@pytest.fixture(params=["exact", "database"])
def reader(request: pytest.FixtureRequest, url: ServerUrl) -> Iterator[PersonGallery]:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 3))
    with gallery_at(url, index=request.param) as gallery:
        gallery.search(units(1, 1), 1)
        gallery.refresh()
        assert settles(lambda: not gallery.database.may_differ(gallery.revision))
        yield gallery


def test_server_that_is_lost_and_back(
    own_server: servers.Server, url: ServerUrl, reader: PersonGallery, caplog: pytest.LogCaptureFixture
) -> None:
    searched_there = not hasattr(reader.searcher, "index")
    revision = reader.revision
    own_server.stop(how="immediate")
    with caplog.at_level(logging.WARNING):
        assert settles(lambda: raises_lost(reader.refresh))
        assert settles(lambda: "out of reach; what is known of it stays in use" in caplog.text)
        began = time.monotonic()
        for _ in range(50):
            assert raises_lost(lambda: reader.search(units(1, 1), 1)) == searched_there
        assert time.monotonic() - began < 2, "each of them waited for the server"
        assert (reader.revision, reader.model.name) == (revision, "facenet")
        own_server.start()
        assert settles(lambda: not raises_lost(reader.refresh))
        assert settles(lambda: "is back" in caplog.text)
    assert reader.search(units(1, 1), 1)[0][0].person == "Ada"
    with gallery_at(url) as writer:
        enroll(writer, "Bob", units(2, 1))
    assert settles(lambda: reader.refresh() or "Bob" in reader.counts())
    assert reader.search(units(2, 1), 1)[0][0].person == "Bob"
    assert caplog.text.count("out of reach") == 1
    assert servers.PASSWORD not in caplog.text


def test_server_that_hangs_does_not_hold_the_video(
    own_server: servers.Server, url: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes are stopped: the system still takes what is sent to them, and nothing ever comes back."""
    monkeypatch.setattr(postgres_server, "ANSWER_S", 1.0)
    with gallery_at(url) as writer:
        enroll(writer, "Ada", units(1, 3))
    with gallery_at(url, index="database") as reader:
        reader.refresh()
        assert reader.search(units(1, 1), 1)[0][0].person == "Ada"
        stopped = backends(own_server, url)
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert raises_lost(lambda: reader.search(units(1, 1), 1))
            assert time.monotonic() - began < 15
            began = time.monotonic()
            assert all(raises_lost(lambda: reader.search(units(1, 1), 1)) for _ in range(20))
            assert time.monotonic() - began < 2
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        assert settles(lambda: not raises_lost(lambda: reader.search(units(1, 1), 1)))
        assert reader.search(units(1, 1), 1)[0][0].person == "Ada"


def backends(server: servers.Server, url: ServerUrl) -> list[int]:
    """The server's processes that serve this database's clients."""
    with server.superuser() as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s", (url.secret.rpartition("/")[2],)
        ).fetchall()
    return [int(str(pid)) for (pid,) in rows]


def raises_lost(act: Callable[[], object]) -> bool:
    try:
        act()
    except GalleryLost as error:
        assert "cannot be reached" in str(error)
        return True
    return False


def test_restart_between_two_commands_is_not_noticed(own_server: servers.Server, url: ServerUrl) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 1))
        own_server.stop()
        own_server.start()
        assert gallery.people()[0].name == "Ada"
        enroll(gallery, "Bob", units(2, 1))
        assert gallery.counts() == {"Ada": 1, "Bob": 1}


def test_what_was_acknowledged_is_there_after_a_crash(own_server: servers.Server, url: ServerUrl) -> None:
    gallery_at(url).close()
    with program.running(program.add_forever, url, 1) as (process, pipe):
        reported = [pipe.recv() for _ in range(40)]
        own_server.stop(how="immediate")
        process.join(20)
        reported += program.everything_said(pipe)
    own_server.start()
    with gallery_at(url) as gallery:
        kept = {picture.sha256 for person in gallery.people() for picture in gallery.pictures(person.name)}
        assert set(reported) <= kept
        assert len(kept - set(reported)) <= 1
        assert gallery.check() == []


def test_writer_that_is_killed_leaves_no_half_person_and_no_lock(url: ServerUrl) -> None:
    gallery_at(url).close()
    reported: set[str] = set()
    for kill in range(5):
        with program.running(program.add_forever, url, kill) as (process, pipe):
            for _ in range(3 + kill):
                reported.add(pipe.recv())
            process.kill()
            process.join()
            reported.update(program.everything_said(pipe))
        with gallery_at(url, patience=5) as gallery:
            enroll(gallery, "Ada", units(50 + kill, 1), tag=str(kill))
            assert gallery.check() == []
            kept = {picture.sha256 for person in gallery.people() for picture in gallery.pictures(person.name)}
            assert reported <= kept


@pytest.fixture(scope="module")
def standby(own_server: servers.Server) -> Iterator[servers.Server]:
    folder = Path(tempfile.mkdtemp(prefix="rtface-pg-"))
    folder.chmod(0o755)
    copy = own_server.standby(folder / "standby")
    yield copy
    copy.stop(how="immediate")


def test_standby_is_searched_follows_and_is_not_written(
    own_server: servers.Server, standby: servers.Server, url: ServerUrl
) -> None:
    database = url.secret.rpartition("/")[2]
    with gallery_at(url) as writer:
        enroll(writer, "Ada", units(1, 3))
        assert settles(lambda: is_there(standby, database))
        either = f"127.0.0.1:{own_server.port},127.0.0.1:{standby.port}"
        replica = ServerUrl(
            url.secret.replace(f"127.0.0.1:{own_server.port}", either) + "?target_session_attrs=prefer-standby"
        )
        for kind in ("exact", "database"):
            with gallery_at(replica, index=kind, create=False) as reader:
                assert not reader.database.writable
                assert reader.search(units(1, 1), 1)[0][0].person == "Ada"
                reader.refresh()
                enroll(writer, f"Bob {kind}", units(2, 1), tag=kind)
                assert settles(partial(has_come, reader, f"Bob {kind}"))
                with pytest.raises(GalleryUnavailable, match="it is a standby"):
                    reader.remove("Ada")
        back = ServerUrl(str(replica.secret).replace("prefer-standby", "read-write"))
        with gallery_at(back) as gallery:
            assert isinstance(gallery.database, PostgresDatabase) and gallery.database.writable


def has_come(reader: PersonGallery, name: str) -> bool:
    return reader.refresh() or name in reader.counts()


def is_there(server: servers.Server, database: str) -> bool:
    with server.superuser() as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchall():
            return False
    with server.superuser(database) as connection:
        found = connection.execute("SELECT to_regclass('rtface.embeddings')::text").fetchone()
        return found != (None,) and connection.execute("SELECT count(*) FROM rtface.embeddings").fetchone() == (3,)
