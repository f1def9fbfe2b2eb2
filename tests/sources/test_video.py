from __future__ import annotations

import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtface.errors import SourceUnavailable
from rtface.sources.video import FileSource, LiveSource, MediaClock
from rtface.sources.video import open as open_video
from tests.sources.films import STEP, film, jpegs, number

FAST = 0.4
"""Seconds for a read in these tests instead of 2; the bound is the same code."""

QUICK = (0.01, 0.04)


def test_file_gives_every_picture_in_order_at_its_media_time(tmp_path: Path) -> None:
    source = open_video(str(film(tmp_path / "a.avi", 12, fps=25)))
    frames = list(source.frames())
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert [frame.captured_at for frame in frames] == pytest.approx([n / 25 for n in range(12)])
    assert not source.live


def test_truncated_file_gives_what_decodes_and_says_so_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(tmp_path / "a.avi", 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    source = open_video(str(path))
    with caplog.at_level(logging.WARNING):
        got = [number(frame.image) for frame in source.frames()]
    assert 5 < len(got) < 30
    assert got[:-1] == list(range(len(got) - 1))  # the last one may be half a picture
    assert "30 promised pictures" in caplog.text


def test_whole_file_ends_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(list(open_video(str(film(tmp_path / "a.avi", 30))).frames())) == 30
    assert not caplog.text


def test_damage_in_the_middle_costs_only_the_damaged_pictures(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", 30)
    data = bytearray(path.read_bytes())
    starts = [place for place in range(len(data) - 3) if data[place : place + 3] == b"\xff\xd8\xff"]
    for place in starts[10:14]:
        data[place + 2 : place + 150] = bytes(148)
    path.write_bytes(data)
    got = [number(frame.image) for frame in open_video(str(path)).frames()]
    assert set(range(10)) | set(range(14, 30)) <= set(got)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.mp4", b"", "empty"),
        ("words.mp4", b"these are words\n" * 100, "not a video"),
        ("m.avi", b"RIFF", "video"),
    ],
)
def test_what_is_no_video_is_told_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceUnavailable, match=told) as caught:
        open_video(str(path))
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")  # FFmpeg and OpenCV keep quiet


def test_film_without_pictures_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"none\.avi"):
        open_video(str(film(tmp_path / "none.avi", 0)))


def test_film_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    joined = tmp_path / "two.mjpeg"
    import cv2
    import numpy as np

    small, large = (np.full((side, side * 2, 3), 90, np.uint8) for side in (48, 96))
    pictures = [cv2.imencode(".jpg", image)[1].tobytes() for image in [small] * 10 + [large] * 10]
    joined.write_bytes(b"".join(pictures))
    frames = list(open_video(str(joined)).frames())
    assert len(frames) == 20
    assert all(abs(float(frame.image.mean()) - 90) < 3 for frame in frames)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0.0, 0.1, 0.2], [0.0, 0.1, 0.2]),
        ([0.0, 0.0, 0.0], [0.0, 0.04, 0.08]),
        ([1.4, 1.5, 1.5, 1.6], [1.4, 1.5, 1.54, 1.6]),
        ([0.0, 5.0, 0.0, 5.1], [0.0, 5.0, 5.04, 5.1]),
        ([float("nan"), float("inf"), 0.5], [0.0, 0.04, 0.5]),
    ],
)
def test_media_time_grows_whatever_the_stamps(stamps: list[float], times: list[float]) -> None:
    clock = MediaClock(25)
    assert [clock.at(stamp) for stamp in stamps] == pytest.approx(times)


def test_absent_camera_is_told_with_the_cameras_there_are() -> None:
    with pytest.raises(SourceUnavailable, match="The camera 91 cannot be opened"):
        open_video("91")


Play = Callable[[Callable[[bytes], None], threading.Event], None]
"""What the camera does with one visitor: given a way to send one picture, and the test's end."""


