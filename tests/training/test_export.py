"""What is exported gives what the network gave, on ONNX Runtime as an embedder of rtface, and compiles for a card."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch
from torch import nn

from rtface.backends import onnxruntime
from rtface.embedding.embedder import ModelEmbedder
from rtface.engine_builder import build, target
from rtface.engine_files import Origin
from rtface.errors import CheckpointBroken, ModelBroken, TrainingError
from rtface.models import exported
from rtface.models.half import halve
from rtface.models.spec import CropKind, CropSpec, ModelSpec, Precision
from rtface.models.store import ModelStore
from rtface.training import checkpoint as checkpoints
from rtface.training.checkpoint import Checkpoint
from rtface.training.export import add, export
from rtface.training.networks.catalogue import ARCHITECTURES, create, find, prepare
from rtface.training.networks.inception_resnet import shipped
from rtface.training.networks.layers import Norm
from rtface.training.onnx_graph import write
from rtface.training.triplets import unit
from tests.engine_builder.given import rtx
from tests.models.given import noise, opened, weights
from tests.training.sample import SETTINGS


def lived_in(network: nn.Module) -> nn.Module:
    """Running means and variances that are not those of the first moment."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return network.eval()


def rows_of(network: nn.Module, crops: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    with torch.no_grad():
        rows = unit(network(prepare(crops, find(name).height, find(name).width)))
    return np.asarray(rows.numpy(), np.float32)


@pytest.mark.parametrize("norm", [Norm.PAPER, Norm.BATCH])
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "nn1"])
def test_every_network_gives_the_same_as_a_graph(name: str, norm: Norm, tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = find(name)
    network = lived_in(create(name, 64, norm))
    graph = opened(write(network, name, size.height, size.width, 64), tmp_path)
    crops = noise(2, size.crop_size, size.crop_size, 3)
    found = graph.run({"faces": crops})["embeddings"]
    np.testing.assert_allclose(found, rows_of(network, crops, name), atol=2e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-4, "the two faces would have been the same whatever was written"


def test_the_shipped_weights_come_out_as_they_went_in(tmp_path: Path) -> None:
    (file,) = weights("facenet").values()
    network = shipped(file)
    graph = opened(write(network, "again", 160, 160, 512), tmp_path)
    crops = noise(2, 160, 160, 3)
    found = graph.run({"faces": crops})["embeddings"]
    np.testing.assert_allclose(found, rows_of(network, crops, "inception_resnet_v1"), atol=1e-5)


def test_a_layer_that_cannot_be_written_is_told() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten())
    with pytest.raises(TrainingError, match="Softplus"):
        write(network, "odd", 8, 8, 4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the small network."""
    torch.manual_seed(2)
    network = lived_in(create("small", 64, Norm.BATCH))
    crop = CropSpec(CropKind.BOX, 64, 0.3)
    kept = Checkpoint(replace(SETTINGS, crop=crop), 7, network.state_dict(), {}, {}, {}, limits={"1e-2": 0.81})
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    checkpoints.save(path, kept)
    return path


def spec_of(trained: Path, folder: Path) -> ModelSpec:
    """Exported and entered in a folder's models.toml."""
    made = export(trained, folder / "mine.onnx", name="mine", licence="mine alone")
    add(made.entry, folder / "engines", "mine")
    return ModelStore(folder / "engines", offline=True).spec("mine")


def test_the_entry_makes_it_an_embedder_of_rtface(trained: Path, tmp_path: Path) -> None:
    spec = spec_of(trained, tmp_path)
    assert spec.crop == CropSpec(CropKind.BOX, 64, 0.3)
    assert spec.limits == {0.01: 0.81}
    assert spec.licence == "mine alone"
    store = ModelStore(tmp_path / "engines", offline=True)
    (graph,) = store.graphs("mine").values()
    embedder = ModelEmbedder(spec, onnxruntime.open(graph, threads=1))
    crops = noise(5, 64, 64, 3)
    rows = embedder.embed(crops)
    assert rows.shape == (5, 64)
    network = checkpoints.network_of(checkpoints.load(trained))
    np.testing.assert_allclose(rows, rows_of(network, crops, "small"), atol=1e-5)
    assert embedder.embed(crops[:0]).shape == (0, 64)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_it_compiles_for_a_card_that_is_not_here(precision: Precision, trained: Path, tmp_path: Path) -> None:
    library = rtx()
    spec = spec_of(trained, tmp_path)
    (graph,) = ModelStore(tmp_path / "engines", offline=True).graphs("mine", precision).values()
    origin = Origin("mine", "mine", precision, spec.builder, spec.fingerprint, spec.licence)
    engine = build(graph, origin, target(library, "8.6"))
    assert engine.manifest.layers > 10
    assert engine.path.stat().st_size == engine.manifest.bytes


@pytest.mark.parametrize("name", ["nn4", "nns2"])
def test_the_papers_own_layers_compile_too(name: str, tmp_path: Path) -> None:
    """Local response normalisation, L2 pools and maxout."""
    library = rtx()
    size = find(name)
    model = write(create(name, 128, Norm.PAPER), name, size.height, size.width, 128)
    onnx.save(model, tmp_path / f"{name}.onnx")
    origin = Origin(name, name, Precision.FP32, "exported", "0123456789ab", "mine")
    assert build(tmp_path / f"{name}.onnx", origin, target(library, "8.6")).manifest.layers > 50
    assert halve(model).graph.node


def test_a_name_is_added_once(trained: Path, tmp_path: Path) -> None:
    made = export(trained, tmp_path / "mine.onnx", name="mine", licence='all "rights" reserved')
    assert tomllib.loads(made.entry)["mine"]["licence"] == 'all "rights" reserved'
    (tmp_path / "models.toml").write_text('[facenet]\nlicence = "MIT"\n')
    add(made.entry, tmp_path, "mine")
    assert list(tomllib.loads((tmp_path / "models.toml").read_text())) == ["facenet", "mine"]
    with pytest.raises(TrainingError, match="--name"):
        add(made.entry, tmp_path, "mine")


@pytest.mark.parametrize("name", ["Mine", "my model", "", "../x"])
def test_a_name_that_will_not_do_is_told(name: str, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="small letters"):
        export(trained, tmp_path / "mine.onnx", name=name, licence="mine")


def test_what_cannot_be_written_or_read_is_told(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be written"):
        export(trained, tmp_path / "nowhere" / "mine.onnx", name="mine", licence="mine")
    with pytest.raises(CheckpointBroken):
        export(tmp_path / "none.pt", tmp_path / "mine.onnx", name="mine", licence="mine")
    assert not list(tmp_path.iterdir())


def test_a_graph_of_another_form_is_no_exported_one(trained: Path, tmp_path: Path) -> None:
    spec = spec_of(trained, tmp_path)
    with pytest.raises(ModelBroken, match="rtface train export"):
        exported.build({"mine.onnx": tmp_path / "mine.onnx"}, replace(spec, embedding_size=128))
