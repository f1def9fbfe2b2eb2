"""Where a gallery's key is: a file, an environment variable, or the system's keyring. 32 bytes, as 64 hex digits."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from rtface.errors import KeyRefused, MissingLibrary
from rtface.gallery.sealing import KEY_BYTES
from rtface.gallery.syncing import sync_folder

KINDS = "file:PATH, env:NAME or keyring:SERVICE/NAME"


def read_key(source: str, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The key at a place such as the setting ``gallery_key`` names; None for "".

    Args:
        source: ``file:PATH``, ``env:NAME`` or ``keyring:SERVICE/NAME``.
        environment: where NAME is looked up.

    Raises:
        KeyRefused: it is not there, cannot be read, is no key, or others can read its file.
        MissingLibrary: ``keyring`` is not installed.
    """
    if not source:
        return None
    kind, place = _parted(source)
    if kind == "file":
        return _key(_file_content(Path(place)), source)
    if kind == "env":
        if place not in environment:
            raise KeyRefused(f"There is no {place} in the environment, where the gallery's key should be.")
        return _key(environment[place].encode(), source)
    found = _from_keyring(*_entry(place))
    if found is None:
        raise KeyRefused(f"The system's keyring has no {place}, where the gallery's key should be.")
    return _key(found.encode(), source)


def make_key(source: str) -> bytes:
    """Makes a new random key and keeps it there, durably, before anything is sealed with it.

    Raises:
        KeyRefused: it cannot be kept there, or something is there already.
        MissingLibrary: ``keyring`` is not installed.
    """
    kind, place = _parted(source)
    key = secrets.token_bytes(KEY_BYTES)
    if kind == "file":
        _write_new(Path(place), key.hex() + "\n")
    elif kind == "keyring":
        service, name = _entry(place)
        if _from_keyring(service, name) is not None:
            raise KeyRefused(f"The system's keyring has {place} already: name another, so that no key is lost.")
        _into_keyring(service, name, key.hex())
    else:
        raise KeyRefused(f"A key in the environment is made by you, for example: {place}=$(openssl rand -hex 32)")
    return key


def has_key(source: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether anything is kept there, a key or not."""
    kind, place = _parted(source)
    if kind == "file":
        return Path(place).exists()
    return place in environment if kind == "env" else _from_keyring(*_entry(place)) is not None


def _parted(source: str) -> tuple[str, str]:
    kind, _, place = source.partition(":")
    if kind not in ("file", "env", "keyring") or not place:
        # What was given is not repeated: it may be the key itself.
        raise KeyRefused(f"A gallery's key is given by its place: {KINDS}.")
    return kind, str(Path(place).expanduser()) if kind == "file" else place


def _entry(place: str) -> tuple[str, str]:
    service, _, name = place.rpartition("/")
    if not service or not name:
        raise KeyRefused("An entry of the keyring has two names: keyring:SERVICE/NAME.")
    return service, name


def _key(content: bytes, source: str) -> bytes:
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyRefused(f"What is at {source} is no key: {2 * KEY_BYTES} hex digits, such as openssl rand -hex 32.")
    return key


def _file_content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyRefused(f"Others can read or change the key file {path}: chmod 600 {path}")
            return stream.read(1000)
    except FileNotFoundError:
        raise KeyRefused(f"There is no key file {path}.") from None
    except OSError as error:
        if isinstance(error, KeyRefused):
            raise
        raise KeyRefused(f"The key file {path} cannot be read: {error.strerror or error}.") from error


def _write_new(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(path.parent)
    except FileExistsError:
        raise KeyRefused(f"The key file {path} exists already: name another, so that no key is lost.") from None
    except OSError as error:
        raise KeyRefused(f"The key file {path} cannot be written: {error.strerror or error}.") from error


def _library() -> ModuleType:
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as error:
        raise MissingLibrary(
            "A key in the system's keyring needs keyring, which is not installed: pip install 'rtface[keyring]'"
        ) from error
    return keyring


def _from_keyring(service: str, name: str) -> str | None:
    library = _library()
    try:
        found: str | None = library.get_password(service, name)
    except library.errors.KeyringError as error:
        raise KeyRefused(f"The system's keyring cannot be asked for {service}/{name}: {error}") from error
    return found


def _into_keyring(service: str, name: str, value: str) -> None:
    library = _library()
    try:
        library.set_password(service, name, value)
    except library.errors.KeyringError as error:
        raise KeyRefused(f"The system's keyring does not take {service}/{name}: {error}") from error
