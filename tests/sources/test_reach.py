from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from rtface.sources._reach import why_no_camera, why_no_stream


def test_missing_camera_lists_those_there_are(tmp_path: Path) -> None:
    for name in ("video0", "video10", "video2", "videocodec"):
        (tmp_path / name).touch()
    assert "cameras here: 0, 2, 10" in why_no_camera(1, tmp_path)


def test_computer_without_cameras_says_so(tmp_path: Path) -> None:
    assert "no camera at all" in why_no_camera(0, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every device")
def test_camera_one_may_not_use_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "video0").touch(mode=0)
    assert "usermod -aG video" in why_no_camera(0, tmp_path)


def test_camera_that_is_there_is_busy(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    assert "in use" in why_no_camera(0, tmp_path)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "not accepted"),
        (b"RTSP/1.0 404 Not Found\r\n\r\n", "404 Not Found"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "no video"),
        (b"", "nothing we know"),
    ],
)
def test_rtsp_servers_are_asked_in_their_own_words(answer: bytes, told: str) -> None:
    heard: list[bytes] = []

    def serve(server: socket.socket) -> None:
        visitor, _ = server.accept()
        with visitor:
            heard.append(visitor.recv(1000))
            visitor.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        assert told in why_no_stream(f"rtsp://ada:se%40cret@127.0.0.1:{port}/live?channel=1", 2.0)
        thread.join()
    assert heard[0].startswith(f"DESCRIBE rtsp://127.0.0.1:{port}/live?channel=1 RTSP/1.0\r\n".encode())
    assert b"Authorization: Basic YWRhOnNlQGNyZXQ=" in heard[0]  # ada:se@cret, by the base64 command


def test_address_without_a_host_is_told() -> None:
    assert "names no host" in why_no_stream("rtsp:///live", 1.0)
