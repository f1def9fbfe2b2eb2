"""A gallery on a real PostgreSQL server: its tables, its rights, its sentences, what it leaves on disk."""

import logging
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.errors import ConfigError, GalleryBroken, GalleryLost, GalleryMismatch, GalleryUnavailable
from rtface.gallery import postgres_schema, postgres_search, postgres_server, schema
from rtface.gallery.compacting import compact
from rtface.gallery.copy_ends import open_end
from rtface.gallery.copying import copy_gallery
from rtface.gallery.people import SHOWN
from rtface.gallery.postgres import PostgresDatabase
from rtface.gallery.postgres_search import ServerSearcher
from rtface.gallery.postgres_vectors import as_vectors
from rtface.gallery.rekeying import rekey
from rtface.gallery.store import open_gallery
from rtface.server_url import ServerUrl
from tests import postgres as servers
from tests.gallery import program
from tests.gallery.bulk import fill
from tests.gallery.samples import SIZE, clusters, distances, enroll, gallery_at, units


@pytest.fixture
def server() -> servers.Server:
    return servers.shared_server()


@pytest.fixture
def url(server: servers.Server) -> ServerUrl:
    return server.url(server.new_database())


def test_tables_are_those_of_a_file(url: ServerUrl, tmp_path: Path) -> None:
    gallery_at(url).close()
    gallery_at(tmp_path / "g.db").close()
    there, here = open_end(url, key=None), open_end(tmp_path / "g.db", key=None)
    names = [name for (name,) in here.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    tables = [name for name in names if not name.startswith("sqlite_")]
    assert len(tables) >= 7
    assert {name: set(there.columns(name)) for name in tables} == {name: set(here.columns(name)) for name in tables}
    there.database.close()
    here.database.close()
    assert len(schema.VERSIONS) >= len(postgres_schema.VERSIONS)


def test_gallery_is_made_when_told_to_and_only_then(url: ServerUrl) -> None:
    with pytest.raises(GalleryUnavailable, match=r"is empty: rtface enroll NAME DIR fills it"):
        gallery_at(url, create=False)
    gallery_at(url).close()
    gallery_at(url, create=False).close()


def test_programs_that_start_at_once_make_the_tables_once(server: servers.Server, url: ServerUrl) -> None:
    barrier = program.CONTEXT.Barrier(4)
    with (
        program.running(program.make, url, barrier) as (_, first),
        program.running(program.make, url, barrier) as (_, second),
        program.running(program.make, url, barrier) as (_, third),
        program.running(program.make, url, barrier) as (_, fourth),
    ):
        assert [pipe.recv() for pipe in (first, second, third, fourth)] == [0, 0, 0, 0]
    assert servers.ask(server, url, "SELECT version FROM rtface.versions") == [(1,)]


def test_tables_of_a_newer_rtface_are_left_alone(server: servers.Server, url: ServerUrl) -> None:
    gallery_at(url).close()
    servers.ask(server, url, "INSERT INTO rtface.versions (version) VALUES (99)")
    with pytest.raises(GalleryBroken, match=r"newer rtface \(version 99.*pip install --upgrade"):
        gallery_at(url)


def test_older_tables_are_brought_up_to_date(
    url: ServerUrl, monkeypatch: pytest.MonkeyPatch, server: servers.Server
) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 2))
    more = (*postgres_schema.VERSIONS, ("ALTER TABLE people ADD COLUMN shoe_size integer",))
    monkeypatch.setattr(postgres_schema, "VERSIONS", more)
    monkeypatch.setattr(postgres_schema, "VERSION", 2)
    with gallery_at(url) as gallery:
        assert gallery.counts() == {"Ada": 2}
    assert servers.ask(server, url, "SELECT shoe_size FROM rtface.people") == [(None,)]


