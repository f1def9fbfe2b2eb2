"""A gallery on a PostgreSQL server, put together: who searches it, and how its vectors lie there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal

from rtface.errors import GalleryMismatch
from rtface.gallery.cache import Digest, GraphCache, Saved
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.index import EXACT_UP_TO, IndexKind
from rtface.gallery.memory import GalleryMemory
from rtface.gallery.model import GalleryModel
from rtface.gallery.postgres import PostgresDatabase
from rtface.gallery.postgres_search import ServerSearcher
from rtface.gallery.postgres_server import PostgresServer
from rtface.gallery.postgres_vectors import VectorColumn
from rtface.gallery.searcher import Searcher
from rtface.gallery.vectors import Float32, VectorForm
from rtface.server_url import ServerUrl

SearchKind = IndexKind | Literal["database"]


def open_on_server(
    url: ServerUrl,
    model: GalleryModel,
    *,
    create: bool,
    index: SearchKind,
    clock: Callable[[], float],
    patience: float,
    key: bytes | None,
    recall: float,
) -> PersonGallery:
    """See ``store.open_gallery``. ``auto``: in this process for as long as that is exact, then on the server."""
    database = open_server_database(url, create=create, patience=patience, key=key)
    try:
        model.refuse_others(database)
        form = model.form(database)
        there = form.name == Float32.name and database.sealer.record is None
        if there:
            form = VectorColumn(form.size)

        def today() -> date:
            return date.fromtimestamp(clock())

        searcher = _searcher(database, form, index, today, there=there, recall=recall)
        return PersonGallery(database, model, form, searcher, clock=clock, connect=database.beside)
    except BaseException:
        database.close()
        raise


def open_server_database(url: ServerUrl, *, create: bool, patience: float, key: bytes | None) -> PostgresDatabase:
    """A connection to the gallery on this server, its tables checked.

    Raises:
        GalleryUnavailable, GalleryBroken, KeyRefused: see ``store.open_gallery``.
    """
    database = PostgresDatabase(PostgresServer(url, create=create), patience=patience)
    try:
        database.open_seal(key)
    except BaseException:
        database.close()
        raise
    return database


def _searcher(
    database: PostgresDatabase,
    form: VectorForm,
    index: SearchKind,
    today: Callable[[], date],
    *,
    there: bool,
    recall: float,
) -> Searcher:
    """``there`` tells whether the server can read the vectors."""
    if index == "database" and not there:
        raise GalleryMismatch(
            f"The server of {database.place} cannot search in vectors that are encrypted or compact: leave "
            "--set index=database out, and this computer searches."
        )
    many = database.rows("SELECT 1 FROM embeddings LIMIT 1 OFFSET ?", EXACT_UP_TO)
    if index == "database" or (index == "auto" and there and many):
        return ServerSearcher(database, form, today)
    return GalleryMemory(database, _NotKept(), form, index, today, recall=recall, connect=database.beside)


class _NotKept(GraphCache):
    """No index on this computer's disk: whoever is erased by another one would stay in it."""

    def __init__(self) -> None:
        pass

    def load(self, digest: Digest, rows: int) -> Saved | None:  # noqa: ARG002 - the cache's
        return None

    def save(self, saved: Saved, digest: Digest, revision: int) -> None:
        pass

    def resize(self, size: int) -> None:
        pass

    def size(self) -> int:
        return 0

    def forget(self) -> None:
        pass
