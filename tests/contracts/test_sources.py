"""What every source in ``rtface/sources`` keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from rtface import registry
from rtface.interfaces import FrameSource
from rtface.sources import open_source
from tests.sources.films import film, picture


def pictures(folder: Path) -> str:
    for place in range(6):
        Pictures.fromarray(picture(place)).save(folder / f"{place}.png")
    return str(folder)


ADDRESSES: dict[str, Callable[[Path], str]] = {
    "demo": lambda folder: "demo",
    "images": pictures,
    "video": lambda folder: str(film(folder / "film.avi", 20)),
}
MOST = 40
"""Frames looked at; the demonstration has 300."""


def test_every_source_in_the_folder_is_tested_here() -> None:
    assert set(registry.names("sources")) == set(ADDRESSES)


@pytest.fixture(params=sorted(ADDRESSES))
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ADDRESSES[request.param](tmp_path)


def test_frames_are_colour_pictures_not_to_be_written_to(address: str) -> None:
    source = open_source(address)
    for frame, _ in zip(source.frames(), range(MOST), strict=False):
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
        assert frame.image.flags.c_contiguous
        assert not frame.image.flags.writeable
        assert frame.source == source.name == address
    source.close()


def test_frames_are_numbered_from_nought_and_time_only_grows(address: str) -> None:
    source = open_source(address)
    frames = [frame for frame, _ in zip(source.frames(), range(MOST), strict=False)]
    source.close()
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(np.diff([frame.captured_at for frame in frames]) > 0)
    assert all(np.diff([frame.received_at for frame in frames]) >= 0)


def test_what_is_not_live_is_the_same_in_every_run(address: str) -> None:
    runs = []
    for _ in range(2):
        source = open_source(address)
        assert source.live is False
        frames = [frame for frame, _ in zip(source.frames(), range(MOST), strict=False)]
        runs.append([(frame.captured_at, frame.image.tobytes()) for frame in frames])
        source.close()
    assert runs[0] == runs[1]


def test_status_is_streaming_from_the_start(address: str) -> None:
    source = open_source(address)
    assert source.status == "streaming"
    source.close()


def test_closing_ends_the_frames_and_may_be_repeated(address: str) -> None:
    source = open_source(address)
    frames = source.frames()
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


def test_closing_before_the_first_frame_is_fine(address: str) -> None:
    open_source(address).close()


def test_closing_from_another_thread_ends_the_frames(address: str) -> None:
    source: FrameSource = open_source(address)
    begun = threading.Event()

    def watch() -> None:
        for _ in source.frames():
            begun.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert begun.wait(20)
    source.close()
    watcher.join(20)
    assert not watcher.is_alive()
