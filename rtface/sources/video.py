"""Moving pictures through OpenCV: a camera, a network stream, a video file."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rtface.errors import SourceUnavailable
from rtface.sources import mask
from rtface.sources._capture import TIMEOUT_S, Capture
from rtface.sources._reach import why_no_camera, why_no_stream
from rtface.types import Frame, Image

log = logging.getLogger(__name__)

BACKOFF_S = (1.0, 30.0)
"""First and longest wait before a lost camera is tried again; it doubles in between."""

FAILED_READS = 8
"""Failures in a row that a live source shrugs off: a packet lost on the way spoils a picture or two, not the stream."""

FIRST_PICTURE_S = 12.0
"""Decoding begins at a key frame. Cameras that save bandwidth send one every 10 s, and a restreamer (MediaMTX, go2rtc)
none for a newcomer: so long a new connection may take to its first picture."""

DAMAGED_READS = 64
"""The same for a file that promises more: OpenCV itself gives up on one picture after 64 bad packets."""

WHOLE = 0.9
"""A file with less than this part of what it promises is taken for cut off."""

FALLBACK_FPS = 25.0
"""For files that do not say; PAL's."""


def open(
    uri: str,
    *,
    timeout: float = TIMEOUT_S,
    backoff: tuple[float, float] = BACKOFF_S,
    first_picture: float = FIRST_PICTURE_S,
) -> LiveSource | FileSource:
    """A camera ("0", "/dev/video0"), a stream ("rtsp://...") or a file.

    Args:
        uri: its address.
        timeout: seconds that opening and one read may take.
        backoff: first and longest wait in seconds before a lost camera or stream is tried again.
        first_picture: seconds that a stream's first picture may take once it is connected.

    Raises:
        SourceUnavailable: it cannot be opened, or gives no picture.
    """
    number = uri.removeprefix("/dev/video")
    if number.isdigit():
        patience = Patience(timeout, timeout, backoff)
        return _open_live(uri, int(number), patience, lambda: why_no_camera(int(number)))
    if "://" in uri:
        patience = Patience(timeout, first_picture, backoff)
        return _open_live(uri, uri, patience, lambda: why_no_stream(uri, timeout))
    return _open_file(uri, timeout)


class FileSource:
    """A video file from its first picture to its last; the reader sets the pace.

    ``captured_at`` is media time in seconds, strictly increasing and the same in every run. OpenCV scales pictures to
    the first one's size should the size change on the way.

    Attributes:
        cut_off: known once ``frames`` has ended: the file promised far more, in pictures and in seconds.
    """

    live = False
    stills = False
    status = "streaming"

    def __init__(self, name: str, capture: Capture, first: Image) -> None:
        """Takes over an open capture and the picture already read from it."""
        self.name = name
        self.cut_off = False
        self._capture = capture
        self._first: Image | None = first

    def frames(self) -> Iterator[Frame]:
        """Every picture that decodes; says so in the log when the file holds far fewer than it promises."""
        fps = self._capture.frames_per_second()
        fps = fps if 0 < fps < math.inf else FALLBACK_FPS
        clock, at = MediaClock(fps), 0.0
        promised = self._capture.promised_frames()
        for index in itertools.count():
            image = self._next(index, promised)
            if image is None:
                break
            at = clock.at(self._capture.position_s())
            yield Frame(image, index, at, time.monotonic(), self.name)
        # Both, because a container's count is often its length times a nominal rate.
        if index < WHOLE * promised and at + 1 / fps < WHOLE * promised / fps:
            self.cut_off = self._capture.is_open  # else it was closed by whoever had enough
        if self.cut_off:
            log.warning(
                "%s ends after %d of %d promised pictures: it seems cut off. Copy or record it again.",
                self.name,
                index,
                promised,
            )

    def close(self) -> None:
        """Ends ``frames``."""
        self._capture.close()

    def _next(self, index: int, promised: float) -> Image | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        for _ in range(DAMAGED_READS if index < promised else 1):
            image = self._capture.read()
            if image is not None or not self._capture.is_open:
                return image
        return None


