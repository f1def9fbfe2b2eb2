"""The grid decoder's arithmetic against brute force, and what its network is shown."""

from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.detectors._settings import MAX_INPUT_PX
from rtface.detectors._single_shot import Family, SingleShot, cells, look_scales
from rtface.types import Image

FAMILY = Family("told", anchors=1, corners=lambda raw: raw, overlap=0.3, smallest_px=16, largest_px=400)


class Told:
    """A network that answers what it was told, and remembers what it was shown."""

    name = "told"
    inputs: Mapping[str, tuple[int | None, ...]] = {"images": (None, None, None, 3)}
    outputs: tuple[str, ...] = ("scores", "boxes", "points")

    def __init__(self, answers: Mapping[int, tuple[float, list[float]]] | None = None) -> None:
        self.answers = answers or {}
        self.shown: list[Image] = []
        self.closed = False

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        picture = np.array(arrays["images"], np.uint8)
        self.shown.append(picture[0])
        count = sum((picture.shape[1] // stride) * (picture.shape[2] // stride) for stride in (8, 16, 32))
        scores, boxes = np.zeros((1, count), np.float32), np.zeros((1, count, 4), np.float32)
        for number, (score, box) in self.answers.items():
            scores[0, number], boxes[0, number] = score, box
        return {"scores": scores, "boxes": boxes, "points": np.zeros((1, count, 10), np.float32)}

    def close(self) -> None:
        self.closed = True


def random_picture(height: int, width: int) -> Image:
    return np.random.default_rng(height * width).integers(1, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("anchors", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (160, 32)])
def test_answers_are_numbered_grid_by_grid_row_by_row(height: int, width: int, anchors: int) -> None:
    counted = [
        (x, y, stride)
        for stride in (8, 16, 32)
        for y in range(0, height, stride)
        for x in range(0, width, stride)
        for _ in range(anchors)
    ]
    corner, stride = cells(np.arange(len(counted)), height, width, anchors)
    np.testing.assert_array_equal(np.hstack([corner, stride]), counted)


def test_picture_is_never_enlarged() -> None:
    network = Told()
    SingleShot(FAMILY, network, min_score=0.5, min_face_px=4).detect(random_picture(50, 40))
    assert network.shown[0].shape == (64, 64, 3)
    np.testing.assert_array_equal(network.shown[0][:50, :40], random_picture(50, 40))


def test_smallest_face_asked_for_becomes_the_smallest_one_visible() -> None:
    network = Told()
    SingleShot(FAMILY, network, min_score=0.5, min_face_px=64).detect(random_picture(320, 640))
    expected = cv2.resize(random_picture(320, 640), (160, 80), interpolation=cv2.INTER_AREA)
    # Halving and halving again rounds twice.
    np.testing.assert_allclose(network.shown[0][:80, :160].astype(int), expected, atol=1)


def test_nothing_of_a_larger_picture_remains_beside_a_smaller_one() -> None:
    network = Told()
    detector = SingleShot(FAMILY, network, min_score=0.5, min_face_px=16)
    for height, width in [(100, 300), (70, 80), (90, 65), (64, 64), (33, 200)]:
        detector.detect(random_picture(height, width))
        shown = network.shown[-1]
        assert shown.shape[0] % 32 == shown.shape[1] % 32 == 0
        assert shown[:height, :width].all()
        assert not shown[height:].any()
        assert not shown[:, width:].any()


def test_answers_come_back_in_the_pictures_own_pixels() -> None:
    # Input 32x64 of a picture of 64x128: cell 9 of the first grid is row 1, column 1, its corner at (8, 8) there.
    network = Told({9: (0.9, [-0.5, -1, 0.5, 2])})
    (found,) = SingleShot(FAMILY, network, min_score=0.5, min_face_px=32).detect(random_picture(64, 128))
    np.testing.assert_array_equal(found.box, [8, 0, 24, 48])
    np.testing.assert_array_equal(found.landmarks, np.full((5, 2), 16))


def test_sides_rounded_differently_are_undone_differently() -> None:
    # 33x100 at one half is 16x50: 2.0625 picture px an input px downwards, 2 across.
    network = Told({0: (0.9, [0, 0, 1, 1])})
    (found,) = SingleShot(FAMILY, network, min_score=0.5, min_face_px=32).detect(random_picture(33, 100))
    np.testing.assert_array_equal(found.box, [0, 0, 16, 16.5])


def test_of_two_that_overlap_the_better_stays() -> None:
    network = Told({9: (0.7, [0, 0, 4, 4]), 10: (0.9, [0, 0, 4, 4]), 24: (0.8, [0, 0, 1, 1])})
    found = SingleShot(FAMILY, network, min_score=0.5, min_face_px=16).detect(random_picture(64, 128))
    assert [round(face.score, 3) for face in found] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("height", "width", "scales"),
    [(480, 640, [0.5]), (960, 3000, [0.5]), (961, 3000, [0.5, 0.0625]), (4000, 4000, None)],
)
def test_a_second_look_only_where_a_larger_face_fits(height: int, width: int, scales: list[float] | None) -> None:
    found = look_scales(height, width, 0.5, 400)
    if scales is None:
        assert len(found) == 2
    else:
        assert found == pytest.approx(scales)


@pytest.mark.parametrize("side", [100, 1000, 5000, 20_000, 100_000])
def test_every_size_of_face_is_visible_in_some_look(side: int) -> None:
    scales = look_scales(side, side, 0.5, 400)
    assert side * side * scales[0] ** 2 <= MAX_INPUT_PX * 1.0001
    for face in np.geomspace(16 / scales[0], max(side, 16 / scales[0]), 50):
        assert any(15.99 <= face * scale <= 400 for scale in scales), face


def test_closing_frees_the_engine() -> None:
    network = Told()
    SingleShot(FAMILY, network, min_score=0.5, min_face_px=16).close()
    assert network.closed
