from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from rtface.sinks import window
from rtface.types import FrameResult, Image
from tests.sinks.results import result

ROOT = Path(__file__).resolve().parents[2]


class Highgui:
    """OpenCV's windows without a display: keys come from a script, and what is shown is remembered."""

    WINDOW_NORMAL, WINDOW_KEEPRATIO, WINDOW_GUI_NORMAL, WND_PROP_VISIBLE = 0, 0, 16, 4

    def __init__(self, keys: str = "") -> None:
        self.keys = [ord(key) if key != "." else -1 for key in keys]
        self.open: list[str] = []
        self.shut: set[str] = set()
        self.shown: list[str] = []
        self.looked = 0

    def namedWindow(self, name: str, flags: int) -> None:  # noqa: N802 - OpenCV's name
        self.open.append(name)

    def resizeWindow(self, name: str, width: int, height: int) -> None:  # noqa: N802
        pass

    def imshow(self, name: str, image: Image) -> None:
        self.shown.append(name)

    def destroyWindow(self, name: str) -> None:  # noqa: N802
        assert name not in self.shut, "OpenCV fails on a window that is gone"
        self.open.remove(name)

    def getWindowProperty(self, name: str, which: int) -> float:  # noqa: N802
        return 0.0 if name in self.shut else 1.0

    def pollKey(self) -> int:  # noqa: N802
        self.looked += 1
        return self.keys.pop(0) if self.keys else -1

    def waitKey(self, ms: int) -> int:  # noqa: N802
        assert ms > 0
        return self.pollKey()

    def imencode(self, kind: str, image: Image) -> object:
        return cv2.imencode(kind, image)


def windows(monkeypatch: pytest.MonkeyPatch, keys: str, folder: Path) -> tuple[Highgui, window.WindowSink]:
    gui = Highgui(keys)
    monkeypatch.setattr(window, "cv2", gui)
    return gui, window.open(folder=folder, clock=lambda: 0.0)


@pytest.mark.parametrize("key", ["q", "Q", "\x1b"])
def test_q_and_escape_ask_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str) -> None:
    _, sink = windows(monkeypatch, "." + key, tmp_path)
    assert sink.write(result(0))
    assert not sink.write(result(1))


def test_each_source_has_a_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui, sink = windows(monkeypatch, "", tmp_path)
    for index in range(3):
        sink.write(result(index, source="door"))
        sink.write(result(index, source="yard"))
    assert gui.open == ["rtface door", "rtface yard"]
    assert len(gui.shown) == 6
    sink.close()
    assert gui.open == []


def test_windows_take_no_more_than_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui, now = Highgui(), 0.0
    monkeypatch.setattr(window, "cv2", gui)

    def slow(shown: FrameResult) -> Image:
        nonlocal now
        now += 0.004
        return shown.frame.image

    sink = window.open(slow, folder=tmp_path, clock=lambda: now)
    for index in range(1000):
        sink.write(result(index, source="door"))
        sink.write(result(index, source="yard"))
        now += 0.001
    assert gui.shown.count("rtface door") == pytest.approx(gui.shown.count("rtface yard"), abs=1)
    assert len(gui.shown) * 0.004 == pytest.approx(window.SHARE * now, rel=0.1)


def test_keys_are_obeyed_between_two_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui = Highgui(".sq")
    monkeypatch.setattr(window, "cv2", gui)
    times = iter([0.0, 1.0])
    sink = window.open(lambda shown: shown.frame.image, folder=tmp_path, clock=lambda: next(times, 2.0))
    assert sink.write(result(0))
    assert sink.write(result(1))
    assert not sink.write(result(2))
    assert len(gui.shown) == 1
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_closing_a_window_by_its_x_asks_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui, sink = windows(monkeypatch, "", tmp_path)
    sink.write(result(0, source="door"))
    sink.write(result(0, source="yard"))
    gui.shut.add("rtface door")
    assert not sink.write(result(1, source="yard"))
    sink.close()
    assert gui.open == ["rtface door"]  # only what was still there has been closed


