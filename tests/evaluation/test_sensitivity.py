"""Sensitivity on painted people: what is destroyed is told, what is kept is kept."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation.distances import Compared, among
from rtface.evaluation.page import write
from rtface.evaluation.pictures import FaceReader
from rtface.evaluation.sensitivity import Sensitivity, measure
from rtface.evaluation.sensitivity_page import head, notes, page, record, rows
from rtface.evaluation.template_cache import TemplateCache
from rtface.evaluation.verification import Model
from rtface.interfaces import Detector
from rtface.types import Detection, Image
from tests.fakes import FakeDetector, FakeEmbedder, detection

PEOPLE, PICTURES = 8, 2
MODEL = Model("fake", "0123", "none", "fake", 1.0)


class PatternEmbedder(FakeEmbedder):
    """A face is the left of its picture in 8x3 squares, so that with the left half everything is lost."""

    size = 48

    def crop(self, image: Image, detection: Detection) -> Image:
        left, top, right, bottom = detection.box.round().astype(int)
        rows, columns = (np.linspace(a, b - 1, 80).round().astype(int) for a, b in ((top, bottom), (left, right)))
        rows, columns = rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)
        return np.ascontiguousarray(image[np.ix_(rows, columns)])

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        small = crops.astype(np.float32).mean(axis=3).reshape(len(crops), 8, 10, 8, 10).mean(axis=(2, 4))
        flat = small[:, :, :3].reshape(len(crops), -1).repeat(2, axis=1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def painted(path: Path) -> Image:
    """A person is a pattern of 8x8 squares, a picture adds its own noise."""
    person, picture = divmod(int(path.stem), PICTURES)
    pattern = np.random.default_rng(person).integers(30, 220, (8, 8)).repeat(10, 0).repeat(10, 1)
    noise = np.random.default_rng(1000 + person * PICTURES + picture).normal(0, 20, (80, 80))
    image = np.full((240, 320, 3), 90, np.uint8)
    image[60:140, 100:180] = np.clip(pattern + noise, 0, 255).astype(np.uint8)[..., None]
    return image


def quiet(label: str, done: int, total: int) -> None: ...


def pairing(vectors: NDArray[np.float32]) -> Compared:
    return among(vectors, np.arange(PEOPLE * PICTURES) // PICTURES)


FILES = [Path(f"{number}.jpg") for number in range(PEOPLE * PICTURES)]


def of(detector: Detector, embedder: PatternEmbedder, *, again: bool = False, resamples: int = 0) -> Sensitivity:
    reader = FaceReader(detector, embedder, painted, mirror=False)
    return measure(FILES, pairing, reader, quiet, detect_again=again, resamples=resamples)


def finder() -> FakeDetector:
    return FakeDetector([[detection(100, 60)]])


def test_what_takes_detail_takes_recognition_and_what_does_not_leaves_it() -> None:
    found = of(finder(), PatternEmbedder(), resamples=20)
    vals = {f"{point.series} {point.label}": point.val for point in found.points}
    assert (found.far, found.pictures, found.same_pairs, found.different_pairs) == ("1e-2", 16, 8, 112)
    assert vals["untouched 220x220"] == 1.0
    assert vals["jpeg quality 90"] == vals["size 160x160"] == 1.0
    assert vals["blur sigma 8 px"] <= vals["blur sigma 1 px"] == 1.0
    assert vals["occlusion half"] == 0.0
    assert vals["occlusion mouth"] > 0.5
    untouched = found.points[0]
    assert untouched.interval is not None
    assert untouched.val_kept == untouched.val
    assert found.face_px == 100


def test_every_picture_is_embedded_once_a_condition_and_the_cache_spares_all_of_it(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(PEOPLE * PICTURES)]
    for path in files:
        path.write_bytes(path.name.encode())
    embedder = PatternEmbedder()
    with TemplateCache(tmp_path / "cache") as cache:
        reader = FaceReader(finder(), embedder, painted, cache=cache, mirror=False)
        first = measure(files, pairing, reader, quiet)
        embedded = sum(embedder.batches)
        assert embedded == len(files) * (len(first.points) - 1)  # dimensions need none
        assert measure(files, pairing, reader, quiet) == first
        assert sum(embedder.batches) == embedded


class SeesBright(FakeDetector):
    """Finds the face only where there is light, in the middle of what it is shown."""

    def detect(self, image: Image) -> list[Detection]:
        if image.mean() < 50:
            return []
        side = image.shape[0]
        return (
            [detection(100, 60)] if image.shape[:2] == (240, 320) else [detection(side * 0.3, side * 0.3, side * 0.4)]
        )


def test_faces_that_are_not_found_again_are_told_and_are_errors() -> None:
    once, again = (of(SeesBright([[]]), PatternEmbedder(), again=again) for again in (False, True))
    assert {point.failed for point in once.points} == {0}
    dark = [point for point in again.points if point.series == "darkness"]
    assert [point.failed for point in dark][-1] == len(FILES)
    assert dark[-1].val == 0.0
    assert (again.points[0].failed, again.points[0].val) == (0, 1.0)
    assert again.detected_again
    assert again.face_px == once.face_px


def test_fewer_dimensions_come_from_the_projection_that_is_given() -> None:
    asked: list[int] = []

    def project(vectors: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        asked.append(size)
        cut = vectors[:, :size]
        return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), np.float32)

    class Large(PatternEmbedder):
        size = 256

        def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
            rows = super().embed(crops)
            return np.concatenate((rows, np.zeros((len(rows), 208), np.float32)), axis=1)

    reader = FaceReader(finder(), Large(), painted, mirror=False)
    found = measure(FILES, pairing, reader, quiet, project=project)
    points = {point.label: point for point in found.points if point.series == "dimensions"}
    assert asked == [64, 128]
    assert list(points) == ["64", "128", "256, the model's own"]
    assert [point.paper for point in points.values()] == [0.868, 0.879, 0.877]
    assert {point.val for point in points.values()} == {1.0}


def test_no_face_at_all_is_told_and_no_embeddings_are_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EvaluationError, match="In none of the 16 pictures"):
        of(FakeDetector([[]]), PatternEmbedder())
    of(finder(), PatternEmbedder())
    assert list(tmp_path.iterdir()) == []


def test_the_table_stands_beside_the_papers(tmp_path: Path) -> None:
    found = of(finder(), PatternEmbedder())
    table = {row[0]: row for row in rows(found.points)}
    assert table["jpeg quality 10"][2] == "0.673"
    assert table["size 40x40"][2] == "0.378"
    assert table["blur sigma 1 px"][2] == ""
    assert len(head(found)) == len(table["jpeg quality 10"])
    assert any("NN1" in note for note in notes(found, MODEL))
    assert json.loads(json.dumps(record(found, MODEL)))["points"][0]["series"] == "untouched"
    if "matplotlib" in sys.modules or pytest.importorskip("matplotlib"):
        write(tmp_path / "page.html", page(found, MODEL))
        assert (tmp_path / "page.html").read_text().count("data:image/svg+xml") == 6