def test_server_without_pgvector_is_told_what_to_do(server: servers.Server) -> None:
    bare = server.url(server.new_database(template="template0"))
    with pytest.raises(GalleryUnavailable, match="CREATE EXTENSION vector"):
        gallery_at(bare)
    servers.ask(server, bare, "CREATE SCHEMA extras; CREATE EXTENSION vector SCHEMA extras")
    with pytest.raises(GalleryUnavailable, match="GRANT USAGE"):
        gallery_at(bare)
    servers.ask(server, bare, "GRANT USAGE ON SCHEMA extras TO PUBLIC")
    with gallery_at(bare, index="database") as gallery:
        enroll(gallery, "Ada", units(1, 2))
        assert gallery.search(units(1, 1), 1)[0][0].person == "Ada"


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (("correct%20horse", "wrong-word"), GalleryUnavailable, "refuses the password.*PGPASSWORD"),
        (("/gallery_", "/nowhere_"), GalleryUnavailable, "no database of this name.*createdb"),
        (("rtface:", "nobody-knows:"), GalleryUnavailable, "refuses the password"),
        (("127.0.0.1:", "127.0.0.1:1,127.0.0.1:1"), GalleryLost, "cannot be reached"),
        (("/gallery_", "?nonsense=1&dbname=gallery_"), GalleryUnavailable, "no address of a PostgreSQL server"),
    ],
)
def test_what_a_server_refuses_is_said_without_the_password(
    url: ServerUrl, change: tuple[str, str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        gallery_at(ServerUrl(url.secret.replace(*change)))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not any(word in str(chain) for word in ("correct%20horse", "correct horse", "wrong-word"))
        chain = chain.__cause__


def test_password_comes_from_the_environment_or_the_password_file(
    url: ServerUrl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = ServerUrl(url.secret.replace(":correct%20horse", ""))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    with pytest.raises(GalleryUnavailable, match=r"refuses the password.*~/\.pgpass"):
        gallery_at(bare)
    monkeypatch.setenv("PGPASSWORD", servers.PASSWORD)
    gallery_at(bare).close()
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:*:*:{servers.USER}:{servers.PASSWORD}\n")
    (tmp_path / "pgpass").chmod(0o600)
    gallery_at(bare).close()


def test_one_writer_at_a_time_and_the_other_says_so(url: ServerUrl) -> None:
    with gallery_at(url) as one, gallery_at(url, patience=0.2) as other:
        enroll(one, "Ada", units(1, 1))
        with (
            one.database.writing(),
            pytest.raises(GalleryUnavailable, match="locked by another program"),
            other.database.writing(),
        ):
            pytest.fail("two writers")
        enroll(other, "Bob", units(2, 1))
        assert other.counts() == {"Ada": 1, "Bob": 1}


def test_error_inside_a_transaction_undoes_it(url: ServerUrl) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 1))
        with pytest.raises(ZeroDivisionError), gallery.database.writing():
            gallery.database.execute("DELETE FROM people")
            raise ZeroDivisionError
        assert gallery.counts() == {"Ada": 1}
        enroll(gallery, "Ada", units(2, 1), tag="again")


def test_user_who_may_only_read_finds_and_cannot_change(server: servers.Server, url: ServerUrl) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 3))
    servers.ask(
        server,
        url,
        "CREATE ROLE guest LOGIN PASSWORD 'guest word'; GRANT USAGE ON SCHEMA rtface TO guest;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA rtface TO guest",
    )
    guest = ServerUrl(url.secret.replace("rtface:correct%20horse", "guest:guest%20word"))
    try:
        for kind in ("exact", "database"):
            with open_gallery(guest, model="facenet", fingerprint="1f2e", size=SIZE, index=kind) as gallery:
                assert not gallery.database.writable
                assert gallery.search(units(1, 1), 1)[0][0].person == "Ada"
                with pytest.raises(GalleryUnavailable, match="can only be read here"):
                    gallery.remove("Ada")
    finally:
        servers.ask(server, url, "DROP OWNED BY guest; DROP ROLE guest")


