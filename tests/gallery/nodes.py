"""Processes that share a gallery on a server, as ``rtface run`` on many computers does."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from rtface.server_url import ServerUrl
from tests.gallery.samples import gallery_at, units

LOOK_S = 0.5
"""A running recogniser looks more often (``pipeline.gallery_watch``)."""


def watch(pipe: Connection, url: ServerUrl, kind: str) -> None:
    """Looks for changes as often as a running recogniser, and tells each revision when it is first seen, with who is
    there and who is nearest to the first row of ``units(7, 1)``."""
    with gallery_at(url, index=kind) as gallery:  # type: ignore[arg-type]
        gallery.refresh()
        pipe.send("ready")
        told = gallery.revision
        while True:
            gallery.refresh()
            if gallery.revision != told:
                told = gallery.revision
                near = gallery.search(units(7, 1), 1)[0]
                who = near[0].person if near else None
                pipe.send((time.monotonic(), told, dict(gallery.counts()), who))
            time.sleep(LOOK_S)


def write(pipe: Connection, url: ServerUrl, pause_s: float) -> None:
    """Enrols, renames and removes, saying after each change when it was durable and what is there then."""
    with gallery_at(url, patience=30) as gallery:

        def said(change: Callable[[], None]) -> None:
            change()
            pipe.send((time.monotonic(), gallery.revision, dict(gallery.counts())))
            time.sleep(pause_s)

        for number in range(3):
            name = f"person {number}"
            row = units(7 if number == 1 else 100 + number, 1)[0]
            said(lambda name=name, row=row: gallery.add(name, row, sha256=name, file="f", quality=0.5))  # type: ignore[misc]
        said(lambda: gallery.rename("person 1", "Ada"))
        said(lambda: gallery.remove("person 0"))
        said(lambda: gallery.remove("Ada"))
    pipe.send("done")