class MediaClock:
    """Makes a file's time stamps strictly increasing: they may be missing, stand still or jump back."""

    def __init__(self, fps: float) -> None:
        """Pictures a second: the step wherever the stamps do not grow by themselves."""
        self._period = 1.0 / fps
        self._last = -self._period

    def at(self, position: float) -> float:
        """Seconds for the picture stamped ``position``."""
        grows = math.isfinite(position) and position > self._last
        self._last = position if grows else self._last + self._period
        return self._last


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a live source is waited for, in seconds.

    Attributes:
        picture: without a picture after which it is given up for lost; the limit of one read, too.
        first_picture: the same for the first picture of a new connection, if longer.
        backoff: first and longest wait before the next try.
    """

    picture: float
    first_picture: float
    backoff: tuple[float, float]


class LiveSource:
    """A camera or stream, which may go away and come back.

    ``captured_at`` and ``received_at`` are ``time.monotonic`` right after a picture was read and decoded. What came
    before is in neither: exposure and encoding in the camera, the network, and of an H.264 stream one picture's time,
    for FFmpeg knows a picture to be complete only when the next one begins.

    Pictures have the size the stream had on connecting; should a camera change it without breaking off, OpenCV scales
    them to that size and tells nobody.

    Attributes:
        status: "reconnecting" from the moment it is given up for lost until the next picture is there.
        on_status: called from the capture thread after each change of ``status``.
    """

    live = True
    stills = False

    def __init__(self, name: str, connect: Callable[[], Capture], patience: Patience) -> None:
        """Connects; see ``gives_pictures``.

        Args:
            name: without secrets.
            connect: opens it, and opens it anew; the result may turn out not to be open.
            patience: how long to wait for what.
        """
        self.name = name
        self.status = "streaming"
        self.on_status: Callable[[], None] | None = None
        self._connect = connect
        self._patience = patience
        self._delay = patience.backoff[0]
        self._closed = threading.Event()
        self._swap = threading.Lock()
        self._capture = connect()
        self._new_until = time.monotonic() + patience.first_picture

    def gives_pictures(self) -> bool:
        """Reads one, which ``frames`` will not give: a camera in use by others opens, and gives nothing."""
        return self._read() is not None

    def frames(self) -> Iterator[Frame]:
        """Pictures until closed; while the camera is away this waits, and tries again."""
        for index in itertools.count():
            image = self._next()
            if image is None:
                return
            now = time.monotonic()
            yield Frame(image, index, now, now, self.name)

    def close(self) -> None:
        """Ends ``frames``: a wait for the next try at once, a read or opening under way within its limit.

        Does not wait for that; the device is released when the read comes back.
        """
        self._closed.set()
        with self._swap:
            self._capture.close()

    def _next(self) -> Image | None:
        """The next picture, however long it takes; None once closed."""
        while not self._closed.is_set():
            image = self._read()
            if image is not None:
                self._delay = self._patience.backoff[0]
                self._tell("streaming")
                return image
            if not self._closed.is_set():
                self._tell("reconnecting")
                self._reconnect()
        return None

    def _read(self) -> Image | None:
        deadline = max(time.monotonic() + self._patience.picture, self._new_until)
        for _ in range(FAILED_READS):
            image = self._capture.read()
            if image is not None:
                self._new_until = 0.0
                return image
            if not self._capture.is_open or time.monotonic() >= deadline:
                break
        return None

    def _reconnect(self) -> None:
        """One wait and one try."""
        self._capture.close()
        self._closed.wait(self._delay)
        self._delay = min(2 * self._delay, self._patience.backoff[1])
        if self._closed.is_set():
            return
        log.debug("trying %s again", self.name)
        capture = self._connect()
        self._new_until = time.monotonic() + self._patience.first_picture
        with self._swap:
            self._capture = capture
            if self._closed.is_set():
                capture.close()

    def _tell(self, status: str) -> None:
        if status == self.status:
            return
        self.status = status
        log.warning(
            "%s %s", self.name, "is back" if status == "streaming" else "is lost; trying again until it is back"
        )
        if self.on_status is not None:
            self.on_status()


def _open_live(uri: str, target: int | str, patience: Patience, why: Callable[[], str]) -> LiveSource:
    source = LiveSource(mask(uri), lambda: Capture(target, timeout=patience.picture, live=True), patience)
    if not source.gives_pictures():
        source.close()
        kind = "stream" if isinstance(target, str) else "camera"
        raise SourceUnavailable(f"The {kind} {mask(uri)} cannot be opened: {why()}.")
    return source


def _open_file(uri: str, timeout: float) -> FileSource:
    path = Path(uri).absolute()  # absolute also keeps FFmpeg from seeing a protocol in a name like "concat:a"
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceUnavailable(f"The video {path} cannot be read: {error.strerror}.") from error
    if empty:
        raise SourceUnavailable(f"The video {path} is empty (0 bytes): copy or record it again.")
    capture = Capture(str(path), timeout=timeout)
    first = capture.read()
    if first is None:
        opened = capture.is_open
        capture.close()
        what = "holds no picture that decodes" if opened else "is not a video FFmpeg knows, or is cut off"
        raise SourceUnavailable(f"{path} {what}: play it in a video player, or record it again.")
    return FileSource(uri, capture, first)
