"""``cv2.VideoCapture`` opened one way everywhere: without chatter, and with every wait bounded."""

from __future__ import annotations

import os
import threading

import cv2
import numpy as np

from rtface.types import Image

TIMEOUT_S = 2.0
"""The house's limit for one blocking read, and for opening a stream."""

CAPTURE_OPTIONS = "rtsp_transport;tcp|fpsprobesize;2"
"""TCP: over UDP a lost packet smears the picture until the next key frame. Two pictures tell the rate; FFmpeg would
look at about 30, so that opening took 1 s at 30 frames a second and 2 s, the limit, at 15."""

LIVE_THREADS = 1
"""FFmpeg's decoder holds back one picture for each thread beyond the first: with 16, half a second at 30 a second."""

_MSEC = 1000


class Capture:
    """An open camera, stream or file. ``close`` may come from another thread while ``read`` waits."""

    def __init__(self, target: int | str, *, timeout: float = TIMEOUT_S, live: bool = False) -> None:
        """Opens; look at ``is_open`` afterwards.

        Args:
            target: a camera's index, or an address or path for FFmpeg.
            timeout: seconds that opening and each read may take.
            live: pictures matter when they come: none is held back to decode several at a time.
        """
        settle_opencv()
        self._lock = threading.Lock()
        self._unwanted = False
        if isinstance(target, int):
            api = cv2.CAP_V4L2 if os.name == "posix" and os.uname().sysname == "Linux" else cv2.CAP_ANY
            self._raw = cv2.VideoCapture(target, api)
        elif cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends():
            limit = int(timeout * _MSEC)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
            if live and "OPENCV_FFMPEG_THREADS" not in os.environ:
                limits += [cv2.CAP_PROP_N_THREADS, LIVE_THREADS]
            self._raw = cv2.VideoCapture(target, cv2.CAP_FFMPEG, limits)
        else:
            self._raw = cv2.VideoCapture(target)

    @property
    def is_open(self) -> bool:
        """Whether it can be read from."""
        return not self._unwanted and self._raw.isOpened()

    def read(self) -> Image | None:
        """The next picture, read-only; None when there is none now."""
        with self._lock:
            done, image = self._raw.read() if self.is_open else (False, None)
        if self._unwanted:  # whoever closed did not wait for this read
            self._release()
        if not done or image is None:
            return None
        picture = np.asarray(image, np.uint8)
        picture.flags.writeable = False
        return picture

    def position_s(self) -> float:
        """Media time of the picture read last, in seconds; 0 where the container has none."""
        return self._raw.get(cv2.CAP_PROP_POS_MSEC) / _MSEC

    def frames_per_second(self) -> float:
        """What the container says; 0 where it says nothing."""
        return self._raw.get(cv2.CAP_PROP_FPS)

    def promised_frames(self) -> float:
        """How many pictures the container says it holds; 0 or less when it does not know."""
        return self._raw.get(cv2.CAP_PROP_FRAME_COUNT)

    def close(self) -> None:
        """Releases the device, at once or when a read under way comes back; never waits for it."""
        self._unwanted = True
        self._release()

    def _release(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._raw.release()
            finally:
                self._lock.release()


def settle_opencv() -> None:
    """Tells OpenCV what it only hears through the environment; whatever the user has set stays.

    To be called before OpenCV touches its first video: only then it looks at the level of FFmpeg's log.

    Source: OpenCV's ``cap_ffmpeg_impl.hpp`` and ``cap_v4l.cpp``.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: errors are told by our own sentences
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", CAPTURE_OPTIONS)
    # OpenCV would open one stream at a time, and a dead camera holds that lock for the whole limit. FFmpeg has needed
    # no lock of its users since 4.0, which deprecates av_lockmgr_register.
    os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(int(TIMEOUT_S)))  # else 10 s
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
