"""Our upright MTCNN stages against the original files, which want width and height swapped."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import mtcnn
from tests.models.given import Pictures, faces, noise, opened, spec, weights


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backend]:
    folder = tmp_path_factory.mktemp("mtcnn")
    return {name: opened(model, folder) for name, model in mtcnn.build(weights("mtcnn"), spec("mtcnn")).items()}


def original(stage: str, pictures: Pictures) -> list[NDArray[np.float32]]:
    """The file's own outputs, for pictures prepared as its package prepares them."""
    path = weights("mtcnn")[f"mtcnn-{stage}.onnx"]
    session = onnxruntime.InferenceSession(str(path))
    swapped = ((pictures[..., ::-1].astype(np.float32) - 127.5) * 0.0078125).transpose(0, 2, 1, 3)
    found: list[NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: swapped})
    return found


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 30), (97, 64), (120, 161)])
def test_first_stage_agrees_with_the_original_at_any_size(stages: dict[str, Backend], height: int, width: int) -> None:
    real = [np.asarray(cv2.resize(face, (width, height)), np.uint8) for face in faces(2, 130)]
    pictures = np.concatenate([np.stack(real), noise(1, height, width, 3)])
    boxes, chances = original("pnet", pictures)
    found = stages["pnet"].run({"images": pictures})
    np.testing.assert_allclose(found["scores"], chances[..., 1].transpose(0, 2, 1), atol=1e-5)
    np.testing.assert_allclose(found["boxes"], boxes.transpose(0, 2, 1, 3), atol=1e-5)


@pytest.mark.parametrize(("stage", "size"), [("rnet", 24), ("onet", 48)])
def test_later_stages_agree_with_the_original(stages: dict[str, Backend], stage: str, size: int) -> None:
    crops = np.concatenate([faces(5, size), noise(4, size, size, 3)])
    boxes, *points, chances = original(stage, crops)
    found = stages[stage].run({"crops": crops})
    assert found["scores"][:5].min() > 0.9 > found["scores"][5:].max()
    np.testing.assert_allclose(found["scores"], chances[:, 1], atol=1e-5)
    np.testing.assert_allclose(found["boxes"], boxes, atol=1e-5)
    for five_and_five in points:
        pairs = five_and_five.reshape(-1, 2, 5).transpose(0, 2, 1)
        np.testing.assert_allclose(found["points"].reshape(-1, 5, 2), pairs, atol=1e-5)


def test_points_lie_as_a_face_has_them(stages: dict[str, Backend]) -> None:
    found = stages["onet"].run({"crops": faces(5, 48)})["points"].reshape(-1, 5, 2)
    for eye, other_eye, nose, mouth, other_mouth in found:
        assert eye[0] < nose[0] < other_eye[0]
        assert mouth[0] < other_mouth[0]
        assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


def test_no_candidates_give_no_scores(stages: dict[str, Backend]) -> None:
    assert stages["onet"].run({"crops": np.empty((0, 48, 48, 3), np.uint8)})["points"].shape == (0, 10)


def test_stage_without_weights_is_named() -> None:
    files = {name: path for name, path in weights("mtcnn").items() if "rnet" not in name}
    with pytest.raises(ModelBroken, match="rnet"):
        mtcnn.build(files, spec("mtcnn"))
