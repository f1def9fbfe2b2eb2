"""The gallery's front door: where it is, and what it is opened with."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from rtface.errors import ConfigError, MissingLibrary
from rtface.gallery.cache import GraphCache
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.index import IndexKind
from rtface.gallery.live_index import DEFAULT_RECALL
from rtface.gallery.memory import GalleryMemory
from rtface.gallery.model import GalleryModel
from rtface.gallery.names import person_name
from rtface.gallery.people import Consent, Person, Picture, Provenance
from rtface.gallery.sqlite import BUSY_SECONDS, open_database
from rtface.gallery.vectors import Rows
from rtface.server_url import ServerUrl

if TYPE_CHECKING:
    from rtface.gallery.postgres import PostgresDatabase

__all__ = ["Consent", "Person", "PersonGallery", "Picture", "Provenance", "open_gallery", "person_name"]


def open_gallery(
    path: Path | ServerUrl,
    *,
    model: str,
    fingerprint: str,
    size: int,
    create: bool = False,
    index: IndexKind | Literal["database"] = "auto",
    clock: Callable[[], float] = time.time,
    patience: float = BUSY_SECONDS,
    key: bytes | None = None,
    basis: Rows | None = None,
    recall: float = DEFAULT_RECALL,
) -> PersonGallery:
    """The gallery in this file or on this server, for one embedding model. An empty gallery becomes that model's.

    Args:
        path: the SQLite file, or the PostgreSQL server.
        model: name of the embedding model.
        fingerprint: tells its weights from any others.
        size: numbers in an embedding.
        create: make the file when it is not there.
        index: ``exact`` or ``hnsw`` in this process, ``database`` on the server; ``auto`` takes the exact one for as
            long as it is fast enough.
        clock: seconds since 1970.
        patience: seconds to wait for another program's lock.
        key: 32 bytes for an encrypted gallery, see ``keys.read_key``; an empty gallery becomes this key's.
        basis: (size, d) orthonormal columns that hold all embeddings of the model, where they need no more.
        recall: how often a graph in this process finds the nearest row, 0..1; measured on the gallery itself.

    Raises:
        GalleryUnavailable: missing, locked, or not readable.
        KeyRefused: a key is missing, wrong, or given for a gallery that has none.
        GalleryBroken: not a gallery, damaged, or of a newer rtface.
        GalleryMismatch: its vectors are another model's.
    """
    owner = GalleryModel(model, fingerprint, size, basis)
    if isinstance(path, ServerUrl):
        gallery: PersonGallery = _on_servers().open_on_server(
            path, owner, create=create, index=index, clock=clock, patience=patience, key=key, recall=recall
        )
        return gallery
    if index == "database":
        raise ConfigError("A gallery in a file is not searched by a server: --set index=auto, exact or hnsw.")
    database = open_database(path, create=create, patience=patience, key=key)
    try:
        owner.refuse_others(database)
        form = owner.form(database)
        cache = GraphCache(path, fingerprint, form.size, database.sealer)
        connect = partial(open_database, path, create=False, patience=patience, key=key)
        searcher = GalleryMemory(
            database, cache, form, index, lambda: date.fromtimestamp(clock()), recall=recall, connect=connect
        )
        return PersonGallery(database, owner, form, searcher, clock=clock, connect=connect)
    except BaseException:
        database.close()
        raise


def open_server_database(url: ServerUrl, *, create: bool, patience: float, key: bytes | None) -> PostgresDatabase:
    """See ``postgres_store``. Raises also MissingLibrary."""
    database: PostgresDatabase = _on_servers().open_server_database(url, create=create, patience=patience, key=key)
    return database


def _on_servers() -> ModuleType:
    try:
        from rtface.gallery import postgres_store
    except ModuleNotFoundError as error:
        raise MissingLibrary(
            "A gallery on a PostgreSQL server needs psycopg, which is not installed: pip install 'rtface[postgres]'"
        ) from error
    return postgres_store
