"""Faces embedded from where they lie in their frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.embedding import align
from rtface.embedding.embedder import LARGEST_BATCH, ModelEmbedder
from rtface.embedding.in_frame import InFrameEmbedder
from rtface.embedding.placement import placement
from rtface.models import catalogue
from rtface.models.cropping import with_crops
from rtface.models.spec import CropKind, CropSpec, ModelSpec
from rtface.sources.images import read_picture
from rtface.types import Detection, Image
from tests.fakes import detection
from tests.models.cutter import cutter, pixel_network
from tests.models.given import noise, opened
from tests.shared import shared, system

CROP = CropSpec(CropKind.BOX, 8, margin=0.2)
PIXELS = 3 * 8 * 8


def spec(centre: NDArray[np.float32] | None = None) -> ModelSpec:
    """Of an embedder whose rows are the pixels of its crops."""
    facenet = catalogue.load(Path("/dev/null"))["facenet"]
    return replace(facenet, crop=CROP, embedding_size=PIXELS, centre=centre, head=None)


class Recorder:
    """A backend that computes by itself: says where each face's crop begins, and what it was given when."""

    name = "recorder"
    inputs: Mapping[str, tuple[int | None, ...]] = {"frame": (1, None, None, 3), "matrices": (None, 2, 3)}
    outputs: tuple[str, ...] = ("embeddings",)

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def run(self, arrays: Mapping[str, NDArray[np.generic]], *, how: str = "run") -> dict[str, NDArray[np.float32]]:
        frame, matrices = arrays["frame"], np.asarray(arrays["matrices"], np.float32)
        assert frame.ndim == 4
        assert len(frame) == 1
        self.calls.append((how, frame.shape[1], len(matrices)))
        return {"embeddings": matrices[:, :, 2] + np.float32(1000) * frame.shape[1]}

    def launch(self, arrays: Mapping[str, NDArray[np.generic]]) -> Launched:
        return Launched(self, self.run(arrays, how="launch"))

    def close(self) -> None:
        pass


class Launched:
    """A run of the recorder."""

    def __init__(self, backend: Recorder, results: dict[str, NDArray[np.float32]]) -> None:
        self.backend, self.results = backend, results

    def collect(self) -> dict[str, NDArray[np.float32]]:
        self.backend.calls.append(("collect", 0, 0))
        return self.results


def picture(height: int) -> Image:
    return np.zeros((height, 400, 3), np.uint8)


def test_rows_come_in_the_order_of_the_faces_and_a_frame_is_run_once() -> None:
    backend = Recorder()
    first, second = picture(300), picture(200)
    faces = [(first, detection(10, 20)), (second, detection(30, 40)), (first, detection(50, 60))]
    rows = InFrameEmbedder(spec(), backend).launch_in(faces).collect()
    wanted = [placement(face, CROP)[:, 2] + 1000 * len(image) for image, face in faces]
    np.testing.assert_allclose(rows, wanted)
    assert backend.calls == [("launch", 300, 2), ("collect", 0, 0), ("run", 200, 1)]


def test_crowd_is_split_into_runs_of_the_largest_batch() -> None:
    backend, image = Recorder(), picture(300)
    faces = [(image, detection(place, 20)) for place in range(LARGEST_BATCH + 3)]
    rows = InFrameEmbedder(spec(), backend).launch_in(faces).collect()
    assert [call[2] for call in backend.calls] == [LARGEST_BATCH, 0, 3]
    assert (np.diff(rows[:, 0]) > 0).all()


def test_nobody_to_embed_runs_nothing() -> None:
    backend = Recorder()
    embedder = InFrameEmbedder(spec(), backend)
    assert embedder.launch_in([]).collect().shape == (0, PIXELS)
    assert embedder.embed(np.empty((0, 8, 8, 3), np.uint8)).shape == (0, PIXELS)
    assert backend.calls == []


