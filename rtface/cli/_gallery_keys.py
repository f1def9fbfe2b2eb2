"""``rtface gallery encrypt|decrypt|rotate-key``: a gallery whose vectors and faces only the owner of a key can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import read_config, say, settings_options

if TYPE_CHECKING:
    from rtface.gallery.database import Database

WARNING = (
    "Keep a copy of the key in another place: without it nobody can read the gallery again. Exports and backups made "
    "before are as they were."
)


@click.command("encrypt")
@click.argument("key", required=False)
@settings_options
def encrypt(key: str | None, config: Path | None, settings: tuple[str, ...]) -> None:
    """Seal every vector and kept face, and the saved index, with the key at KEY.

    KEY is file:PATH, env:NAME or keyring:SERVICE/NAME; left out, it is the setting gallery_key. In a file or the
    keyring a new key is made if there is none. Names, notes, tags, paths and dates stay readable, as they are searched:
    use an encrypted disk as well where these are secret. All of it happens, or nothing.
    """
    place = key or read_config(config, settings).gallery_key
    if not place:
        raise click.UsageError(
            "Where is the key? rtface gallery encrypt file:PATH, or env:NAME, or keyring:SERVICE/NAME"
        )
    with _database(
        config, settings, None, "is encrypted already: rtface gallery rotate-key changes its key"
    ) as gallery:
        _rekey(gallery, _wanted_key(place), f'is encrypted. Set gallery_key = "{_printed(place)}". {WARNING}')


@click.command("decrypt")
@settings_options
def decrypt(config: Path | None, settings: tuple[str, ...]) -> None:
    """Open everything that was sealed: afterwards whoever can read the file can read faces."""
    from rtface.gallery.keys import read_key

    key = read_key(read_config(config, settings).gallery_key)
    if key is None:
        raise click.UsageError("Where is the key? rtface gallery decrypt --set gallery_key=file:PATH")
    with _database(config, settings, key, None) as gallery:
        _rekey(gallery, None, 'is no longer encrypted. Set gallery_key = "".')


@click.command("rotate-key")
@click.argument("key")
@settings_options
def rotate_key(key: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Seal everything anew with another key, at KEY; the setting gallery_key is the one of before.

    KEY is as for rtface gallery encrypt. Afterwards the old key opens nothing of this gallery. All of it happens, or
    nothing; programs that have the gallery open stop using it and say so.
    """
    from rtface.errors import KeyRefused
    from rtface.gallery.keys import read_key

    before = read_key(read_config(config, settings).gallery_key)
    if before is None:
        raise click.UsageError("Which key has it now? rtface gallery rotate-key KEY --set gallery_key=file:PATH")
    with _database(config, settings, before, None) as gallery:
        after = _wanted_key(key)
        if after == before:
            raise KeyRefused("That is the key the gallery has: name another place, for example file:new.key.")
        _rekey(gallery, after, f'has its new key. Set gallery_key = "{_printed(key)}". {WARNING}')


@contextmanager
def _database(
    config: Path | None, settings: tuple[str, ...], key: bytes | None, encrypted: str | None
) -> Iterator[Database]:
    """The gallery's database, opened with this key; ``encrypted`` is told where it has one and none is given."""
    from rtface.errors import ConfigError, KeyRefused
    from rtface.gallery.sqlite import open_database

    place = read_config(config, settings).gallery
    if not isinstance(place, Path):
        raise ConfigError(
            "A gallery on a server has the key it was made with: set gallery_key for a new one, and rtface gallery "
            "import what this one exports."
        )
    try:
        database = open_database(place, create=False, key=key)
    except KeyRefused as error:
        raise (error if encrypted is None else KeyRefused(f"The gallery {place} {encrypted}.")) from None
    try:
        yield database
    finally:
        database.close()


def _wanted_key(place: str) -> bytes:
    """The key at a place, made if there is none."""
    from rtface.gallery.keys import has_key, make_key, read_key

    found = read_key(place) if has_key(place) else make_key(place)
    assert found is not None
    return found


def _rekey(database: Database, key: bytes | None, done: str) -> None:
    from rtface.gallery.cache import GraphCache
    from rtface.gallery.rekeying import record_of, rekey

    before = record_of(database)
    try:
        rekey(database, key, GraphCache(Path(database.place), "", 0).forget)
    finally:  # traces of before may have to wait for another program, but the key is the new one
        if record_of(database) != before:
            say(f"The gallery {database.place} {done}")


def _printed(place: str) -> str:
    """A place as a setting that works in any folder."""
    kind, _, rest = place.partition(":")
    return f"file:{Path(rest).expanduser().absolute()}" if kind == "file" else place
