"""Crops against scikit-image's and OpenCV's own geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.embedding import align
from rtface.types import Image


@pytest.fixture(scope="module")
def picture() -> Image:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


@given(turn=st.floats(-3, 3), scale=st.floats(0.1, 10), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_similarity_recovers_a_known_transform(turn: float, scale: float, x: float, y: float) -> None:
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (align.ARCFACE_112 @ matrix.T + [x, y]).astype(np.float32)
    found = align.similarity(align.ARCFACE_112, moved)
    np.testing.assert_allclose(found[:, :2], matrix, atol=1e-3 * max(scale, 1))


def test_similarity_agrees_with_umeyama_of_scikit_image() -> None:
    transform = pytest.importorskip("skimage.transform")
    noisy = align.ARCFACE_112 * 2 + np.random.default_rng(0).normal(0, 4, (5, 2)).astype(np.float32)
    reference = transform.SimilarityTransform.from_estimate(noisy, align.ARCFACE_112)
    np.testing.assert_allclose(align.similarity(noisy, align.ARCFACE_112), reference.params[:2], atol=1e-3)


def test_warp_puts_the_landmarks_on_the_template(picture: Image) -> None:
    landmarks = align.ARCFACE_112 * 1.5 + [120, 60]
    crop = align.warp_landmarks(picture, landmarks.astype(np.float32), 112)
    for (x, y), (u, v) in zip(landmarks, align.ARCFACE_112, strict=True):
        near = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3).astype(int)
        there = crop[int(v) - 1 : int(v) + 2, int(u) - 1 : int(u) + 2].reshape(-1, 3).astype(int)
        assert np.abs(near.mean(0) - there.mean(0)).max() < 25


def test_box_crop_is_the_box_with_its_margin_stretched_to_a_square(picture: Image) -> None:
    grey = picture.copy()
    grey[:] = 0
    grey[100:300, 200:300] = 255
    crop = align.crop_box(grey, np.array([200, 100, 300, 300], np.float32), 160, margin=1.0)
    white = crop[..., 0] > 128
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == pytest.approx((40, 119, 40, 119), abs=1)


@settings(deadline=None)
@given(st.lists(st.floats(-900, 900), min_size=4, max_size=4))
def test_any_box_gives_a_whole_crop(sides: list[float]) -> None:
    image = np.full((40, 30, 3), 7, np.uint8)
    crop = align.crop_box(image, np.array(sides, np.float32), 32, 0.2)
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == np.uint8
    assert (crop == 7).all()


def test_thumbnails_of_the_same_face_correlate_and_of_another_place_do_not(picture: Image) -> None:
    face = np.array([180, 70, 270, 180], np.float32)
    here = align.thumbnail(picture, face)
    assert float(here @ here) == pytest.approx(1, abs=1e-4)
    assert float(here @ align.thumbnail(picture, face + 3)) > 0.8
    assert float(here @ align.thumbnail(picture, face + np.array([100, 250, 100, 250], np.float32))) < 0.5


def test_blur_lowers_sharpness_and_fog_lowers_contrast(picture: Image) -> None:
    face = picture[70:182, 180:292]
    shifted = [np.roll(face, (dy, dx), (0, 1)).astype(np.float32) for dy in range(-2, 3) for dx in range(-2, 3)]
    blurred = np.mean(shifted, axis=0).astype(np.uint8)
    foggy = (face // 8 + 200).astype(np.uint8)
    assert 0 < align.texture(blurred)[0] < align.texture(face)[0] / 4
    assert align.texture(foggy)[1] < align.texture(face)[1] / 4
