"""The overlay in a window a source. Keys: q or Esc quits, s saves a snapshot, space pauses."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import cv2

from rtface.overlay import Overlay
from rtface.types import FrameResult, Image

log = logging.getLogger(__name__)

QUIT = frozenset((ord("q"), ord("Q"), 27))
SNAPSHOT = frozenset((ord("s"), ord("S")))
PAUSE = ord(" ")

PAUSED_LOOK_MS = 50
"""How often a paused window looks at its keys: soon enough for a hand, cheap enough to do nothing."""

SHARE = 0.2
"""Of the loop's time, what all windows together may take for drawing and showing; frames they have no time for are not
shown. One at 640x480 takes 3.3 ms, at 1280x720 5.8 ms (Qt under Xvfb, two cores of an EPYC)."""

TRIAL_S = 20.0
"""A trial window takes half a second; a display that needs longer than this is of no use."""

_TRIAL = "import cv2; cv2.namedWindow('rtface', cv2.WINDOW_NORMAL); cv2.pollKey(); cv2.destroyAllWindows()"


def open(
    draw: Callable[[FrameResult], Image] | None = None,
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> WindowSink:
    """Windows on this computer's display. Ask ``unavailable`` first; to be used on the main thread only.

    Args:
        draw: what to show of a result; an ``Overlay`` of its own if None.
        folder: for snapshots; the current one if None.
        clock: gives seconds.
    """
    return WindowSink(draw or Overlay(), folder or Path(), clock)


def unavailable() -> str | None:
    """Why no window can be opened here, with the cure, or None when one can.

    Where only trying tells (Linux: a dead display makes Qt end the whole process), a window is tried in a process of
    its own, which takes about half a second.
    """
    gui = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if gui is None or gui[1] == "NONE":
        return "this OpenCV is built without windows: pip uninstall opencv-python-headless, pip install opencv-python"
    if not sys.platform.startswith("linux"):
        return None
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
    try:
        trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, timeout=TRIAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "a window on trial did not open"
    if trial.returncode == 0:
        return None
    display = os.environ.get("DISPLAY") or os.environ["WAYLAND_DISPLAY"]
    wayland = "" if os.environ.get("DISPLAY") else "; OpenCV needs XWayland, whose display DISPLAY names"
    return f"the display {display} cannot be opened{wayland}"


class WindowSink:
    """One window for each source, opened with its first result.

    A pause holds every source: live ones go on dropping frames, which their buffers count, files wait.
    """

    def __init__(self, draw: Callable[[FrameResult], Image], folder: Path, clock: Callable[[], float]) -> None:
        """Opens nothing yet."""
        self._draw = draw
        self._folder = folder
        self._clock = clock
        self._windows: list[str] = []
        self._due: dict[str, float] = {}
        self._shown: Image | None = None

    def write(self, result: FrameResult) -> bool:
        """Shows a result if there is time for it; False once the user wants to stop: a key, or the window's X."""
        name = f"rtface {result.frame.source}"
        began = self._clock()
        if result.repeated or began < self._due.get(name, began):
            return not self._windows or self._obey(cv2.pollKey())
        self._shown = self._draw(result)
        if name not in self._windows:
            self._open(name, self._shown)
        cv2.imshow(name, self._shown)
        key = cv2.pollKey()  # paints
        self._due[name] = began + (self._clock() - began) * len(self._windows) / SHARE
        return self._obey(key)

    def close(self) -> None:
        """Closes the windows."""
        for name in self._windows:
            cv2.destroyWindow(name)
        self._windows.clear()

    def _open(self, name: str, picture: Image) -> None:
        # Qt looks for fonts in a folder that its wheel does not bring, and says so once a window.
        os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.fonts=false")
        cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(name, picture.shape[1], picture.shape[0])
        self._windows.append(name)

    def _obey(self, key: int) -> bool:
        """Does what a key says; comes back when no pause is on. False asks to stop."""
        paused = False
        while True:
            sign = key & 0xFF if key >= 0 else None
            if sign in QUIT or self._shut():
                return False
            if sign in SNAPSHOT and self._shown is not None:
                self._snapshot(self._shown)
            paused ^= sign == PAUSE
            if not paused:
                return True
            key = cv2.waitKey(PAUSED_LOOK_MS)

    def _shut(self) -> bool:
        """Whether the user has closed a window by its X."""
        shown = [name for name in self._windows if cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) >= 1]
        gone, self._windows = len(shown) < len(self._windows), shown
        return gone

    def _snapshot(self, picture: Image) -> None:
        """A failure is told in the log: it must not end the run."""
        path = self._folder / f"rtface-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        beside = path.with_name(f".{path.name}")
        try:
            done, data = cv2.imencode(".png", picture)
            beside.write_bytes(data.tobytes() if done else b"")
            beside.replace(path)
            log.info("saved %s", path)
        except OSError as error:
            log.error("the snapshot %s cannot be written: %s", path, error.strerror)
