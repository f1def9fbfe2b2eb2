"""Our YuNet against the original file, which OpenCV runs at any size (ONNX Runtime refuses its quantisation)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import yunet
from tests.models.given import Pictures, crowd, noise, opened, spec, weights

HEADS, STRIDES = ("cls", "obj", "bbox", "kps"), (8, 16, 32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return opened(yunet.build(weights("yunet"), spec("yunet"))["yunet"], tmp_path_factory.mktemp("yunet"))


@pytest.fixture(scope="module")
def original() -> cv2.dnn.Net:
    (path,) = weights("yunet").values()
    return cv2.dnn.readNetFromONNX(str(path))


def truth(original: cv2.dnn.Net, picture: Pictures) -> dict[str, NDArray[np.float32]]:
    names = [f"{head}_{stride}" for head in HEADS for stride in STRIDES]
    original.setInput(cv2.dnn.blobFromImage(picture))
    found = dict(zip(names, original.forward(names), strict=True))
    joined = {head: np.concatenate([found[f"{head}_{stride}"] for stride in STRIDES], axis=1) for head in HEADS}
    both = np.clip(joined["cls"], 0, 1) * np.clip(joined["obj"], 0, 1)
    return {"scores": np.sqrt(both)[..., 0], "boxes": joined["bbox"], "points": joined["kps"]}


@pytest.mark.parametrize(("height", "width"), [(640, 640), (256, 416)])
@pytest.mark.parametrize("real", [True, False])
def test_agrees_with_the_original(network: Backend, original: cv2.dnn.Net, height: int, width: int, real: bool) -> None:
    picture = crowd(height, width) if real else noise(height, width, 3)
    expected, found = truth(original, picture), network.run({"images": picture[None]})
    cells = sum(height * width // stride**2 for stride in STRIDES)
    assert found["scores"].shape == (1, cells)
    if real:
        assert expected["scores"].max() > 0.5
    # The root near zero magnifies rounding: what was multiplied is compared.
    np.testing.assert_allclose(found["scores"] ** 2, expected["scores"] ** 2, atol=1e-5)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-4)
    np.testing.assert_allclose(found["points"], expected["points"], atol=1e-4)


def test_pictures_of_a_batch_do_not_mix(network: Backend) -> None:
    pictures = noise(3, 64, 96, 3)
    together = network.run({"images": pictures})
    for index in range(3):
        alone = network.run({"images": pictures[index : index + 1]})
        for name in ("scores", "boxes", "points"):
            np.testing.assert_allclose(together[name][index], alone[name][0], atol=1e-5)


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelBroken, match="not the YuNet"):
        yunet.build(weights("sface"), spec("yunet"))