@contextmanager
def camera(*plays: Play, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """An HTTP camera on this computer. The n-th visitor gets the n-th play, later ones the last; lists the visits."""
    visits: list[str] = []
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            if status == 200:
                try:
                    plays[min(len(visits), len(plays)) - 1](self.send, over)
                except OSError:
                    return  # the visitor has left

        def send(self, jpeg: bytes) -> None:
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://ada:secret@127.0.0.1:{server.server_port}/live", visits
        finally:
            over.set()
            server.shutdown()
            thread.join()


def steady(send: Callable[[bytes], None], over: threading.Event) -> None:
    pictures = jpegs(range(256 // STEP))
    for place in range(10_000):
        send(pictures[place % len(pictures)])
        if over.wait(0.01):
            return


def dies_after(count: int) -> Play:
    def play(send: Callable[[bytes], None], over: threading.Event) -> None:
        for jpeg in jpegs([5] * count):
            send(jpeg)

    return play


def hangs_after(count: int) -> Play:
    def play(send: Callable[[bytes], None], over: threading.Event) -> None:
        dies_after(count)(send, over)
        over.wait()

    return play


def refuses(send: Callable[[bytes], None], over: threading.Event) -> None:
    pass


def live(uri: str, backoff: tuple[float, float] = QUICK) -> LiveSource:
    source = open_video(uri, timeout=FAST, backoff=backoff)
    assert isinstance(source, LiveSource)
    return source


def test_stream_is_live_and_stamped_when_grabbed() -> None:
    with camera(steady) as (uri, _):
        source = live(uri)
        before = time.monotonic()
        frames = [frame for frame, _ in zip(source.frames(), range(10), strict=False)]
        source.close()
    assert source.live
    assert [frame.index for frame in frames] == list(range(10))
    assert all(before < frame.captured_at == frame.received_at < time.monotonic() for frame in frames)
    assert "secret" not in source.name
    assert source.name.startswith("http://ada:***@127.0.0.1")


def test_lost_stream_comes_back_by_itself_and_tells_both() -> None:
    with camera(dies_after(40), refuses, refuses, steady) as (uri, visits):
        source = live(uri)
        told: list[str] = []
        source.on_status = lambda: told.append(source.status)
        indices = []
        for frame in source.frames():
            indices.append(frame.index)
            if told == ["reconnecting", "streaming"]:
                break
        source.close()
    assert indices == list(range(len(indices)))
    assert len(indices) > 20
    assert len(visits) == 4


def test_stream_that_falls_silent_is_given_up_within_the_limit_and_tried_again() -> None:
    with camera(hangs_after(40), steady) as (uri, _):
        source = live(uri)
        told: list[float] = []
        source.on_status = lambda: told.append(time.monotonic())
        last = 0.0
        for frame in source.frames():
            if told:
                break
            last = frame.captured_at
        source.close()
    assert FAST * 0.9 < told[0] - last < FAST + 1.0


def test_closing_ends_the_wait_for_the_next_try_at_once() -> None:
    with camera(dies_after(40)) as (uri, _):
        source = live(uri, backoff=(60.0, 60.0))
        away = threading.Event()
        source.on_status = away.set
        reader = threading.Thread(target=lambda: list(source.frames()))
        reader.start()
        assert away.wait(10)
        source.close()
        reader.join(5)
        assert not reader.is_alive()


def test_closing_ends_a_read_under_way_within_the_limit() -> None:
    with camera(hangs_after(40)) as (uri, _):
        source = open_video(uri, timeout=1.5, backoff=QUICK)
        reader = threading.Thread(target=lambda: list(source.frames()))
        reader.start()
        began = time.monotonic()
        source.close()
        reader.join(10)
        assert not reader.is_alive()
        assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(("status", "told"), [(401, r"401.*not accepted"), (404, "404"), (200, "no video")])
def test_stream_that_never_opened_is_told_with_the_reason(
    status: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with camera(refuses, status=status) as (uri, _), pytest.raises(SourceUnavailable, match=told) as caught:
        open_video(uri, timeout=FAST)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_silent_host_is_given_up_within_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(SourceUnavailable):
            open_video(f"rtsp://127.0.0.1:{server.getsockname()[1]}/live", timeout=FAST)
        assert time.monotonic() - began < 4 * FAST + 1.0


def test_closed_port_and_unknown_host_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceUnavailable, match=f"nothing listens on port {port}"):
        open_video(f"rtsp://127.0.0.1:{port}/live", timeout=FAST)
    with pytest.raises(SourceUnavailable, match="malformed"):
        open_video("rtsp://ada:se/cret@127.0.0.1:port/live", timeout=FAST)


def test_file_is_closed_in_the_middle_without_a_trace(tmp_path: Path) -> None:
    source = open_video(str(film(tmp_path / "a.avi", 30)))
    assert isinstance(source, FileSource)
    frames = source.frames()
    next(frames)
    source.close()
    assert list(frames) == []
