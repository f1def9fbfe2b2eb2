"""Whom a picture is of, and that a crop is cut as the embedder will later cut it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

from rtface.embedding.embedder import ModelEmbedder
from rtface.errors import TrainingError
from rtface.models.spec import CropKind, CropSpec
from rtface.sources.images import read_picture
from rtface.training.crops import cut, cut_crops, subject
from rtface.training.people import read_people
from rtface.types import Detection, Image
from tests.models.given import noise, spec
from tests.training.sample import folder_of


def at(left: float, top: float, side: float) -> Detection:
    box = np.array([left, top, left + side, top + side], np.float32)
    places = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return Detection(box, places * np.float32(side) + box[:2], 0.9)


class _Middle:
    """Finds one face in the middle of every picture."""

    name = "middle"

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, image: Image) -> list[Detection]:
        self.looks += 1
        return [at(8, 8, 48)]

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def close(self) -> None:
        pass


def test_the_face_in_the_middle_is_taken_but_not_a_small_one() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    side, middle, tiny = at(10, 20, 80), at(110, 60, 70), at(145, 95, 10)
    assert subject([side, middle, tiny], image) is middle
    assert subject([side, tiny], image) is side
    assert subject([], image) is None


@pytest.mark.parametrize("kind", list(CropKind))
def test_a_crop_is_the_embedders_own(kind: CropKind) -> None:
    """``ModelEmbedder.crop`` with the entry that export writes."""
    model = spec("facenet" if kind is CropKind.BOX else "sface")
    assert model.crop is not None
    image, face = noise(200, 300, 3), at(60, 40, 90)
    embedder = ModelEmbedder(model, _NoEngine())
    np.testing.assert_array_equal(cut(image, face, model.crop), embedder.crop(image, face))


class _NoEngine:
    name = "none"
    inputs: Mapping[str, tuple[int | None, ...]] = MappingProxyType({})
    outputs: tuple[str, ...] = ()

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        raise AssertionError("a crop needs no network")

    def close(self) -> None:
        pass


def test_crops_are_kept_and_not_looked_for_again(tmp_path: Path) -> None:
    people, finder = read_people(folder_of(tmp_path / "people", people=3, pictures=2)), _Middle()
    crop = CropSpec(CropKind.BOX, 32, 0.2)
    place = cut_crops(people, tmp_path / "cache", crop, finder)
    cropped = read_people(place)
    assert cropped.names == people.names
    assert len(cropped.pictures) == len(people.pictures) == finder.looks == 5
    assert read_picture(cropped.pictures[0]).shape == (32, 32, 3)
    assert cut_crops(people, tmp_path / "cache", crop, finder) == place
    assert finder.looks == 5
    assert cut_crops(people, tmp_path / "cache", CropSpec(CropKind.BOX, 48, 0.2), finder) != place


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    people = read_people(folder_of(tmp_path / "people", people=3))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="--cache"):
        cut_crops(people, tmp_path / "file", CropSpec(CropKind.BOX, 32, 0.2), _Middle())
