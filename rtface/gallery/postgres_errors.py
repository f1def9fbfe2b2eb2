"""PostgreSQL's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from rtface.errors import GalleryBroken, GalleryError, GalleryLost, GalleryMismatch, GalleryUnavailable
from rtface.server_url import ServerUrl

_LOST = ("08", "57P")
"""Classes of codes: connection exceptions; the server is shutting down, has crashed or is starting."""
_AGAIN = "somebody else changes it at the same moment: try again"

_SENTENCES: dict[str, str] = {
    "55P03": "The gallery {url} is locked by another program: close it, or try again.",
    "57014": "The gallery {url} took too long to answer: try again; if it stays so, look at the server's load.",
    "40001": f"The gallery {{url}} did not answer, for {_AGAIN}.",
    "40P01": f"The gallery {{url}} did not answer, for {_AGAIN}.",
    "25006": "The gallery {url} can only be read here: this server is a standby. Changes go to its primary: name that "
    "one with --set gallery=URL, or add target_session_attrs=read-write.",
    "28P01": "The server of {url} refuses the password: put it into the URL, the variable PGPASSWORD or the file "
    "~/.pgpass.",
    "28000": "The server of {url} refuses this user ({error}): see its pg_hba.conf.",
    "3D000": "There is no database of this name ({url}): its administrator makes it with createdb.",
    "42501": "This user may not do that with the gallery {url} ({error}): its owner GRANTs the right.",
    "42704": "pgvector is in a schema that this user may not use ({url}): its owner says "
    "GRANT USAGE ON SCHEMA ... TO ...",
    "53100": "No room for the gallery {url}: free some space on the server; nothing reported so far is lost.",
    "53300": "The server of {url} has no connection left ({error}): raise its max_connections.",
}


@contextmanager
def explained(url: ServerUrl) -> Iterator[None]:
    """Turns errors of psycopg into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise explanation(error, url) from None if _tells_secrets(error, url) else error


def _tells_secrets(error: psycopg.Error, url: ServerUrl) -> bool:
    return url.hidden_in(str(error)) != str(error)


def explanation(error: psycopg.Error, url: ServerUrl) -> GalleryError:
    """Our error for one of psycopg's."""
    code = error.sqlstate or _code_in(str(error))
    # Not its details, which may hold a name.
    words = url.hidden_in(error.diag.message_primary or str(error)).strip().replace("\n", " ")
    if code in _SENTENCES:
        return GalleryUnavailable(_SENTENCES[code].format(url=url, error=words))
    if code == "42804" or (code == "23502" and "vector" in words):
        return GalleryMismatch(
            f"The gallery {url} has rows, and their column fits no other form of vectors ({words}): rtface gallery "
            "copy it into a file, change that, and copy it into a new database."
        )
    if code.startswith(_LOST) or (not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)):
        return GalleryLost(f"The gallery {url} cannot be reached ({words}): is its server running and the network up?")
    if isinstance(error, psycopg.ProgrammingError) and not code:
        return GalleryUnavailable(f"{url} is no address of a PostgreSQL server: {words}.")
    if isinstance(error, psycopg.OperationalError):
        return GalleryUnavailable(f"The gallery {url} cannot be read or written: {words}.")
    return GalleryBroken(f"The gallery {url} is not a gallery, or it is damaged: {words}.")


def _code_in(message: str) -> str:
    """libpq gives no code for a connection refused by the server, only its words."""
    for words, code in (
        ("password authentication failed", "28P01"),
        ("no password supplied", "28P01"),
        ("no pg_hba.conf entry", "28000"),
        ("too many clients", "53300"),
        ("remaining connection slots", "53300"),
    ):
        if words in message:
            return code
    if 'database "' in message and "does not exist" in message:
        return "3D000"
    return ""
