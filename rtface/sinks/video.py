"""The overlay recorded into MP4 files, one a source, true to time."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from rtface.errors import SinkError
from rtface.overlay import Overlay
from rtface.sources._capture import settle_opencv
from rtface.types import FrameResult, Image

log = logging.getLogger(__name__)

CODEC = "mp4v"
"""MPEG-4 Part 2: every OpenCV wheel writes it, which is not so for H.264."""

FALLBACK_FPS = 30.0
FPS_RANGE = (1.0, 60.0)

FRAMES_TO_TELL_FPS = 6
"""Held back before a file is begun: a steady source is known after two, a stuttering camera is averaged a little."""

LONGEST_STILL_S = 2.0
"""A longer gap (a camera that was away, stills 10 s apart) is shortened to this."""

LEAST_FREE_BYTES = 64 * 2**20
"""When the disk has less, recording ends in time for the file to be finished: MP4 has its index at the end."""

FRAMES_A_LOOK = 64
"""How often the disk's room is asked for."""


def open(
    path: Path | str, *, draw: Callable[[FrameResult], Image] | None = None, sources: Sequence[str] = ()
) -> VideoSink:
    """A recording.

    Args:
        path: of the file, ending in .mp4; replaced when the recording is closed.
        draw: what to record of a result; an ``Overlay`` of its own if None.
        sources: names of all sources; where there are several, each file gets its source's name in its own.

    Raises:
        SinkError: a file of that name cannot be written.
    """
    path = Path(path).absolute()
    if path.suffix.lower() != ".mp4":
        raise SinkError(f"The recording {path} has to end in .mp4.")
    if not path.parent.is_dir():
        raise SinkError(f"The recording {path} cannot be written: there is no folder {path.parent}. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"The recording {path} cannot be written: you may not write to the folder {path.parent}.")
    return VideoSink(path, draw or Overlay(), sources)


class VideoSink:
    """Records every result; a file has its name once it is closed and whole, until then it is ``.NAME.part.mp4``."""

    def __init__(self, path: Path, draw: Callable[[FrameResult], Image], sources: Sequence[str]) -> None:
        """Writes nothing yet."""
        self._path = path
        self._draw = draw
        self._several = len(sources) > 1
        self._recordings: dict[str, _Recording] = {}

    def write(self, result: FrameResult) -> bool:
        """Adds a result's picture to its source's file.

        Raises:
            SinkError: the file cannot be begun, or the disk is full; what is there so far is finished by ``close``.
        """
        if not result.repeated:
            source = result.frame.source
            if source not in self._recordings:
                self._recordings[source] = _Recording(self._name(source))
            self._recordings[source].add(self._draw(result), result.frame.captured_at)
        return True

    def close(self) -> None:
        """Finishes all files.

        Raises:
            SinkError: one is not whole; the others are finished all the same.
        """
        errors = []
        for recording in self._recordings.values():
            try:
                recording.close()
            except SinkError as error:
                errors.append(error)
        self._recordings.clear()
        if errors:
            raise errors[0]

    def _name(self, source: str) -> Path:
        taken = {recording.path for recording in self._recordings.values()}
        if not self._several and not taken:
            return self._path
        plain = re.sub(r"\W+", "-", source.rpartition("://")[2]).strip("-")[-60:] or "source"
        path = self._path.with_stem(f"{self._path.stem}-{plain}")
        return path if path not in taken else path.with_stem(f"{path.stem}-{len(taken) + 1}")


class _Recording:
    """One file. Pictures are repeated or left out so that it plays at the speed of life at a constant rate."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path.with_name(f".{path.stem}.part.mp4")
        self._held: list[tuple[Image, float]] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._fps = FALLBACK_FPS
        self._written = 0
        self._asked = 0
        self._due = 0.0
        self._last_at = 0.0

    def add(self, picture: Image, at: float) -> None:
        """Adds the picture of this second."""
        if self._writer is not None:
            self._put(picture, at)
            return
        self._held.append((picture, at))
        if len(self._held) == FRAMES_TO_TELL_FPS:
            self._begin()

    def close(self) -> None:
        """Finishes the file and gives it its name."""
        if self._writer is None and self._held:
            self._begin()
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not self._written:  # there was no room for a single picture
            self._beside.unlink(missing_ok=True)
            return
        if not self._is_whole():
            raise SinkError(
                f"The recording {self.path} is not whole: is the disk full? What there is of it is {self._beside}."
            )
        try:
            self._beside.replace(self.path)
        except OSError as error:
            raise SinkError(
                f"The recording cannot be named {self.path}: {error.strerror}. It is {self._beside}."
            ) from error

    def _begin(self) -> None:
        times = np.array([at for _, at in self._held])
        steps = np.diff(times)
        if steps.size and np.median(steps) > 0:  # not the mean: the first frames of a camera wait for the engine
            self._fps = float(np.clip(round(1 / float(np.median(steps)), 2), *FPS_RANGE))
        height, width = self._held[0][0].shape[:2]
        self._size = (width + width % 2, height + height % 2)  # the codec's colours are shared by 2x2 pixels
        self._last_at = float(times[0])
        settle_opencv()
        writer = cv2.VideoWriter(
            str(self._beside), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self._fps, self._size
        )
        if not writer.isOpened():
            raise SinkError(f"The recording {self.path} cannot be begun: is the disk full or read-only?")
        self._writer = writer
        held, self._held = self._held, []
        for picture, at in held:
            self._put(picture, at)

    def _put(self, picture: Image, at: float) -> None:
        """Writes the picture as often as its time asks for: mostly once."""
        assert self._writer is not None
        self._due += min(max(at - self._last_at, 0.0), LONGEST_STILL_S) * self._fps
        self._last_at = at
        fitted = _letterbox(picture, self._size)
        # Half a picture of slack: times that tremble around the rate neither double nor lose one.
        for _ in range(max(round(self._due) + 1 - self._written, 0)):
            self._check_room()
            self._writer.write(fitted)
            self._written += 1

    def _check_room(self) -> None:
        self._asked += 1
        if self._asked % FRAMES_A_LOOK == 1 and shutil.disk_usage(self.path.parent).free < LEAST_FREE_BYTES:
            raise SinkError(f"The recording {self.path} ends here: its disk is nearly full. Make room and start again.")

    def _is_whole(self) -> bool:
        """Reads the finished file's index: a writer of OpenCV does not say that the disk was full."""
        reader = cv2.VideoCapture(str(self._beside), cv2.CAP_FFMPEG)
        whole = reader.isOpened() and reader.get(cv2.CAP_PROP_FRAME_COUNT) >= self._written
        reader.release()
        return whole


def _letterbox(picture: Image, size: tuple[int, int]) -> Image:
    """The picture on a black ground of (width, height), as large as fits, in its own proportions."""
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    if 1 <= scale < 1 + 2 / min(width, height):  # one odd row or column: padded, not blurred
        small = (picture.shape[1], picture.shape[0])
    ground = np.zeros((height, width, 3), np.uint8)
    left, top = (width - small[0]) // 2, (height - small[1]) // 2
    inside = picture if small == picture.shape[1::-1] else cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    ground[top : top + small[1], left : left + small[0]] = inside
    return ground
