"""What counts as a change of the picture."""

import numpy as np
import pytest

from rtface.tracking.changes import CELL_PX, ChangeMap, Region
from rtface.types import Image


def grey(height: int = 200, width: int = 330, level: int = 100) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def seen(picture: Image) -> ChangeMap:
    changes = ChangeMap()
    assert changes.changed(picture) is None
    changes.looked_at(None)
    return changes


def test_same_picture_has_not_changed() -> None:
    assert seen(grey()).changed(grey()) == []


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_change_lies_in_its_region_whatever_its_colour(colour: int) -> None:
    picture = grey()
    picture[90:110, 150:170, colour] = 140
    (region,) = seen(grey()).changed(picture) or []
    assert region.left <= 150 - CELL_PX and region.top <= 90 - CELL_PX
    assert region.right >= 170 + CELL_PX and region.bottom >= 110 + CELL_PX
    assert region.area < 200 * 330 / 2


def test_regions_begin_at_whole_cells_and_end_at_the_picture() -> None:
    picture = grey()
    picture[190:, 320:] = 200
    (region,) = seen(grey()).changed(picture) or []
    assert (region.left % CELL_PX, region.top % CELL_PX) == (0, 0)
    assert (region.right, region.bottom) == (330, 200)


def test_changes_far_apart_are_two_regions() -> None:
    picture = grey()
    picture[:20, :20] = picture[150:170, 300:320] = 200
    regions = seen(grey()).changed(picture) or []
    assert len(regions) == 2
    assert not regions[0].meets(regions[1])


def test_only_what_was_looked_at_is_taken_as_seen() -> None:
    changes, picture = seen(grey()), grey()
    picture[:20, :20] = picture[150:170, 300:320] = 200
    first, second = changes.changed(picture) or []
    changes.looked_at(first)
    assert changes.changed(picture) == [second]
    changes.looked_at(second)
    assert changes.changed(picture) == []


@pytest.mark.parametrize("sigma", [2.0, 8.0, 14.0])
def test_noise_of_a_camera_is_no_change(sigma: float) -> None:
    rng = np.random.default_rng(7)

    def noisy() -> Image:
        return np.clip(rng.normal(100, sigma, (480, 640, 3)), 0, 255).astype(np.uint8)

    changes = seen(noisy())
    assert [changes.changed(noisy()) for _ in range(10)] == [[]] * 10


def test_another_size_is_another_picture() -> None:
    changes = seen(grey())
    assert changes.changed(grey(100, 100)) is None
    changes.looked_at(None)
    assert changes.changed(grey(100, 100)) == []


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 300), (300, 5)])
def test_picture_without_a_whole_block_is_always_another(height: int, width: int) -> None:
    changes = seen(grey(height, width))
    assert changes.changed(grey(height, width)) is None


def test_regions_join_and_meet() -> None:
    a, b = Region(0, 0, 32, 32), Region(32, 0, 64, 64)
    assert a.joined(b) == Region(0, 0, 64, 64)
    assert not a.meets(b)
    assert a.meets(np.array([31.5, 5, 40, 10], np.float32))
