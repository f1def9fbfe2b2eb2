"""The networks against the paper's tables, and the shipped weights against the ONNX graph made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch

from rtface.errors import ModelBroken, TrainingError
from rtface.models import facenet
from rtface.training.networks.catalogue import ARCHITECTURES, create, find, prepare
from rtface.training.networks.cost import LayerCost, count, parameters
from rtface.training.networks.inception_resnet import shipped
from rtface.training.networks.layers import Norm
from tests.models.given import faces, noise, opened, spec, weights

PAPER = Norm.PAPER
NN1 = {  # parameters in thousands, FLOPS in millions: FaceNet paper, table 1
    "conv1": (9, 115),
    "conv2a": (4, 13),
    "conv2": (111, 335),
    "conv3a": (37, 29),
    "conv3": (664, 521),
    "conv4a": (148, 29),
    "conv4": (885, 173),
    "conv5a": (66, 13),
    "conv5": (590, 116),
    "conv6a": (66, 13),
    "conv6": (590, 116),
    "fc1": (103_000, 103),
    "fc2": (34_000, 34),
    "fc7128": (524, 0.5),
}
NN2 = {  # table 2
    "conv1": (9, 119),
    "inception2": (115, 360),
    "inception3a": (164, 128),
    "inception3b": (228, 179),
    "inception3c": (398, 108),
    "inception4a": (545, 107),
    "inception4b": (595, 117),
    "inception4c": (654, 128),
    "inception4d": (722, 142),
    "inception4e": (717, 56),
    "inception5a": (1600, 78),
    "inception5b": (1600, 78),
    "fully_conn": (131, 0.1),
}
TOTALS = {  # parameters and FLOPS in millions: table 1, table 2 and section 3.3
    "nn1": (140, 1600),
    "nn2": (7.5, 1600),
    "nn3": (7.5, None),
    "nn4": (6.6, 285),
    "nns1": (26, 220),
    "nns2": (4.3, 20),
}
SIZES = {
    "nn1": (220, 220),
    "nn2": (224, 224),
    "nn3": (160, 160),
    "nn4": (96, 96),
    "nns1": (165, 165),
    "nns2": (140, 116),
}


def costs(name: str, embedding_size: int = 128) -> list[LayerCost]:
    """Without memory for weights."""
    with torch.device("meta"):
        network = create(name, embedding_size, PAPER)
    return count(network, find(name).height, find(name).width)


def printed(value: float, figure: float) -> bool:
    """Whether a value is the figure to the digits the paper prints, the last of them one off at most."""
    digit = 1 if figure < 1000 and figure == int(figure) else 0.1
    if figure >= 1000:
        digit = 1000 if figure >= 10_000 else 100
    return abs(value - figure) <= digit


@pytest.mark.parametrize(("name", "table"), [("nn1", NN1), ("nn2", NN2)])
def test_every_layer_costs_what_the_papers_table_says(name: str, table: dict[str, tuple[float, float]]) -> None:
    found: dict[str, tuple[int, int]] = {}
    for layer in costs(name):
        row = layer.name.split(".")[0]
        before = found.get(row, (0, 0))
        found[row] = (before[0] + layer.parameters, before[1] + layer.flops)
    assert list(found) == list(table)
    for row, (thousands, millions) in table.items():
        assert printed(found[row][0] / 1e3, thousands), (row, found[row])
        assert printed(found[row][1] / 1e6, millions), (row, found[row])


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_the_papers(name: str) -> None:
    millions, flops = TOTALS[name]
    layers = costs(name)
    assert sum(layer.parameters for layer in layers) / 1e6 == pytest.approx(millions, rel=0.01)
    if flops is not None:
        assert sum(layer.flops for layer in layers) / 1e6 == pytest.approx(flops, rel=0.01)
    assert (find(name).height, find(name).width) == SIZES[name]


def test_inception_resnet_costs_what_others_count() -> None:
    """Open Model Zoo, facenet-20180408-102900: 23.469 MParams; 2.846 GFlops, each multiply-add being two."""
    layers = costs("inception_resnet_v1", 512)
    assert sum(layer.parameters for layer in layers) / 1e6 == pytest.approx(23.469, abs=0.002)
    assert 2 * sum(layer.flops for layer in layers) / 1e9 == pytest.approx(2.846, abs=0.006)


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "nn1"])
def test_embeds_and_every_weight_learns(name: str, norm: Norm) -> None:
    torch.manual_seed(0)
    network, size = create(name, 64, norm), find(name)
    x = prepare(noise(2, size.crop_size, size.crop_size, 3), size.height, size.width)
    rows = network(x)
    assert rows.shape == (2, 64)
    gradients = torch.autograd.grad(rows.square().sum(), list(network.parameters()))
    assert all(torch.isfinite(part).all() for part in gradients)
    assert sum(part.abs().sum().item() > 0 for part in gradients) > 0.9 * len(gradients)


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_embeddings_have_the_size_asked_for(size: int) -> None:
    assert create("small", size, Norm.BATCH)(torch.zeros(2, 3, 64, 64)).shape == (2, size)


@pytest.mark.parametrize(("name", "size", "told"), [("nn9", 128, "nn1, nn2"), ("small", 63, "64 to 512")])
def test_what_cannot_be_made_is_told(name: str, size: int, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        create(name, size, Norm.BATCH)


def test_batch_norm_adds_only_its_own_numbers() -> None:
    with torch.device("meta"):
        paper, batch = (create("nn2", 128, norm) for norm in (Norm.PAPER, Norm.BATCH))
    channels = sum(layer.out_channels for layer in paper.modules() if isinstance(layer, torch.nn.Conv2d))
    assert parameters(batch) - parameters(paper) == channels


def test_pictures_are_given_as_the_shipped_weights_want_them() -> None:
    crops = noise(2, 140, 140, 3)
    given = prepare(crops, 140, 116).numpy()
    np.testing.assert_allclose(given, (crops[:, :, 12:128, ::-1].transpose(0, 3, 1, 2) - 127.5) / 128, atol=1e-6)


def test_shipped_weights_give_what_the_onnx_graph_gives(tmp_path: Path) -> None:
    graph = opened(facenet.build(weights("facenet"), spec("facenet"))["facenet"], tmp_path)
    (file,) = weights("facenet").values()
    crops = np.concatenate([faces(3, 160), noise(2, 160, 160, 3)])
    with torch.no_grad():
        rows = torch.nn.functional.normalize(shipped(file)(prepare(crops, 160, 160)))
    np.testing.assert_allclose(rows.numpy(), graph.run({"faces": crops})["embeddings"], atol=1e-5)


def test_another_file_is_no_shipped_network(tmp_path: Path) -> None:
    (tmp_path / "other.pb").write_bytes(b"")
    with pytest.raises(ModelBroken, match="not the FaceNet"):
        shipped(tmp_path / "other.pb")
