from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.errors import SinkError
from rtface.sinks.video import VideoSink
from rtface.sinks.video import open as open_recording
from rtface.types import FrameResult, Image
from tests.sinks.results import picture, result


def plain(shown: FrameResult) -> Image:
    """The picture without an overlay, whose grey a test can read back."""
    return shown.frame.image


def film(path: Path) -> tuple[float, list[Image]]:
    """Frames a second, and the frames, read back by OpenCV."""
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        done, image = reader.read()
        if not done:
            break
        frames.append(np.asarray(image, np.uint8))
    return reader.get(cv2.CAP_PROP_FPS), frames


def record(path: Path, times: Sequence[float], **options: Sequence[str]) -> tuple[float, list[float]]:
    """Rate, and greys of a film of pictures at these times; the n-th has grey 10 n."""
    sink = open_recording(path, draw=plain, **options)
    for index, at in enumerate(times):
        assert sink.write(result(index, at=at, image=picture(10 * index)))
    sink.close()
    fps, frames = film(path)
    return fps, [float(np.round(frame.mean() / 10)) for frame in frames]


def test_a_steady_film_is_recorded_picture_by_picture_at_its_own_rate(tmp_path: Path) -> None:
    fps, greys = record(tmp_path / "a.mp4", [n / 25 for n in range(20)])
    assert fps == pytest.approx(25, rel=0.01)
    assert greys == list(range(20))


def test_trembling_times_neither_double_nor_lose_a_picture(tmp_path: Path) -> None:
    tremble = np.random.default_rng(3).uniform(-0.008, 0.008, 24)
    _, greys = record(tmp_path / "a.mp4", [float(n / 25 + t) for n, t in enumerate(tremble)])
    assert abs(len(greys) - 24) <= 2


def test_dropped_frames_leave_the_film_as_long_as_life(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.12, 0.16, 0.20, 0.60, 0.64]
    fps, greys = record(tmp_path / "a.mp4", times)
    assert len(greys) / fps == pytest.approx(0.68, abs=0.05)
    assert greys.count(6.0) >= 8  # the picture after the gap fills it


def test_a_long_absence_is_shortened(tmp_path: Path) -> None:
    times = [*(n / 10 for n in range(6)), 3600.0, 3600.1]
    fps, greys = record(tmp_path / "a.mp4", times)
    assert len(greys) / fps == pytest.approx(0.5 + 2.0 + 0.2, abs=0.15)


def test_fewer_pictures_than_it_takes_to_tell_the_rate_are_recorded_too(tmp_path: Path) -> None:
    fps, greys = record(tmp_path / "a.mp4", [0.0])
    assert (fps, greys) == (30.0, [0.0])


def test_pictures_of_another_size_are_fitted_in_with_black(tmp_path: Path) -> None:
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    for index, size in enumerate([(96, 72)] * 6 + [(40, 80)] * 4):
        sink.write(result(index, image=picture(200, size)))
    sink.close()
    _, frames = film(tmp_path / "a.mp4")
    assert {frame.shape for frame in frames} == {(72, 96, 3)}
    last = frames[-1]
    assert last[:, :20].mean() < 25
    assert last[:, -20:].mean() < 25
    assert last[10:62, 36:60].mean() > 180


@pytest.mark.parametrize("size", [(97, 73), (641, 480), (3, 3)])
def test_odd_sizes_are_recorded(tmp_path: Path, size: tuple[int, int]) -> None:
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    for index in range(8):
        sink.write(result(index, image=picture(100, size)))
    sink.close()
    assert len(film(tmp_path / "a.mp4")[1]) == 8


def test_each_of_several_sources_has_its_file(tmp_path: Path) -> None:
    names = ["0", "rtsp://ada:***@cam/live", "rtsp://eva:***@cam/live"]
    sink = open_recording(tmp_path / "out.mp4", draw=plain, sources=names)
    for index in range(8):
        for name in names:
            sink.write(result(index, source=name))
    sink.close()
    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 3
    assert "out-0.mp4" in written
    assert all(name.startswith("out-") and name.endswith(".mp4") for name in written)


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    for index in range(10):
        sink.write(result(index))
    assert not (tmp_path / "a.mp4").exists()
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    sink.close()


def test_frames_told_before_are_not_recorded_again(tmp_path: Path) -> None:
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    for index in range(8):
        sink.write(result(index))
        sink.write(result(index, repeated=True))
    sink.close()
    assert len(film(tmp_path / "a.mp4")[1]) == 8


def test_nothing_seen_leaves_no_file(tmp_path: Path) -> None:
    open_recording(tmp_path / "a.mp4").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "told"), [("a.avi", "end in .mp4"), ("nowhere/a.mp4", "no folder")])
def test_what_cannot_be_written_is_told_before_the_first_frame(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(SinkError, match=told):
        open_recording(tmp_path / name)


def test_a_disk_running_full_ends_the_recording_with_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    free = [10**9]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, free[0]))
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    with pytest.raises(SinkError, match="nearly full"):
        for index in range(200):
            free[0] = 10**9 if index < 100 else 0
            sink.write(result(index))
    sink.close()
    assert len(film(tmp_path / "a.mp4")[1]) >= 100


def test_a_file_that_did_not_come_out_whole_is_told(tmp_path: Path) -> None:
    sink = open_recording(tmp_path / "a.mp4", draw=plain)
    for index in range(8):
        sink.write(result(index))
    lose_the_end(sink)
    with pytest.raises(SinkError, match="not whole"):
        sink.close()
    assert not (tmp_path / "a.mp4").exists()


def lose_the_end(sink: VideoSink) -> None:
    """As a full disk does: the writer says nothing and the file lacks its index."""
    (recording,) = sink._recordings.values()
    writer = recording._writer
    assert writer is not None
    finish = writer.release

    class Losing:
        def release(self) -> None:
            finish()
            recording._beside.write_bytes(recording._beside.read_bytes()[:200])

    recording._writer = Losing()  # type: ignore[assignment]