def test_space_holds_the_picture_until_the_next_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui, sink = windows(monkeypatch, " ...... .", tmp_path)
    assert sink.write(result(0))
    assert gui.looked == 8  # the space, six looks, the space
    assert sink.write(result(1))
    assert gui.looked == 9


def test_a_pause_can_be_left_by_quitting_and_by_closing_the_window(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, sink = windows(monkeypatch, " ..q", tmp_path)
    assert not sink.write(result(0))
    gui, sink = windows(monkeypatch, " ", tmp_path)
    looks = iter([1.0, 1.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr(gui, "getWindowProperty", lambda name, which: next(looks))
    assert not sink.write(result(0))


def test_s_saves_what_is_shown_also_in_a_pause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def grey(shown: FrameResult) -> Image:
        return shown.frame.image

    monkeypatch.setattr(window, "cv2", Highgui("s s "))
    sink = window.open(grey, folder=tmp_path)
    shown = result(0)
    sink.write(shown)
    sink.write(result(1))
    saved = sorted(tmp_path.iterdir())
    assert [path.suffix for path in saved] == [".png", ".png"]
    for path in saved:
        assert path.name.startswith("rtface-")
        image = cv2.imread(str(path))
        assert image is not None
        assert (image == shown.frame.image).all()


def test_a_snapshot_that_cannot_be_written_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, sink = windows(monkeypatch, "s", tmp_path / "nowhere")
    assert sink.write(result(0))
    assert "cannot be written" in caplog.text


def test_news_without_a_new_picture_are_not_shown_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gui, sink = windows(monkeypatch, "..q", tmp_path)
    assert sink.write(result(0, repeated=True))
    assert sink.write(result(0))
    assert sink.write(result(0, repeated=True))
    assert len(gui.shown) == 1
    assert not sink.write(result(0, repeated=True))  # but the keys still work


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the display is a variable on Linux only")
def test_no_display_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "there is no display" in (window.unavailable() or "")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the display is a variable on Linux only")
def test_a_dead_display_is_found_out_without_dying_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":61234")
    assert ":61234 cannot be opened" in (window.unavailable() or "")


def test_opencv_without_windows_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                           NONE\n    GTK+: NO\n")
    assert "pip install opencv-python" in (window.unavailable() or "")


@pytest.fixture
def display() -> Iterator[str]:
    """A display of its own, of 800x600."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb (Debian package xvfb)")
    read, write = os.pipe()
    # -noreset: a server that starts anew when its first visitor leaves never paints the next one's window.
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    try:
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(20)


def viewer(display: str, folder: Path, most: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": str(ROOT)}
    environment.pop("WAYLAND_DISPLAY", None)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sinks.on_display", str(folder), str(most)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def test_a_real_window_shows_results_and_nothing_litters_the_terminal(display: str, tmp_path: Path) -> None:
    with viewer(display, tmp_path, 5) as process:
        out, complaints = process.communicate("\n" * 5, timeout=60)
    assert out.split() == ["shown"] * 5
    assert complaints == ""


def test_real_keys_save_a_snapshot_and_end_the_run(display: str, tmp_path: Path) -> None:
    tool = shutil.which("xdotool")
    if not tool:
        pytest.skip("needs xdotool (Debian package of that name)")
    with viewer(display, tmp_path, 400) as process:
        pace, answers = process.stdin, process.stdout
        assert pace is not None
        assert answers is not None
        told = [answers.readline()]

        def press(key: str) -> None:
            search = ["search", "--sync", "--onlyvisible", "--name", "rtface door"]
            # There is no window manager to give the focus to the window.
            command = [tool, *search, "windowfocus", "--sync", "key", key]
            subprocess.run(command, env={**os.environ, "DISPLAY": display}, timeout=30, check=True)

        def step() -> str:
            pace.write("\n")
            pace.flush()
            told.append(answers.readline())
            return told[-1]

        press("s")
        while len(told) < 300 and not list(tmp_path.glob("rtface-*.png")):
            step()
        press("q")
        while len(told) < 350 and step() == "shown\n":
            pass
        _, complaints = process.communicate("\n" * 400, timeout=60)
    assert len(list(tmp_path.glob("rtface-*.png"))) == 1
    assert told[-1] == "stopped\n"
    assert complaints == ""
