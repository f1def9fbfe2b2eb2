"""Vectors and faces sealed with a key: AES-256-GCM, every value with a random nonce and bound to its row.

A gallery's key is derived from the owner's (HKDF-SHA256 with the gallery's own salt), so that galleries under one key
share no key, and none comes near the 2^32 random nonces that one bears. What is sealed for a row opens for that row of
that gallery alone: a value put under another row, or taken from another gallery, is known for what it is. Nothing here
is our own cryptography: ``AESGCM`` and ``HKDF`` of the library ``cryptography``, imported in this file alone.

Source: NIST SP 800-38D, 8.2.2 and 8.3 (random nonces of 96 bits, at most 2^32 a key); RFC 5869 (HKDF).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Protocol

from rtface.errors import GalleryBroken, KeyRefused, MissingLibrary

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

What = Literal["vector", "crop", "index"]
KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
OVERHEAD = NONCE_BYTES + 16
"""Bytes a sealed value is longer than what it holds: nonce and tag."""
VERSION = b"\x01"
_KNOWN = b"rtface gallery"
"""Sealed in the gallery's record, to tell a wrong key before anything is read with it."""


class Sealer(Protocol):
    """Between the database and whoever reads vectors and faces."""

    @property
    def record(self) -> bytes | None:
        """What ``meta.sealed`` holds; None where there is no key."""

    def seal(self, plain: bytes, what: What, row: int) -> bytes:
        """What is kept of a value; ``row`` is the picture's id, for an index the number of the part."""

    def opened(self, stored: object, what: What, row: int) -> object:
        """What was sealed for this row; None for anything else, which in a damaged database may be of any type."""


class Unsealed:
    """For a gallery without a key: everything as it is."""

    record = None

    def seal(self, plain: bytes, what: What, row: int) -> bytes:  # noqa: ARG002 - the joint's
        """See ``Sealer``."""
        return plain

    def opened(self, stored: object, what: What, row: int) -> object:  # noqa: ARG002
        """See ``Sealer``."""
        return stored


UNSEALED = Unsealed()


class Seal:
    """For a gallery with a key."""

    def __init__(self, key: bytes, record: bytes) -> None:
        """Args: ``key`` is the owner's, ``record`` the gallery's.

        Raises:
            KeyRefused: it is another key's gallery.
            GalleryBroken: a newer rtface has sealed it, or the record is damaged.
            MissingLibrary: ``cryptography`` is not installed.
        """
        if len(record) != 1 + SALT_BYTES + OVERHEAD + len(_KNOWN) or record[:1] != VERSION:
            raise GalleryBroken("The gallery's record of its key is damaged, or of a newer rtface: upgrade it.")
        self.record = record
        self._cipher = _cipher(key, record[1 : 1 + SALT_BYTES])
        if self._unsealed(record[1 + SALT_BYTES :], _KNOWN) != _KNOWN:
            raise KeyRefused("The key does not open this gallery.")

    def seal(self, plain: bytes, what: What, row: int) -> bytes:
        """See ``Sealer``."""
        return _sealed(self._cipher, plain, _bound(what, row))

    def opened(self, stored: object, what: What, row: int) -> object:
        """See ``Sealer``."""
        return self._unsealed(stored, _bound(what, row)) if isinstance(stored, bytes) else None

    def _unsealed(self, stored: bytes, bound_to: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        if len(stored) < OVERHEAD:
            return None
        try:
            return self._cipher.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], bound_to)
        except InvalidTag:
            return None


def new_record(key: bytes) -> bytes:
    """What ``meta.sealed`` of a gallery newly sealed with this key holds: version, salt, known words.

    Raises:
        MissingLibrary: ``cryptography`` is not installed.
    """
    salt = os.urandom(SALT_BYTES)
    return VERSION + salt + _sealed(_cipher(key, salt), _KNOWN, _KNOWN)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ModuleNotFoundError as error:
        raise MissingLibrary(
            "A gallery with a key needs cryptography, which is not installed: pip install 'rtface[encryption]'"
        ) from error
    assert len(key) == KEY_BYTES
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"rtface gallery, AES-256-GCM").derive(key))


def _sealed(cipher: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, bound_to)


def _bound(what: What, row: int) -> bytes:
    return what.encode() + row.to_bytes(8, "big", signed=True)


def sealer_for(record: bytes | None, key: bytes | None, place: str) -> Sealer:
    """What opens the gallery with this record.

    Args:
        record: ``meta.sealed``.
        key: the owner's, or None where none is set.
        place: of the gallery, for sentences.

    Raises:
        KeyRefused: a key is missing, wrong, or given for a gallery that has none.
        GalleryBroken: a newer rtface has sealed it, or the record is damaged.
        MissingLibrary: ``cryptography`` is not installed.
    """
    if record is None and key is None:
        return UNSEALED
    if key is None:
        raise KeyRefused(
            f"The gallery {place} is encrypted and no key is set: --set gallery_key=file:PATH, or env:NAME, or "
            "keyring:SERVICE/NAME."
        )
    if record is None:
        raise KeyRefused(
            f"A key is set, but the gallery {place} is not encrypted: rtface gallery encrypt does that with this key; "
            'to use it as it is, --set gallery_key="".'
        )
    try:
        return Seal(key, record)
    except KeyRefused:
        raise KeyRefused(
            f"The key that is set is not the key of the gallery {place}: set gallery_key to the one it was encrypted "
            "with; if rtface gallery rotate-key was run, that is the new one."
        ) from None
    except GalleryBroken as error:
        raise GalleryBroken(f"The gallery {place} cannot be opened. {error}") from None
