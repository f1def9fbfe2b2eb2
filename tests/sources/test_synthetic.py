"""The invented crowd: as many faces as were asked for, apart from each other, alive, and cheap in memory."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import SourceUnavailable
from rtface.interfaces import Detector
from rtface.sources.load import synthetic
from rtface.sources.load.synthetic import SyntheticSource
from tests.detectors.opened import open_detector


def stack(source: SyntheticSource, count: int, step: int = 1) -> NDArray[np.uint8]:
    return np.stack([frame.image for frame in islice(source.frames(), 0, count * step, step)])


@pytest.fixture(scope="module")
def yunet() -> Detector:
    return open_detector("yunet", min_face_px=20)


@pytest.mark.parametrize(
    ("faces", "size"), [(1, (640, 480)), (4, (640, 480)), (6, (1280, 720)), (16, (1280, 720)), (3, (480, 640))]
)
def test_the_detector_finds_every_face_in_nearly_every_frame(
    yunet: Detector, faces: int, size: tuple[int, int]
) -> None:
    images = stack(synthetic.open(faces, size, camera=2), 12, step=7)
    counts = [len(yunet.detect(image)) for image in images]
    assert abs(np.mean(counts) - faces) <= 0.02 * faces
    assert np.median(counts) == faces


def test_sixteen_small_faces_are_found_but_for_one_in_fifty(yunet: Detector) -> None:
    images = stack(synthetic.open(16, (640, 480)), 12, step=7)
    found = sum(min(len(yunet.detect(image)), 16) for image in images)
    assert found >= 0.98 * 16 * len(images)


def test_faces_are_as_wide_as_told(yunet: Detector) -> None:
    wide = synthetic.face_width(6, (1280, 720))
    found = [face.box[2] - face.box[0] for face in yunet.detect(stack(synthetic.open(6, (1280, 720)), 1)[0])]
    assert np.median(found) == pytest.approx(wide, rel=0.15)


@pytest.mark.parametrize("faces", range(1, synthetic.MOST_FACES + 1))
def test_heads_stay_in_the_picture_and_apart(faces: int) -> None:
    source = synthetic.open(faces, (640, 480), camera=3)
    boxes = []
    for walker in source._walkers:
        tall, wide = walker.head.keep.shape[:2]
        (x, y), (across, down) = walker.middle, walker.reach
        boxes.append((x - across - wide / 2, y - down - tall / 2, x + across + wide / 2, y + down + tall / 2))
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert min(left, top) >= 0
        assert right <= 640
        assert bottom <= 480
        for other in boxes[:place]:
            assert min(right, other[2]) <= max(left, other[0]) or min(bottom, other[3]) <= max(top, other[1])


def test_the_same_crowd_is_the_same_in_every_run_and_other_cameras_see_others() -> None:
    first, again, other = (stack(synthetic.open(2, (320, 240), camera=camera), 20) for camera in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_no_picture_comes_twice() -> None:
    images = stack(synthetic.open(1, (320, 240)), 300)
    assert len({image.tobytes() for image in images}) == 300


def test_before_a_fixed_camera_only_people_move_and_the_sensor_is_noisy() -> None:
    images = stack(synthetic.open(1, (640, 480), still=True), 30).astype(np.float32)
    corner = images[:, :24, :24]
    assert np.ptp(corner.mean(axis=(1, 2, 3))) < 1.0  # the scene stands
    assert 2.0 < np.median(corner.std(axis=0)) < 6.0  # grey levels
    swaying = stack(synthetic.open(1, (640, 480)), 90).astype(np.float32)[:, :24, :24]
    assert np.ptp(swaying.mean(axis=(1, 2, 3))) > 1.0


def test_pictures_are_the_size_asked_for_and_not_to_be_written_to() -> None:
    source = synthetic.open(2, (322, 241))
    frames = list(islice(source.frames(), 5))
    assert {frame.image.shape for frame in frames} == {(241, 322, 3)}
    assert not any(frame.image.flags.writeable for frame in frames)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.source for frame in frames} == {source.name}
    assert np.diff([frame.captured_at for frame in frames]) == pytest.approx(1 / 30)


def test_cameras_share_what_does_not_change() -> None:
    one, two = (synthetic.open(1, (640, 480), camera=camera) for camera in (1, 2))
    assert one._background is two._background
    assert one._noise.base is two._noise.base


def test_faces_too_small_to_be_found_are_refused_with_their_size() -> None:
    with pytest.raises(SourceUnavailable, match="16 faces in 160x120 would be 12 px wide, and 32 is the least"):
        synthetic.open(16, (160, 120))


def test_closing_ends_the_frames() -> None:
    source = synthetic.open(1, (320, 240))
    frames = source.frames()
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
