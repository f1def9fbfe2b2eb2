"""Events and results as JSON lines, each written the moment it is known.

The same file watched twice gives the same bytes but for ``timings`` and the events' ids: numbers are rounded, and media
time is all that a file's lines know of time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Container
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from rtface.decision_record import as_json
from rtface.errors import SinkError
from rtface.types import Event, FrameResult, Identity, Track

STDOUT = "-"

Json = dict[str, object]


def open(
    path: Path | str, *, kind: Literal["events", "results"] = "results", live: Container[str] = ()
) -> EventLog | ResultLog:
    """A log into a file, which is begun anew, or to standard output ("-").

    Args:
        path: of the file.
        kind: events only, or one line a frame.
        live: names of the sources whose events also tell the time of day.

    Raises:
        SinkError: the file cannot be opened.
    """
    return EventLog(path, live=live) if kind == "events" else ResultLog(path)


class EventLog:
    """One line an event.

    ``{"id", "kind", "at", "source", "track", "person", "distance", "share", "backend", "model", "gallery_revision"}``;
    ``track`` is null for events of the source itself, ``time`` (ISO 8601, UTC) is there for live sources, and
    ``decision``, with everything a verdict rests on (see ``decision_record``), where one was reached or withdrawn.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        live: Container[str] = (),
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens.

        Args:
            path: of the file, or "-".
            live: names of the sources whose events also tell the time of day.
            now: seconds since 1970.
            monotonic: the clock of live sources' ``captured_at``.
        """
        self._lines = _Lines(path)
        self._live = live
        self._now = now
        self._monotonic = monotonic

    def write(self, result: FrameResult) -> bool:
        """Writes the events of a result; False when nobody reads any more."""
        return all(self._lines.write(self._line(event)) for event in result.events)

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()

    def _line(self, event: Event) -> Json:
        line: Json = {
            "id": event.id,
            "kind": event.kind.value,
            "at": _number(event.at, 4),
            "source": event.source,
            "track": event.track_id or None,
            **_verdict(event.identity),
            "backend": event.backend,
            "model": event.model,
            "gallery_revision": event.gallery_revision,
        }
        if event.source in self._live:
            moment = datetime.fromtimestamp(self._now() - self._monotonic() + event.at, UTC)
            line["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if event.decision is not None:
            line["decision"] = as_json(event.decision)
        return line


class ResultLog:
    """One line a frame: ``{"source", "index", "at", "tracks", "timings", "dropped"}``.

    A track is ``{"id", "state", "box": [l, t, r, b], "person", "distance", "share"}``; box in px.
    """

    def __init__(self, path: Path | str) -> None:
        """Opens a file, or standard output for "-"."""
        self._lines = _Lines(path)

    def write(self, result: FrameResult) -> bool:
        """Writes a frame's line; False when nobody reads any more."""
        if result.repeated:
            return True
        return self._lines.write(
            {
                "source": result.frame.source,
                "index": result.frame.index,
                "at": _number(result.frame.captured_at, 4),
                "tracks": [_track(track) for track in result.tracks],
                "timings": {stage: _number(ms, 2) for stage, ms in result.timings.items()},
                "dropped": result.dropped,
            }
        )

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()


def _track(track: Track) -> Json:
    box = [_number(float(side), 1) for side in track.box]
    return {"id": track.id, "state": track.state.value, "box": box, **_verdict(track.identity)}


def _verdict(identity: Identity | None) -> Json:
    """Nulls while there is no verdict; a distance in an empty gallery is infinite, which JSON cannot say."""
    if identity is None:
        return {"person": None, "distance": None, "share": None}
    distance, share = _number(identity.distance, 4), _number(identity.share, 3)
    return {"person": identity.person, "distance": distance, "share": share}


def _number(value: float, places: int) -> float | None:
    """Rounded; null for what is not finite; zero without a sign."""
    return round(float(value), places) + 0.0 if math.isfinite(value) else None


class _Lines:
    """A file of lines, each on its way before ``write`` returns."""

    def __init__(self, path: Path | str) -> None:
        self._standard = str(path) == STDOUT
        self._name = "on standard output" if self._standard else str(Path(path).absolute())
        self._file: IO[bytes] | None = None
        self._whole = 0
        if self._standard:
            sys.stdout.flush()  # what was printed before comes before
            self._file = getattr(sys.stdout, "buffer", None)  # a notebook's has none
            return
        try:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - close() closes it
        except OSError as error:
            raise SinkError(
                f"The log {self._name} cannot be written: {error.strerror}. Name a file in a folder you may write to."
            ) from error

    def write(self, line: Json) -> bool:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            if self._file is None:
                print(text, end="", flush=True)  # noqa: T201 - machine output is what this file is for
            else:
                # The name of a file that is no UTF-8 has lone surrogates; escaped with a backslash they are JSON again.
                self._put(self._file, text.encode("utf-8", "backslashreplace"))
        except BrokenPipeError:
            self._forget()
            return False
        except OSError as error:
            self._drop_half_a_line()
            raise SinkError(
                f"The log {self._name} cannot be written: {error.strerror}. What was written before stands."
            ) from error
        return True

    def _put(self, file: IO[bytes], line: bytes) -> None:
        rest = line
        while rest:  # a disk that is nearly full takes a part first
            rest = rest[file.write(rest) :]
        file.flush()
        self._whole += len(line)

    def _drop_half_a_line(self) -> None:
        """So that every line there is can be read."""
        if self._file is not None and not self._standard:
            with contextlib.suppress(OSError):  # a device cannot be cut
                self._file.truncate(self._whole)

    def close(self) -> None:
        if self._standard or self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:  # the last bytes did not fit
            raise SinkError(f"The log {self._name} is not whole: {error.strerror}.") from error

    def _forget(self) -> None:
        """The reader has gone. What Python still wants to flush at its end goes nowhere, and quietly.

        Source: Python's documentation of the signal module, note on SIGPIPE.
        """
        if not self._standard:
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            return  # standard output is no file of the system, so nothing will be flushed into a pipe
