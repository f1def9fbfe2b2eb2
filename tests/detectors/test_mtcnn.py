"""MTCNN against a second, plain implementation on the carrier's files as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rtface.detectors import mtcnn
from rtface.detectors._areas import Areas
from rtface.geometry import iou, suppress
from rtface.types import Image
from tests.detectors.opened import group_pictures, open_detector, shared, six_people, weights

Floats = NDArray[np.float64]
Found = tuple[Floats, Floats, float]
"""Box, shift or landmarks, score."""


class PlainMtcnn:
    """One window, one crop, one comparison at a time; pixels counted from 1, the last one included, as the authors do.

    The files want width before height, RGB, floats about -1..1.
    """

    def __init__(self, files: list[Path]) -> None:
        self.proposer, self.refiner, self.decider = (
            onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]) for file in files
        )

    def detect(self, image: Image, min_face_px: int) -> list[Found]:
        """Left, top, right, bottom edges; landmarks; score."""
        windows = [square(move(*window)) for window in suppressed(self.proposals(image, min_face_px), 0.7, "union")]
        passed: list[Found] = []
        for window in windows:
            box = np.asarray(np.fix(window), np.float64)
            shift, face = self.refiner.run(None, {"input_2": self.crop(image, box, 24)})
            if face[0, 1] > 0.7:
                passed.append((box, shift[0], float(face[0, 1])))
        # The stages after the first count the last pixel in when they move an edge.
        windows = [square(move(*window, last=1)) for window in suppressed(passed, 0.7, "union")]
        faces: list[Found] = []
        points: dict[tuple[float, ...], Floats] = {}
        for window in windows:
            box = np.asarray(np.fix(window), np.float64)
            shift, relative, face = self.decider.run(None, {"input_3": self.crop(image, box, 48)})
            if face[0, 1] > 0.7:
                moved = move(box, shift[0], last=1)
                side = box[2:] - box[:2] + 1
                points[tuple(moved)] = np.stack([relative[0, :5], relative[0, 5:]], axis=1) * side + box[:2] - 1
                faces.append((moved, np.zeros(4), float(face[0, 1])))
        kept = suppressed(faces, 0.7, "smaller")
        return [(box - [1, 1, 0, 0], points[tuple(box)], score) for box, _, score in kept]

    def proposals(self, image: Image, min_face_px: int) -> list[Found]:
        found: list[Found] = []
        scale = 12 / min_face_px
        height, width = image.shape[:2]
        while min(height, width) * scale >= 12:
            size = (math.ceil(width * scale), math.ceil(height * scale))
            level = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            shifts, faces = self.proposer.run(None, {"input_1": self.swapped(np.asarray(level, np.uint8))})
            here: list[Found] = []
            for x, y in np.argwhere(faces[0, :, :, 1] >= 0.6):
                corners = np.asarray(
                    np.fix(np.array([2 * x + 1, 2 * y + 1, 2 * x + 12, 2 * y + 12]) / scale), np.float64
                )
                here.append((corners, shifts[0, x, y], float(faces[0, x, y, 1])))
            found += suppressed(here, 0.5, "union")
            scale *= 0.709
        return found

    @staticmethod
    def swapped(image: Image) -> NDArray[np.float32]:
        rgb = (image[..., ::-1].astype(np.float32) - 127.5) / 128
        return np.ascontiguousarray(rgb.transpose(1, 0, 2)[None])

    def crop(self, image: Image, box: Floats, size: int) -> NDArray[np.float32]:
        left, top, right, bottom = (int(edge) for edge in box)
        canvas = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
        height, width = image.shape[:2]
        for row in range(max(top, 1), min(bottom, height) + 1):
            first, last = max(left, 1), min(right, width)
            if first <= last:
                canvas[row - top, first - left : last - left + 1] = image[row - 1, first - 1 : last]
        return self.swapped(np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), np.uint8))


def move(box: Floats, shift: Floats, score: float = 0, *, last: int = 0) -> Floats:
    width, height = box[2] - box[0] + last, box[3] - box[1] + last
    return np.asarray(box + shift * np.array([width, height, width, height]), np.float64)


def square(box: Floats) -> Floats:
    side = max(box[2] - box[0], box[3] - box[1])
    left, top = (box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2
    return np.array([left, top, left + side, top + side])


def suppressed(found: list[Found], limit: float, against: str) -> list[Found]:
    kept: list[Found] = []
    for one in sorted(found, key=lambda item: -item[2]):
        if all(overlap(one[0], better[0], against) <= limit for better in kept):
            kept.append(one)
    return kept


def overlap(a: Floats, b: Floats, against: str) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    shared_area = across * down
    whole = sum(areas) - shared_area if against == "union" else min(areas)
    return float(shared_area / whole)


def test_finds_what_the_plain_implementation_finds() -> None:
    shared("data", "detection", "dlib_faces")
    plain = PlainMtcnn([weights(f"mtcnn-{stage}.onnx") for stage in ("pnet", "rnet", "onet")])
    detector = open_detector("mtcnn", min_score=0.7)
    overlaps, distances, scores = [], [], []
    for image in [*group_pictures()[::2], six_people()]:
        truth = plain.detect(image, 32)
        found = detector.detect(image)
        assert len(found) == len(truth)
        for box, points, score in truth:
            shares = [float(iou(box[None].astype(np.float32), face.box[None])[0, 0]) for face in found]
            best = found[int(np.argmax(shares))]
            overlaps.append(max(shares))
            distances.append(np.abs(best.landmarks - points).max() / (box[2] - box[0]))
            scores.append(abs(best.score - score))
    assert len(overlaps) > 20
    assert min(overlaps) > 0.98
    assert max(distances) < 0.02
    assert max(scores) < 0.01


class Told:
    """A stage that answers what it was told, whatever it is shown; P-Net in the canvas's top left corner only."""

    name = "told"
    inputs: Mapping[str, tuple[int | None, ...]] = {}
    outputs: tuple[str, ...] = ()

    def __init__(self, **answers: NDArray[np.float32]) -> None:
        self.answers = answers
        self.closed = False

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        images = arrays.get("images")
        if images is None:
            return dict(self.answers)
        grid = tuple((side - 12) // 2 + 1 for side in images.shape[1:3])
        spread = {}
        for name, answer in self.answers.items():
            spread[name] = np.zeros((1, *grid, *answer.shape[3:]), np.float32)
            spread[name][:, : answer.shape[1], : answer.shape[2]] = answer
        return spread

    def close(self) -> None:
        self.closed = True


def two_windows() -> tuple[Told, Told]:
    """P-Net and R-Net that agree on the windows 0..12 and 18..30, both ways, of a picture of 48 px."""
    scores = np.zeros((1, 19, 19), np.float32)
    scores[0, 0, 0], scores[0, 9, 9] = 0.9, 0.8
    proposer = Told(scores=scores, boxes=np.zeros((1, 19, 19, 4), np.float32))
    return proposer, Told(scores=np.array([0.9, 0.8], np.float32), boxes=np.zeros((2, 4), np.float32))


def test_box_inside_a_better_one_goes() -> None:
    shifts = np.array([[0, 0, 0, 0], [-1.25, -1.25, -1.75, -1.75]], np.float32)  # the second to 3..9
    decider = Told(scores=np.array([0.99, 0.95], np.float32), boxes=shifts, points=np.full((2, 10), 0.5, np.float32))
    detector = mtcnn.Mtcnn(*two_windows(), decider, min_score=0.7, min_face_px=12)
    (found,) = detector.detect(np.zeros((48, 48, 3), np.uint8))
    assert found.box.tolist() == [0, 0, 12, 12]
    assert found.landmarks.tolist() == [[6, 6]] * 5
    assert found.score == pytest.approx(0.99)


def test_closing_frees_every_stage() -> None:
    stages = [*two_windows(), Told()]
    mtcnn.Mtcnn(*stages, min_score=0.7, min_face_px=12).close()
    assert all(stage.closed for stage in stages)


def test_pyramid_halves_the_area_until_the_window_no_longer_fits() -> None:
    scales = mtcnn.pyramid(100, 400, 24)
    assert scales == pytest.approx([0.5, 0.5 * 0.709, 0.5 * 0.709**2, 0.5 * 0.709**3, 0.5 * 0.709**4])
    assert mtcnn.pyramid(10, 400, 24) == []
    assert mtcnn.pyramid(23, 23, 24) == []
    assert mtcnn.pyramid(24, 24, 6)[0] == 1, "never enlarged"


def test_crops_are_black_beyond_the_edge() -> None:
    picture = Areas()
    picture.show(np.full((10, 10, 3), 200, np.uint8))
    boxes = np.array([[0, 0, 10, 10], [-10, 0, 10, 20], [50, 50, 60, 60], [-30, -30, -20, -20], [4, 4, 4, 8]])
    whole, corner, *nothing = picture.squares(boxes.astype(np.float32), 20)
    assert (whole == 200).all()
    assert (corner[:10, 10:] == 200).all()
    assert not corner[10:].any()
    assert not corner[:, :10].any()
    assert not np.any(nothing)


def test_squares_keep_their_centres() -> None:
    squares = mtcnn.squared(np.array([[0, 0, 10, 20], [0, 0, 20, 10]], np.float32))
    assert squares.tolist() == [[-5, 0, 15, 20], [0, -5, 20, 15]]


def test_best_boxes_are_those_of_plain_suppression() -> None:
    random = np.random.default_rng(3)
    corners = random.integers(0, 300, (300, 2))
    boxes = np.concatenate([corners, corners + random.integers(20, 60, (300, 1))], axis=1).astype(np.float32)
    scores = random.random(300, np.float32)
    for limit in (0.3, 0.5, 0.7):
        assert mtcnn.best_of_each(boxes, scores, limit).tolist() == suppress(boxes, scores, limit).tolist()
    assert mtcnn.best_of_each(boxes[:0], scores[:0], 0.5).tolist() == []


def test_crowds_are_run_in_batches_and_lose_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = open_detector("mtcnn")
    together = [face.score for face in detector.detect(six_people())]
    monkeypatch.setattr(mtcnn, "CUT_AT_ONCE", 20)
    monkeypatch.setattr(mtcnn, "REFINED_AT_ONCE", 7)
    monkeypatch.setattr(mtcnn, "DECIDED_AT_ONCE", 3)
    assert [face.score for face in detector.detect(six_people())] == pytest.approx(together, abs=1e-4)
