"""Start at once, get faster: served by the CPU until the card's engines are built and found right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from rtface.errors import RtfaceError
from rtface.interfaces import Detector, Embedder
from rtface.pipeline.parity import Parity, Reference

log = logging.getLogger(__name__)


class Build(Protocol):
    """Engines being built elsewhere; ``background_build.BackgroundBuild`` is the real one."""

    @property
    def progress(self) -> str:
        """What is being done."""

    def finished(self) -> bool:
        """Whether it is done; never waits. Raises what went wrong."""

    def close(self) -> None:
        """Stops it."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What recognises: a detector and an embedder on one kind of engine."""

    detector: Detector
    embedder: Embedder

    def close(self) -> None:
        """Frees their engines."""
        self.detector.close()
        self.embedder.close()


class Upgrade:
    """The way from the CPU to the card, one small step between two frames each.

    ``notice`` is what the overlay says of it; empty when the card serves.
    """

    def __init__(
        self,
        start: Callable[[Path], Build],
        open_parts: Callable[[], Parts],
        compare: Callable[[Reference, Parts], Parity],
        swap: Callable[[Parts], None],
    ) -> None:
        """Starts building.

        Args:
            start: begins a build that leaves a reference at this path.
            open_parts: opens what has been built.
            compare: opened parts with the reference.
            swap: puts the parts to work.
        """
        self.notice = ""
        self._open_parts, self._compare, self._swap = open_parts, compare, swap
        self._folder = TemporaryDirectory(prefix="rtface-")
        self._reference = Path(self._folder.name) / "reference.npz"
        self._build = start(self._reference)
        self._steps = self._go()
        log.info("served by the CPU while engines for the card are built")

    def step(self) -> None:
        """Looks how far it is and does the next thing; to be called between two frames, on the loop's thread."""
        try:
            self.notice = next(self._steps, self.notice)
        except RtfaceError as error:
            self.notice = "on the CPU: no engine for the card"
            log.warning("The card's engines are not used and the CPU goes on: %s", error)

    def _go(self) -> Generator[str, None, None]:
        while not self._build.finished():
            yield self._build.progress
        yield "Opening engines"
        parts = self._open_parts()
        try:
            yield "Comparing engines"
            parity = self._compare(Reference.load(self._reference), parts)
        except BaseException:
            parts.close()
            raise
        self._swap(parts)
        log.info("the card takes over: %s", parity)
        yield ""

    def close(self) -> None:
        """Stops a build under way."""
        self._steps.close()
        self._build.close()
        self._folder.cleanup()