def test_column_and_index_have_the_model_s_size(server: servers.Server, url: ServerUrl) -> None:
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 1))
        gallery.remove("Ada")
    columns = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'rtface.embeddings'::regclass"
    assert servers.ask(server, url, f"{columns} AND attname = 'vector'") == [(f"vector({SIZE})",)]
    with gallery_at(url, model="sface", fingerprint="77", size=2 * SIZE, index="database") as gallery:
        enroll(gallery, "Bob", units(1, 3, 2 * SIZE))
        assert gallery.search(units(1, 1, 2 * SIZE), 1)[0][0].distance < 1e-6
    assert servers.ask(server, url, f"{columns} AND attname = 'vector'") == [(f"vector({2 * SIZE})",)]
    definition = servers.ask(server, url, "SELECT pg_get_indexdef('rtface.embeddings_near'::regclass)")[0][0]
    assert f"halfvec({2 * SIZE})" in definition
    with pytest.raises(GalleryMismatch, match="made with the model sface"):
        gallery_at(url)


def test_search_on_the_server_uses_its_index_and_finds_what_brute_force_finds(url: ServerUrl) -> None:
    rows, queries = clusters(5, people=150, each=10, spread=0.8), clusters(5, people=150, each=1, spread=0.8)[:100]
    with gallery_at(url, index="database") as gallery:
        fill(gallery, rows, each=10)
        assert isinstance(gallery.searcher, ServerSearcher)
        found = gallery.search(queries, 5)
        exact = gallery.searcher.exact(queries, 5)
        plan = explained_search(gallery.database, queries[:1])
        assert gallery.check() == []
    truth = distances(queries, rows)
    for row, near in zip(truth, exact, strict=True):
        order = np.argsort(row)[:5]
        assert [neighbor.picture for neighbor in near] == (order + 1).tolist()
        assert [neighbor.distance for neighbor in near] == pytest.approx(row[order], abs=3e-6)
    hits = sum(
        len({a.picture for a in near} & {b.picture for b in right}) for near, right in zip(found, exact, strict=True)
    )
    assert hits >= 0.99 * 5 * len(queries)
    assert "embeddings_near" in plan


def test_face_with_nobody_near_is_searched_for_widely(server: servers.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "SEARCH_EFFORT", 1)
    by_graph = server.url(
        server.new_database(), parameters="?options=-c%20enable_seqscan%3Doff%20-c%20enable_sort%3Doff"
    )
    rows, queries = units(1, 4000, 128), units(2, 100, 128)
    nearest = (queries @ rows.T).argmax(axis=1) + 1
    right = {}
    with gallery_at(by_graph, size=128, index="database") as gallery:
        fill(gallery, rows, each=1)
        for near in (4.0, postgres_search.NEAR):
            monkeypatch.setattr(postgres_search, "NEAR", near)
            together = gallery.search(queries, 5)
            right[near] = np.mean([found[0].picture for found in together] == nearest)
            assert [gallery.search(query[None], 5)[0] for query in queries[:5]] == together[:5]
        assert gallery.database.rows("SELECT current_setting('hnsw.ef_search')") == [("1",)]
    narrow, both = right.values()
    assert narrow < 0.7 and both > 0.98


def explained_search(database: Any, queries: Any) -> str:
    near = postgres_search._GRAPH.format(size=SIZE, limit=32)
    sql = "EXPLAIN " + postgres_search._SEARCH.format(near=near, shown=SHOWN, widely="", on="")
    return "\n".join(line for (line,) in database.rows(sql, "2020-01-01", as_vectors(queries)))