@pytest.mark.parametrize("count", [1, 2, 7, LARGEST_BATCH + 1])
@pytest.mark.parametrize("kind", CropKind)
def test_crops_cut_out_already_go_through_the_same_engine_unchanged(tmp_path: Path, count: int, kind: CropKind) -> None:
    """With their mirror images and the centre, as the plain network has it."""
    crops, crop = noise(count, 8, 8, 3), replace(CROP, kind=kind)
    model = replace(spec(np.linspace(0, 1, PIXELS, dtype=np.float32)), crop=crop)
    plain = ModelEmbedder(model, opened(pixel_network(8), tmp_path))
    wanted = plain.embed(crops), plain.embed(crops, mirror=True)
    inside = InFrameEmbedder(model, cutter(crop, tmp_path))
    np.testing.assert_array_equal(inside.embed(crops), wanted[0])
    np.testing.assert_array_equal(inside.embed(crops, mirror=True), wanted[1])
    np.testing.assert_array_equal(inside.launch(crops).collect(), wanted[0])


def test_rows_from_a_frame_are_centred_too(tmp_path: Path) -> None:
    image, shown = noise(200, 200, 3), detection(50, 60)
    engine, centre = cutter(CROP, tmp_path), np.linspace(0, 1, PIXELS, dtype=np.float32)
    plain, inside = InFrameEmbedder(spec(), engine), InFrameEmbedder(spec(centre), engine)
    rows = plain.launch_in([(image, shown)]).collect() - centre
    found = inside.launch_in([(image, shown)]).collect()
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows), rtol=1e-5)


def test_placement_of_a_warp_takes_the_template_to_the_landmarks() -> None:
    points = align.ARCFACE_112 @ np.array([[1.5, 0.6], [-0.6, 1.5]], np.float32) + np.array([30, 40], np.float32)
    crop = CropSpec(CropKind.WARP, 112, template="arcface_112")
    matrix = placement(Detection(np.zeros(4, np.float32), points, 0.9), crop)
    np.testing.assert_allclose(align.ARCFACE_112 @ matrix[:, :2].T + matrix[:, 2], points, atol=1e-3)


def test_placement_of_a_box_takes_the_crops_corners_to_the_corners_of_whole_pixels() -> None:
    face = replace(detection(50, 60), box=np.array([50.4, 60.2, 99.7, 130.9], np.float32))
    matrix = placement(face, replace(CROP, margin=0.0))
    corners = np.array([[-0.5, -0.5, 1], [7.5, 7.5, 1]]) @ matrix.T
    np.testing.assert_allclose(corners, [[49.5, 59.5], [99.5, 130.5]], atol=1e-5)


def shown_at(image: Image, face: Detection, width: float) -> tuple[Image, Detection]:
    """The face in the picture brought to this width."""
    cv2 = pytest.importorskip("cv2")
    scale = width / float(face.box[2] - face.box[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    grown = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.asarray(grown, np.uint8), Detection(face.box * scale, face.landmarks * scale, face.score)


@pytest.mark.parametrize("name", ["facenet", "sface"])
def test_real_faces_of_any_size_are_embedded_as_from_crops_by_opencv(tmp_path: Path, name: str) -> None:
    """A cosine of 0.999 is a distance of 0.002, where strangers begin at 0.6."""
    paths = sorted(shared("data", "lfw").glob("*/*.jpg"))[::400]
    with system(tmp_path / "g.db", {"embedder": name, "precision": "fp32", "backend": "onnxruntime"}) as given:
        model = given.embedder_spec
        assert model.crop is not None
        found = [(image, face) for image in map(read_picture, paths) for face in given.detector.detect(image)[:1]]
        (graph,) = given.models.graphs(name).values()
        widths = (24, 60, 110, 170, 300, 450, 700, 900)
        faces = [shown_at(*pair, width) for pair, width in zip(found, widths, strict=False)]
        onnx.save(with_crops(onnx.load(graph), model.crop), tmp_path / "in-frame.onnx")
        inside = InFrameEmbedder(model, onnxruntime.open(tmp_path / "in-frame.onnx"))
        rows = inside.launch_in(faces).collect()
        wanted = given.embedder.embed(np.stack([given.embedder.crop(*pair) for pair in faces]))
    assert len(rows) >= 7
    assert (rows * wanted).sum(axis=1).min() > 0.999
