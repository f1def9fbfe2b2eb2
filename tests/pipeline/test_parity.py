"""An engine may decide only what its network decides in float32, within stated bounds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import BackendError
from rtface.models.spec import Precision
from rtface.pipeline.parity import Reference, compare, demand, refer
from rtface.types import Detection
from tests.fakes import SIZE, FakeDetector, FakeEmbedder, detection

FACES = [detection(100, 100), detection(250, 120), detection(400, 90)]
LIMIT = 1.0


class Turned(FakeEmbedder):
    """Every row turned by an angle against what it should be, towards the same new direction."""

    def __init__(self, cosine: float) -> None:
        super().__init__()
        self._cosine = cosine

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        rows = super().embed(crops, mirror=mirror)
        across = np.roll(rows, 1, axis=1)
        across -= (across * rows).sum(axis=1, keepdims=True) * rows
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        return np.asarray(self._cosine * rows + math.sqrt(1 - self._cosine**2) * across, np.float32)


def detector(faces: list[Detection] | None = None) -> FakeDetector:
    """Finds the same faces in each picture."""
    return FakeDetector([FACES if faces is None else faces])


@pytest.fixture(scope="module")
def reference() -> Reference:
    return refer(detector(), FakeEmbedder())


def test_reference_has_every_face_of_four_pictures(reference: Reference) -> None:
    assert reference.crops.shape == (12, 80, 80, 3)
    assert reference.embeddings.shape == (12, SIZE)
    np.testing.assert_array_equal(reference.boxes[:, 0], np.repeat([0, 1, 2, 3], 3))
    np.testing.assert_array_equal(reference.boxes[3:6, 1:], np.stack([face.box for face in FACES]))
    # The copies are other pictures: the darker one is.
    assert reference.crops[6:9].mean() < 0.6 * reference.crops[:3].mean()


def test_reference_survives_its_file(reference: Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "r.npz")
    again = Reference.load(tmp_path / "r.npz")
    for name in ("crops", "embeddings", "boxes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(reference, name))


def test_the_same_engine_agrees_with_itself(reference: Reference) -> None:
    parity = compare(reference, detector(), FakeEmbedder(), limit=LIMIT, precision=Precision.FP32)
    assert parity.ok
    assert parity.worst_cosine == pytest.approx(1)
    assert (parity.found, parity.missed, parity.other_verdicts) == (12, 0, 0)
    demand(parity, "The engine")


@pytest.mark.parametrize(
    ("precision", "cosine", "ok"),
    [
        (Precision.FP16, 0.9992, True),
        (Precision.FP16, 0.9985, False),
        (Precision.INT8_SIGNED, 0.9985, True),
        (Precision.INT8_SIGNED, 0.994, False),
        (Precision.FP32, 0.9992, False),
    ],
)
def test_cosine_asked_depends_on_the_precision(
    reference: Reference, precision: Precision, cosine: float, ok: bool
) -> None:
    parity = compare(reference, detector(), Turned(cosine), limit=0.0, precision=precision)
    assert parity.worst_cosine == pytest.approx(cosine, abs=1e-4)
    assert (parity.worst_cosine >= parity.asked_cosine) is ok


def test_a_pair_judged_otherwise_fails(reference: Reference) -> None:
    rows = reference.embeddings
    pairs = np.sort((2 - 2 * rows @ rows.T)[np.triu_indices(len(rows), 1)])
    turned = Turned(0.9992).embed(reference.crops)
    now = np.sort((2 - 2 * turned @ turned.T)[np.triu_indices(len(rows), 1)])
    place = int(np.argmax(np.abs(now - pairs)))
    between = float(now[place] + pairs[place]) / 2
    parity = compare(reference, detector(), Turned(0.9992), limit=between, precision=Precision.FP16)
    assert parity.other_verdicts
    assert not parity.ok


@pytest.mark.parametrize("faces", [FACES[:2], [*FACES[:2], detection(440, 90)], []])
def test_a_face_lost_or_found_elsewhere_fails(reference: Reference, faces: list[Detection]) -> None:
    parity = compare(reference, detector(faces), FakeEmbedder(), limit=LIMIT, precision=Precision.FP16)
    assert parity.missed == (4 if faces else 12)
    assert not parity.ok


def test_refusal_tells_the_figures_and_the_cure(reference: Reference) -> None:
    parity = compare(reference, detector(FACES[:2]), Turned(0.9), limit=0.0, precision=Precision.FP16)
    with pytest.raises(
        BackendError,
        match=r"facenet.*worst cosine 0\.90000 of 12 faces \(at least 0\.999 is asked\).*8 of 12 faces.*"
        r"rtface engine build --force.*backend=onnxruntime",
    ):
        demand(parity, "The engine of facenet")
