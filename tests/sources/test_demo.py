from __future__ import annotations

import importlib.util
import subprocess
import sys

import cv2
import numpy as np
import pytest

from rtface.errors import SourceUnavailable
from rtface.sources.demo import FPS, SECONDS, portrait
from rtface.sources.demo import open as open_demo
from rtface.types import Frame
from tests.shared import shared

FACES = np.array([[60, 268], [267, 150], [466, 266], [748, 352], [906, 58], [1125, 272]], np.float32)
"""Left and top of the six faces in the photo, left to right, as OpenCV's FaceDetectorYN finds them."""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(open_demo().frames())


def test_ten_seconds_of_video_with_a_clock(frames: list[Frame]) -> None:
    assert len(frames) == FPS * SECONDS == 300
    assert {frame.image.shape for frame in frames} == {(480, 640, 3)}
    assert [frame.captured_at for frame in frames] == pytest.approx([n / 30 for n in range(300)])


def test_every_run_gives_the_same_pixels(frames: list[Frame]) -> None:
    again = list(open_demo().frames())
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames[::30], again[::30], strict=True))


def test_picture_moves_and_its_light_changes(frames: list[Frame]) -> None:
    means = [float(frame.image.mean()) for frame in frames]
    assert max(means) - min(means) > 20
    still = np.abs(frames[10].image.astype(int) - frames[11].image)
    assert still.mean() > 2  # noise, though the view stands


def test_each_face_is_in_view_and_large_for_a_good_part(frames: list[Frame]) -> None:
    model = shared("models", "face_detection_yunet_2026may.onnx")
    detector = cv2.FaceDetectorYN.create(str(model), "", (640, 480), 0.7)
    seen = np.zeros(len(FACES), int)
    looked = frames[::6]
    for frame in looked:
        found = detector.detect(frame.image)[1]
        boxes = np.zeros((0, 4)) if found is None else found[:, :4]
        whole = (boxes[:, :2] >= 0).all(1) & (boxes[:, 0] + boxes[:, 2] <= 640) & (boxes[:, 2] >= 45)
        for left, top in boxes[whole, :2]:
            seen[nearest(frame, left, top)] += 1
    assert (seen >= 0.3 * len(looked)).all()


def nearest(frame: Frame, left: float, top: float) -> int:
    """Which of the six a face in a frame is, by its place in the photo."""
    from rtface.sources.demo import _view

    x, y, width = _view(frame.captured_at)
    place = np.array([left, top]) * width / 640 + (x, y)
    return int(np.argmin(np.linalg.norm(FACES - place, axis=1)))


def test_photo_is_found_without_importing_the_package_that_has_it() -> None:
    script = "import sys, rtface.sources.demo as d; print(d.portrait().shape, 'insightface' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(886, 1280, 3) False"


def test_missing_photo_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceUnavailable, match="pip install insightface"):
        portrait()


def test_paced_demo_keeps_to_the_clock_and_stops_when_closed() -> None:
    source = open_demo(paced=True)
    got: list[Frame] = []
    for frame in source.frames():
        got.append(frame)
        if len(got) == 4:
            source.close()
    assert len(got) == 4
    assert got[3].received_at - got[0].received_at >= 3 / 30 - 0.005
