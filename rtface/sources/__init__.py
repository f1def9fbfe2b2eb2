"""Where frames come from: one file a kind, found by the form of its address."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rtface import registry
from rtface.errors import SourceUnavailable
from rtface.interfaces import FrameSource

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp")
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm"}
)
FORMS = (
    "a camera's number (0, 1 ...), a stream (rtsp://, rtsps://, http://, https://, udp://), "
    "a video file, a picture, a folder of pictures, or demo"
)

_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;][^=&;#]*(?:pass|pwd|token|secret|key|auth|sig|session|credential)[^=&;#]*=)[^&;#]*"
)


def open_source(uri: str) -> FrameSource:
    """The source an address names; see ``FORMS`` for what it can look like.

    Its ``name`` is the address as given, passwords masked.

    Raises:
        SourceUnavailable: no such source, or it cannot be opened.
        MissingLibrary: a library the source stands on is not installed.
    """
    source: FrameSource = registry.load("sources", _part(uri)).open(uri)
    return source


def open_together(openers: Sequence[Callable[[], FrameSource]]) -> list[FrameSource]:
    """Opens several sources at once, for a camera may take seconds; all or none, in their order.

    Raises:
        SourceUnavailable: two have one name.
        Exception: the first that an opener raised.
    """
    with ExitStack() as opened:
        with ThreadPoolExecutor(max(len(openers), 1)) as pool:
            waiting = [pool.submit(opener) for opener in openers]
        for done in waiting:
            if done.exception() is None:
                opened.callback(done.result().close)
        sources = [done.result() for done in waiting]
        names = [source.name for source in sources]
        for name in names:
            if names.count(name) > 1:
                raise SourceUnavailable(f"The source {name} is named twice. Name each source once.")
        opened.pop_all()
    return sources


def mask(uri: str) -> str:
    """The address with its secrets hidden: ``rtsp://user:***@host/...?token=***``.

    A password with unescaped ``@``, ``/``, ``?`` or ``#`` is hidden too, even if some of the address goes with it;
    unless it begins with digits and one of ``/?#``, when it cannot be told from a port.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    credentials, rest = _split_credentials(rest)
    if credentials:
        user, colon, _ = credentials.partition(":")
        rest = f"{user}:***@{rest}" if colon else f"***@{rest}"
    return scheme + separator + _SECRET_PARAMETER.sub(r"\1***", rest)


def _part(uri: str) -> str:
    """The file of this folder that serves an address."""
    if uri == "demo":
        return "demo"
    scheme, separator, _ = uri.partition("://")
    if uri.isascii() and (uri.isdigit() or uri.startswith("/dev/video")):
        return "video"
    if separator and scheme.isalnum():
        if scheme.lower() in STREAM_SCHEMES:
            return "video"
        raise SourceUnavailable(f"{mask(uri)} is a kind of stream rtface does not know. A source is {FORMS}.")
    if not uri or "\0" in uri:
        raise SourceUnavailable(f"{uri!r} is no source. A source is {FORMS}.")
    path = Path(uri).absolute()
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise SourceUnavailable(f"{path} cannot be opened: {error.strerror}. A source is {FORMS}.") from error
    if not there:
        raise SourceUnavailable(f"{path} does not exist. A source is {FORMS}.")
    return "images" if folder or path.suffix.lower() in PICTURE_SUFFIXES else "video"


def _split_credentials(rest: str) -> tuple[str, str]:
    """What follows ``://`` as (credentials or "", host and path)."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = re.sub(r"^\[[^]]*\]", "", authority).partition(":")[2]  # without an IPv6 address's own colons
    if "@" not in authority and (not port or port.isdigit()):
        return "", rest
    # An unescaped password may hold any sign, so the last @ of all counts: better too much hidden than too little.
    place = rest.rfind("@")
    return (rest[:place], rest[place + 1 :]) if place >= 0 else ("", rest)
