"""Whoever is removed from a gallery on a server is in no file of its database afterwards."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rtface.gallery import postgres
from rtface.server_url import ServerUrl
from tests import postgres as servers
from tests.gallery.samples import enroll, gallery_at, units


@pytest.fixture
def server() -> servers.Server:
    return servers.shared_server()


@pytest.fixture
def url(server: servers.Server) -> ServerUrl:
    return server.url(server.new_database())


@pytest.fixture
def rewritten_up_to(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(postgres, "REWRITTEN_UP_TO", request.param)
    return request.param  # type: ignore[no-any-return]


def bytes_of_tables(server: servers.Server, url: ServerUrl) -> bytes:
    """Every file of this database as it is on disk: tables, indexes, statistics; not the log of the whole server."""
    (folder,) = servers.ask(server, url, "SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()")[0]
    with server.superuser() as connection:
        connection.execute("CHECKPOINT")
    return b"".join(file.read_bytes() for file in sorted((server.data / folder).iterdir()) if file.is_file())


def pieces(row: Any, kind: str) -> list[bytes]:
    """Four numbers at a time, as float32 or as half precision, as they lie on disk."""
    data = row.astype(kind).tobytes()
    return [data[start : start + 16] for start in range(0, len(data), 16)]


def test_erased_person_is_in_no_table_and_no_index(server: servers.Server, url: ServerUrl) -> None:
    ada, bob = units(1, 30), units(2, 30)
    with gallery_at(url) as gallery:
        enroll(gallery, "Bob", bob)
        enroll(gallery, "Ada Secretname", ada)
        gallery.note("Ada Secretname", "secretnote")
        gallery.tag("Ada Secretname", ["secrettag"])
        servers.ask(server, url, "ANALYZE")
        before = bytes_of_tables(server, url)
        gallery.remove("Ada Secretname")
        after = bytes_of_tables(server, url)
    for word in (b"Secretname", b"secretnote", b"secrettag", *pieces(ada[3], "<f4"), *pieces(ada[3], "<f2")):
        assert word in before
        assert word not in after
    assert all(piece in after for piece in pieces(bob[3], "<f4"))


@pytest.mark.parametrize("rewritten_up_to", [10], indirect=True)
def test_person_erased_from_a_large_gallery_leaves_the_index_and_cannot_be_read(
    server: servers.Server, url: ServerUrl, rewritten_up_to: int, caplog: pytest.LogCaptureFixture
) -> None:
    ada, bob = units(1, 30), units(2, 30)
    with gallery_at(url) as gallery, caplog.at_level(logging.WARNING):
        enroll(gallery, "Ada", ada)
        enroll(gallery, "Bob", bob)
        gallery.remove("Ada")
        assert gallery.database.rows("SELECT erasing FROM meta") == [(0,)]
    after = bytes_of_tables(server, url)
    assert not any(piece in after for piece in pieces(ada[3], "<f2")), "half precision: the index's"
    assert "VACUUM FULL in a quiet hour" in caplog.text
    assert "Ada" not in caplog.text


def test_statistics_hold_nothing_of_anybody(server: servers.Server, url: ServerUrl) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada Secretname", units(1, 30))
        enroll(gallery, "Bob Secretname", units(2, 30))
    servers.ask(server, url, "ANALYZE")
    found = servers.ask(
        server, url, "SELECT tablename, attname FROM pg_stats WHERE schemaname = 'rtface' ORDER BY 1, 2"
    )
    personal = {"name", "note", "consent_for", "sha256", "file", "box", "vector", "tag", "jpeg"}
    assert found and not personal & {column for _, column in found}
