"""Videos: the first frames with a face, their mean, and the cache."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.evaluation.pictures import FaceReader
from rtface.evaluation.template_cache import TemplateCache
from rtface.evaluation.videos import crops_of, embed_videos
from rtface.sources.images import read_picture
from rtface.types import Detection, Image
from tests.fakes import FakeEmbedder, detection, direction, paint


class SeesFaces:
    """Finds the painted square where there is one; counts its looks."""

    name = "square"

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: Image) -> list[Detection]:
        self.calls += 1
        return [detection(100, 60)] if image[60:140, 100:180].mean() > 10 else []

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def close(self) -> None: ...


def film(folder: Path, *brightnesses: int) -> Path:
    """A folder of frames; 0 is a frame without a face."""
    folder.mkdir()
    for number, brightness in enumerate(brightnesses):
        frame = paint({(100, 60): brightness}) if brightness else np.zeros((240, 320, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame)
    return folder


def quiet(label: str, done: int, total: int) -> None: ...


def test_a_video_is_the_mean_of_the_first_frames_that_show_a_face(tmp_path: Path) -> None:
    path = film(tmp_path / "a", 0, 100, 0, 150, 200, 50)
    reader = FaceReader(SeesFaces(), FakeEmbedder(), read_picture, mirror=False)
    crops = list(crops_of(path, reader, 3))
    means = [float(crop.mean()) for crop in crops]
    assert means == pytest.approx([100, 150, 200], abs=6)
    (vector,) = embed_videos([path], reader, quiet, frames=3).values()
    assert vector is not None
    np.testing.assert_allclose(vector, np.mean([direction(mean) for mean in means], axis=0), atol=1e-6)
    assert np.linalg.norm(vector) < 1


def test_a_film_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    for _ in range(40):
        writer.write(paint({(100, 60): 100}))
    writer.release()
    embedder = FakeEmbedder()
    (vector,) = embed_videos([path], FaceReader(SeesFaces(), embedder, read_picture), quiet, frames=20).values()
    assert vector is not None
    assert embedder.batches == [16, 4]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_video_without_faces_or_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    paths = [film(tmp_path / "empty", 0, 0), tmp_path / "broken.mp4"]
    assert (
        list(embed_videos(paths, FaceReader(SeesFaces(), FakeEmbedder(), read_picture), quiet).values()) == [None] * 2
    )


def test_a_video_seen_before_is_not_looked_at_again_unless_more_frames_are_wanted(tmp_path: Path) -> None:
    path, detector = film(tmp_path / "a", 100, 100, 100), SeesFaces()
    with TemplateCache(tmp_path / "cache") as cache:
        reader = FaceReader(detector, FakeEmbedder(), read_picture, cache=cache)
        first = embed_videos([path], reader, quiet, frames=2)[path]
        looks = detector.calls
        again = embed_videos([path], reader, quiet, frames=2)[path]
        assert detector.calls == looks
        assert first is not None
        assert again is not None
        np.testing.assert_array_equal(first, again)
        embed_videos([path], reader, quiet, frames=3)
        assert detector.calls == looks + 3
        cv2.imwrite(str(path / "0001.png"), paint({(100, 60): 200}))
        changed = embed_videos([path], reader, quiet, frames=2)[path]
        assert changed is not None
        assert not np.array_equal(first, changed)
