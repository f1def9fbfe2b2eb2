"""RTSP cameras for the tests: GStreamer's server in a process of its own, films whose pixels tell their number."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from rtface.types import Image

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
LONG = 30.0
"""Seconds after which a wait has failed; none of them is ever waited out."""

BITS = 16
"""A picture's number, one bit a block: four rows of four, white is 1."""

PARTS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('appsrc', 'h264parse', 'rtph264pay', 'rtpbin')))"
)
PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad} ffmpeg"


def missing() -> str | None:
    """What these tests lack on this computer."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", PARTS], capture_output=True).returncode:
        return f"GStreamer's RTSP server is not there: apt-get install {PACKAGES}"
    encoders = subprocess.run(["ffmpeg", "-encoders"], capture_output=True).stdout if shutil.which("ffmpeg") else b""
    return None if b"libx264" in encoders else f"ffmpeg with libx264 is not there: apt-get install {PACKAGES}"


def picture(number: int, width: int, height: int) -> Image:
    """(height, width) grey: the number in blocks."""
    bits = (number >> np.arange(BITS) & 1).reshape(4, 4)
    blocks = np.where(bits, 235, 16).astype(np.uint8)
    return blocks.repeat(height // 4, 0).repeat(width // 4, 1)


def number(image: Image) -> int:
    """Which picture it was, whatever its size now."""
    height, width = image.shape[:2]
    rows, columns = (np.arange(4) * 2 + 1) * height // 8, (np.arange(4) * 2 + 1) * width // 8
    return int((image[np.ix_(rows, columns)][..., 1].ravel() > 128) @ (1 << np.arange(BITS)))


def film(path: Path, count: int, width: int, height: int, key_frames: int = 10) -> Path:
    """An H.264 stream with a key frame every so many pictures, no B frames, as a camera sends it."""
    size = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-i", "-"]
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    detail = f"aud=1:repeat-headers=1:sliced-threads=0:scenecut=0:keyint={key_frames}"
    pictures = b"".join(picture(place, width, height).tobytes() for place in range(count))
    subprocess.run(
        ["ffmpeg", "-v", "error", *size, *x264, "-x264-params", detail, "-f", "h264", str(path)],
        input=pictures,
        check=True,
    )
    return path


class Server:
    """The server process. ``shown[mount, number]`` is when a picture last went to the network, ``time.monotonic``."""

    def __init__(self, port: int = 0, *credentials: str) -> None:
        """Port 0 is a free one; credentials are user, password and "basic" or "digest"."""
        self.shown: dict[tuple[str, int], float] = {}
        self.newest: dict[str, int] = {}
        self.visits = 0
        self.news = threading.Condition()
        self._done = threading.Semaphore(0)
        self.process = subprocess.Popen(
            [PYTHON, str(SCRIPT), str(port), *credentials], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def tell(self, *words: object) -> None:
        """One command; see the script."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)
        assert self._done.acquire(timeout=LONG)

    def uri(self, mount: str, credentials: str = "") -> str:
        return f"rtsp://{credentials}127.0.0.1:{self.port}/{mount}"

    def wait(self, what: Callable[[], bool]) -> None:
        """Until it holds; looked at whenever the server says something, and every 50 ms."""
        until = time.monotonic() + LONG
        with self.news:
            while not what():
                assert time.monotonic() < until
                self.news.wait(0.05)

    def kill(self) -> None:
        """Ends it without a goodbye to its clients, stopped or not."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, *rest = line.split()
            with self.news:
                if word == "shown":
                    self.shown[rest[0], int(rest[1])] = float(rest[2])
                    self.newest[rest[0]] = int(rest[1])
                self.visits += word == "visit"
                self.news.notify_all()
            if word == "done":
                self._done.release()


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films of 900 pictures: "small" 160x120, "wide" 320x120, and "rare", whose key frames are 90 pictures apart."""
    lack = missing()
    if lack:
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("films")
    return {
        "small": film(folder / "small.h264", 900, 160, 120),
        "wide": film(folder / "wide.h264", 900, 320, 120),
        "rare": film(folder / "rare.h264", 900, 160, 120, key_frames=90),
    }


def serve(films: dict[str, Path], *mounts: tuple[str, str, float], port: int = 0, credentials: str = "") -> Server:
    """A server with these (mount, film, pictures a second)."""
    server = Server(port, *credentials.split())
    for name, path in films.items():
        server.tell("film", name, path)
    for mount in mounts:
        server.tell("add", *mount)
    return server