def test_people_whose_consent_ends_are_not_found_though_they_are_the_nearest(url: ServerUrl) -> None:
    now = [1_700_000_000.0]
    gallery = open_gallery(
        url, model="facenet", fingerprint="1f2e", size=SIZE, create=True, index="database", clock=lambda: now[0]
    )
    with gallery:
        middle = clusters(7, people=1, each=60, spread=0.1)
        enroll(gallery, "Near", middle)
        enroll(gallery, "Far", units(70, 3))
        gallery.consent("Near", "door", date(2023, 11, 20))
        assert {near.person for near in gallery.search(middle[:1], 3)[0]} == {"Near"}
        now[0] += 30 * 86400
        found = gallery.search(middle[:1], 3)[0]
        assert [near.person for near in found] == ["Far"] * 3
        assert dict(gallery.counts()) == {"Far": 3}
        assert "Near" not in gallery.counts()
        assert list(gallery.counts().values()) == [3]
        assert len(gallery) == 3


def test_nothing_is_asked_while_nothing_is_told(url: ServerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = PostgresDatabase.rows

    def counted(self: PostgresDatabase, sql: str, *values: object, types: tuple[type, ...] = ()) -> Any:
        asked.append(sql)
        return plain(self, sql, *values, types=types)

    with gallery_at(url) as gallery, gallery_at(url) as writer:
        enroll(gallery, "Ada", units(1, 2))
        gallery.refresh()
        assert settles(lambda: not gallery.database.may_differ(gallery.revision))
        monkeypatch.setattr(PostgresDatabase, "rows", counted)
        assert not any(gallery.refresh() for _ in range(1000))
        assert asked == []
        enroll(writer, "Bob", units(2, 1))
        asked.clear()
        assert settles(gallery.refresh)
        assert gallery.counts() == {"Ada": 2, "Bob": 1}
        assert 0 < len(asked) < 20


def settles(condition: Any, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_vectors_encrypted_with_a_key_are_searched_here_and_not_there(url: ServerUrl) -> None:
    pytest.importorskip("cryptography")
    with gallery_at(url, key=bytes(32)) as gallery:
        enroll(gallery, "Ada", units(1, 3))
        assert gallery.search(units(1, 1), 1)[0][0].person == "Ada"
        assert gallery.check() == []
    with pytest.raises(GalleryMismatch, match="cannot search in vectors that are encrypted"):
        gallery_at(url, key=bytes(32), index="database")


def test_gallery_with_rows_cannot_be_compacted_in_place_but_by_way_of_a_file(
    server: servers.Server, url: ServerUrl, tmp_path: Path
) -> None:
    with gallery_at(url, size=512) as gallery:
        enroll(gallery, "Ada", units(1, 3, 512))
        with pytest.raises(GalleryMismatch, match="rtface gallery copy"):
            compact(gallery)
        assert gallery.check() == []
        assert gallery.search(units(1, 1, 512), 1)[0][0].person == "Ada"
    copy_gallery(url, tmp_path / "g.db")
    with gallery_at(tmp_path / "g.db", size=512) as gallery:
        compact(gallery)
        found = gallery.search(units(1, 2, 512), 3)
    back = server.url(server.new_database())
    copy_gallery(tmp_path / "g.db", back)
    with gallery_at(back, size=512) as gallery:
        assert gallery.form.name != "float32"
        assert gallery.search(units(1, 2, 512), 3) == found
        assert gallery.check() == []


def test_gallery_with_rows_cannot_be_encrypted_in_place(url: ServerUrl) -> None:
    pytest.importorskip("cryptography")
    with gallery_at(url) as gallery:
        enroll(gallery, "Ada", units(1, 3))
        with pytest.raises(GalleryMismatch, match="rtface gallery copy"):
            rekey(gallery.database, bytes(32), lambda: None)
        assert gallery.check() == []


def test_a_file_is_not_searched_by_a_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="index=auto, exact or hnsw"):
        gallery_at(tmp_path / "g.db", index="database")


def test_forgetful_server_is_told(url: ServerUrl, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        gallery_at(url).close()
    assert "fsync = off: what it acknowledges does not outlive a power cut" in caplog.text
    assert servers.PASSWORD not in caplog.text
