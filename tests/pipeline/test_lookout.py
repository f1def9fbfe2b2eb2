"""A lookout against a search of the whole frame, with a detector whose truth is plain: bright squares."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from rtface.pipeline.lookout import Lookout
from rtface.types import Detection, Image

HEIGHT, WIDTH = 240, 320


class Squares:
    """Finds every bright square, wherever it is cut out of; remembers how many px it was shown."""

    name = "squares"

    def __init__(self) -> None:
        self.shown: list[int] = []

    def detect(self, image: Image) -> list[Detection]:
        self.shown.append(image.shape[0] * image.shape[1])
        bright = (image[:, :, 1] > 200).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(bright)
        found = []
        for left, top, width, height, area in boxes[1:count].tolist():
            box = np.array([left, top, left + width, top + height], np.float32)
            found.append(Detection(box, np.tile(box[:2], (5, 1)), area / (HEIGHT * WIDTH)))
        return sorted(found, key=lambda face: -face.score)

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def close(self) -> None:
        pass


def scene(squares: Sequence[tuple[int, int, int]], *, grey: int = 60, seed: int = 0, noise: float = 2.0) -> Image:
    """Bright squares (left, top, side) on grey, with a camera's noise."""
    picture = np.full((HEIGHT, WIDTH, 3), grey, np.float64)
    for left, top, side in squares:
        picture[top : top + side, left : left + side] = 240
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def boxes(faces: Sequence[Detection]) -> list[list[float]]:
    return sorted(face.box.tolist() for face in faces)


def test_first_frame_is_searched_whole() -> None:
    detector = Squares()
    assert len(Lookout(detector, full_look_s=1.0, new_face_s=0.0).detect(scene([(10, 10, 40)]), 0.0)) == 1
    assert detector.shown == [HEIGHT * WIDTH]


def test_nothing_is_searched_while_nothing_but_noise_moves_and_the_faces_stay() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=10.0, new_face_s=0.0)
    first = lookout.detect(scene([(100, 90, 40)], noise=6.0), 0.0)
    for number in range(1, 20):
        assert lookout.detect(scene([(100, 90, 40)], seed=number, noise=6.0), number / 30) == first
    assert len(detector.shown) == 1


def test_face_that_appears_is_found_in_its_first_frame_by_searching_only_there() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=10.0, new_face_s=0.0)
    lookout.detect(scene([(20, 20, 40)]), 0.0)
    found = lookout.detect(scene([(20, 20, 40), (220, 150, 30)], seed=1), 0.1)
    assert boxes(found) == [[20, 20, 60, 60], [220, 150, 250, 180]]
    assert detector.shown[1] < HEIGHT * WIDTH / 4


def test_face_that_moves_is_followed_by_searching_around_it_alone_until_others_are_due() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=10.0, new_face_s=0.1)
    lookout.detect(scene([(20, 20, 40)]), 0.0)
    told = []
    for number in range(1, 7):
        picture = scene([(20 + 2 * number, 20, 40), (220, 150, 30)], seed=number)
        told.append(boxes(lookout.detect(picture, number / 30)))
    followed = [[20 + 2 * number, 20, 60 + 2 * number, 60] for number in range(1, 7)]
    assert [faces[0] for faces in told] == followed
    assert [len(faces) for faces in told] == [1, 1, 2, 2, 2, 2], "the newcomer is due 0.1 s after the first frame"
    assert all(px < HEIGHT * WIDTH / 4 for px in detector.shown[1:3])


def test_faces_that_fill_the_picture_are_followed_by_searching_it_whole() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=10.0, new_face_s=5.0)
    for number in range(4):
        squares = [(5 + 105 * i + number, 20 + number, 90) for i in range(3)] + [(100 + number, 140 + number, 85)]
        assert len(lookout.detect(scene(squares, seed=number), number / 30)) == 4
    assert detector.shown == [HEIGHT * WIDTH] * 4


def test_face_that_has_jumped_is_looked_for_at_once_wherever_something_changed() -> None:
    lookout = Lookout(Squares(), full_look_s=10.0, new_face_s=5.0)
    lookout.detect(scene([(20, 20, 40)]), 0.0)
    assert boxes(lookout.detect(scene([(200, 120, 40)], seed=1), 0.1)) == [[200, 120, 240, 160]]


def test_face_that_goes_is_gone_at_once() -> None:
    lookout = Lookout(Squares(), full_look_s=10.0, new_face_s=0.0)
    lookout.detect(scene([(20, 20, 40), (220, 150, 30)]), 0.0)
    assert boxes(lookout.detect(scene([(20, 20, 40)], seed=1), 0.1)) == [[20, 20, 60, 60]]


def test_large_face_of_which_a_part_moves_stays_whole() -> None:
    lookout = Lookout(Squares(), full_look_s=10.0, new_face_s=0.0)
    lookout.detect(scene([(60, 40, 160)]), 0.0)
    picture = scene([(60, 40, 160)], seed=1)
    picture[170:190, 120:160] = 210
    assert boxes(lookout.detect(picture, 0.1)) == [[60, 40, 220, 200]]


def test_whole_frame_is_searched_again_when_it_is_due() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=0.5, new_face_s=0.0)
    for number in range(30):
        lookout.detect(scene([(100, 90, 40)], seed=number), number / 30)
    assert detector.shown == [HEIGHT * WIDTH] * 2


def test_every_frame_is_searched_whole_with_zero_seconds() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=0.0, new_face_s=0.0)
    for number in range(3):
        lookout.detect(scene([]), number / 30)
    assert detector.shown == [HEIGHT * WIDTH] * 3


def test_light_that_changes_everywhere_and_another_size_are_searched_whole() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=10.0, new_face_s=0.0)
    lookout.detect(scene([]), 0.0)
    lookout.detect(scene([], grey=90), 0.1)
    lookout.detect(scene([], grey=90)[:128, :96], 0.2)
    assert detector.shown == [HEIGHT * WIDTH, HEIGHT * WIDTH, 128 * 96]


def test_slow_change_adds_up_until_it_is_looked_at() -> None:
    detector = Squares()
    lookout = Lookout(detector, full_look_s=100.0, new_face_s=0.0)
    for number in range(40):
        picture = scene([], seed=number)
        picture[100:140, 100:140] += np.uint8(number)
        lookout.detect(picture, number / 30)
    assert len(detector.shown) > 2


@pytest.mark.parametrize("seed", range(12))
def test_moving_squares_are_told_as_a_search_of_every_whole_frame_tells_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    sides = rng.integers(16, 44, count)
    # Each in a column of its own, so that no two touch.
    places = np.stack([100 * np.arange(count) + 20, rng.integers(0, 180, count)], axis=1).astype(float)
    speeds = rng.normal(0, 5, (count, 2)) * rng.integers(0, 2, (count, 1))
    detector, lookout = Squares(), Lookout(Squares(), full_look_s=1.0, new_face_s=0.0)
    for number in range(40):
        places = np.clip(
            places + speeds, [[100 * i + 2, 0] for i in range(count)], [[100 * i + 54, 190] for i in range(count)]
        )
        squares = [(int(x), int(y), int(side)) for (x, y), side in zip(places, sides, strict=True)]
        picture = scene(squares, seed=1000 * seed + number)
        assert boxes(lookout.detect(picture, number / 30)) == boxes(detector.detect(picture))
