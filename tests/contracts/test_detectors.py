"""What every detector keeps to, on real faces that installed packages carry."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface import registry
from rtface.errors import ConfigError
from rtface.geometry import iou
from rtface.interfaces import Detector
from rtface.types import Detection, Image
from tests.detectors.opened import graphs, one_person, open_detector, six_people


@pytest.fixture(params=registry.names("detectors"), scope="module")
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    opened = open_detector(request.param)
    yield opened
    opened.close()


def boxes(detections: list[Detection]) -> NDArray[np.float32]:
    return np.array([found.box for found in detections], np.float32).reshape(-1, 4)


def assert_same(some: list[Detection], others: list[Detection]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one.box, other.box)
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        assert one.score == other.score


def test_is_named_after_its_file(detector: Detector, request: pytest.FixtureRequest) -> None:
    assert f"[{detector.name}]" in request.node.name


def test_each_of_six_people_is_found_once(detector: Detector) -> None:
    found = detector.detect(six_people())
    assert len(found) == 6
    overlaps = iou(boxes(found), boxes(found))
    assert (overlaps - np.eye(6, dtype=np.float32)).max() < 0.1


def test_one_person_is_found_once(detector: Detector) -> None:
    (found,) = detector.detect(one_person())
    left, top, right, bottom = found.box
    assert 150 < left < right < 300, "the face stands there in scikit-image's picture"
    assert 40 < top < bottom < 220


def test_detections_have_the_agreed_types_and_come_best_first(detector: Detector) -> None:
    found = detector.detect(six_people())
    assert isinstance(found, list)
    for detection in found:
        assert detection.box.shape == (4,)
        assert detection.box.dtype == np.float32
        assert detection.landmarks.shape == (5, 2)
        assert detection.landmarks.dtype == np.float32
        assert isinstance(detection.score, float)
        assert 0 <= detection.score <= 1
        assert (detection.box[:2] < detection.box[2:]).all()
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)


def test_landmarks_are_eyes_nose_mouth_image_left_first(detector: Detector) -> None:
    for found in [*detector.detect(six_people()), *detector.detect(one_person())]:
        margin = 0.1 * (found.box[2:] - found.box[:2])
        assert (found.landmarks > found.box[:2] - margin).all()
        assert (found.landmarks < found.box[2:] + margin).all()
        eye, other_eye, nose, mouth, other_mouth = found.landmarks
        assert eye[0] < nose[0] < other_eye[0]
        assert mouth[0] < other_mouth[0]
        assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("size", [(480, 640), (1, 1), (2, 3), (20, 2000), (2000, 20), (33, 31)])
def test_nobody_is_an_empty_list(detector: Detector, size: tuple[int, int], shade: int) -> None:
    assert detector.detect(np.full((*size, 3), shade, np.uint8)) == []


def test_layout_of_the_array_does_not_matter(detector: Detector) -> None:
    image = one_person()
    expected = detector.detect(image)
    height, width = image.shape[:2]
    wider = np.zeros((height + 7, width + 9, 3), np.uint8)
    wider[4 : 4 + height, 6 : 6 + width] = image
    for view in (wider[4 : 4 + height, 6 : 6 + width], np.asfortranarray(image), image[..., ::-1].copy()[..., ::-1]):
        view.flags.writeable = False
        assert_same(detector.detect(view), expected)


def test_picture_is_left_as_it_was(detector: Detector) -> None:
    image = one_person().copy()
    detector.detect(image)
    np.testing.assert_array_equal(image, one_person())


def test_same_picture_gives_the_same_whatever_came_between(detector: Detector) -> None:
    first = detector.detect(one_person())
    detector.detect(six_people())
    detector.detect(six_people()[:300, :200])
    assert_same(detector.detect(one_person()), first)


def test_detections_survive_the_next_picture(detector: Detector) -> None:
    found = detector.detect(one_person())
    box, landmarks = found[0].box.copy(), found[0].landmarks.copy()
    detector.detect(six_people())
    np.testing.assert_array_equal(found[0].box, box)
    np.testing.assert_array_equal(found[0].landmarks, landmarks)


@pytest.mark.parametrize(("down", "right"), [(0, 100), (77, 0), (131, 250)])
def test_box_moves_with_the_face(detector: Detector, down: int, right: int) -> None:
    (still,) = detector.detect(one_person())
    (moved,) = detector.detect(np.pad(one_person(), ((down, 0), (right, 0), (0, 0))))
    shift = np.array([right, down], np.float32)
    assert iou(still.box[None] + np.tile(shift, 2), moved.box[None])[0, 0] > 0.8
    width = still.box[2] - still.box[0]
    assert np.abs(still.landmarks + shift - moved.landmarks).max() < 0.1 * width


@pytest.mark.parametrize("factor", [0.5, 2, 4, 9])
def test_box_grows_with_the_face(detector: Detector, factor: float) -> None:
    face = one_person()[:300, 100:400]
    (plain,) = detector.detect(face)
    resized = np.asarray(cv2.resize(face, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    (grown,) = detector.detect(resized)
    assert iou(plain.box[None] * factor, grown.box[None])[0, 0] > 0.75


def test_a_face_that_fills_a_large_picture_is_found_once(detector: Detector) -> None:
    face = one_person()[40:240, 130:330]
    (found,) = detector.detect(np.asarray(cv2.resize(face, (1600, 1600)), np.uint8))
    assert found.box[2] - found.box[0] > 600


def test_grey_picture_has_the_same_faces(detector: Detector) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(six_people(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    coloured = boxes(detector.detect(six_people()))
    found = boxes(detector.detect(np.asarray(grey, np.uint8)))
    assert (iou(coloured, found).max(axis=1) > 0.7).all()


def small_people() -> Image:
    """Faces of about 32 px."""
    return np.asarray(cv2.resize(six_people(), None, fx=0.33, fy=0.33, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("name", registry.names("detectors"))
def test_faces_of_the_smallest_size_asked_for_are_found(name: str) -> None:
    found = open_detector(name, min_face_px=32).detect(small_people())
    expected = boxes(open_detector(name).detect(six_people())) * 0.33
    assert (iou(expected, boxes(found)).max(axis=1) > 0.5).sum() >= 5


@pytest.mark.parametrize("name", registry.names("detectors"))
def test_no_face_below_the_score_asked_for_and_none_lost_above_it(name: str) -> None:
    every = open_detector(name, min_score=0.2).detect(small_people())
    limit = float(np.median([found.score for found in every]))
    assert_same(
        open_detector(name, min_score=limit).detect(small_people()), [found for found in every if found.score >= limit]
    )


@pytest.mark.parametrize("name", registry.names("detectors"))
@pytest.mark.parametrize(("min_score", "min_face_px"), [(1.5, 32), (-0.1, 32), (float("nan"), 32), (0.5, 0)])
def test_settings_out_of_range_are_refused(name: str, min_score: float, min_face_px: int) -> None:
    graphs(name)
    with pytest.raises(ConfigError, match="min_"):
        open_detector(name, min_score=min_score, min_face_px=min_face_px)
