"""Pictures, films and models for the commands; real faces only from installed packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rtface.sources._capture import settle_opencv
from rtface.sources.demo import DemoSource, portrait
from tests.cli.calls import Rtface
from tests.shared import system


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.fixture
def rtface(tmp_path: Path) -> Rtface:
    """The command line on a gallery that is not there yet."""
    return Rtface(tmp_path / "gallery.db")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips what needs networks where there are none."""
    system(tmp_path_factory.mktemp("models") / "gallery.db").close()


@pytest.fixture(scope="session")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of one face, large and frontal."""
    data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("ada") / "ada.jpg"
    Image.fromarray(data.astronaut()).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of six faces, none clearly the largest."""
    path = tmp_path_factory.mktemp("group") / "group.jpg"
    cv2.imwrite(str(path), portrait())
    return path


@pytest.fixture(scope="session")
def enrolled(models: None, ada: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with Ada in it; copy it before changing it."""
    path = tmp_path_factory.mktemp("enrolled") / "gallery.db"
    assert Rtface(path)("enroll", "Ada", ada).code == 0
    return path


@pytest.fixture
def knowing(rtface: Rtface, enrolled: Path) -> Rtface:
    """The command line on a gallery of its own in which Ada is enrolled."""
    shutil.copy(enrolled, rtface.gallery)
    return rtface


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of six faces."""
    frames = islice(DemoSource("demo", portrait(), paced=False).frames(), 40)
    return written(tmp_path_factory.mktemp("film") / "film.mp4", (frame.image for frame in frames), (640, 480))


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film nobody waits the end of: 40,000 small grey pictures."""
    grey = np.full((48, 64, 3), 128, np.uint8)
    return written(tmp_path_factory.mktemp("endless") / "endless.mp4", repeat(grey, 40_000), (64, 48))


def written(path: Path, pictures: Iterable[NDArray[np.uint8]], size: tuple[int, int]) -> Path:
    """A film of these pictures, 30 a second."""
    settle_opencv()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, size)
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path
