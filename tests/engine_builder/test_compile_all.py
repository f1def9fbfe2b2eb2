"""Every graph of ours, in every precision, is compiled for real: by TensorRT for RTX, which needs no card for that."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from rtface.config import load_config
from rtface.engine_builder import build, rtx_capabilities, target
from rtface.engine_files import Origin
from rtface.errors import ModelUnavailable
from rtface.models import catalogue, scrfd
from rtface.models.spec import ModelSpec, Precision
from rtface.models.store import ModelStore, converted
from tests.engine_builder.given import rtx
from tests.models.given import spec
from tests.shared import shared

CARDS = ("8.6", "8.9", "12.0")
"""GeForce RTX 30, 40 and 50."""
CPU_ONLY = {Precision.INT8}
EVERY = [
    pytest.param(name, precision, id=f"{name}-{precision}")
    for name, one in catalogue.load(Path("/dev/null")).items()
    for precision in one.precisions
    if precision not in CPU_ONLY
]


def graphs(of: ModelSpec, precision: Precision) -> Mapping[str, Path]:
    """A model's graphs; skips when its weights are neither here nor to be had."""
    try:
        return ModelStore(load_config().engines_dir, offline=True).graphs(of.name, precision)
    except ModelUnavailable as error:
        pytest.skip(f"needs the weights of {of.name}: {error}")


def compile_for_all(
    of: ModelSpec, precision: Precision, files: Mapping[str, Path], folder: Path, table: list[tuple[str, ...]]
) -> None:
    for name, file in files.items():
        graph = Path(shutil.copy(file, folder))
        origin = Origin(of.name, name, precision, of.builder, of.fingerprint, of.licence)
        for capability in CARDS:
            engine = build(graph, origin, target(rtx(), capability))
            made = engine.manifest
            assert made.capability == capability
            assert made.layers > 20
            assert made.bytes > 0.4 * sum(tensor_bytes(graph)), "the weights are in it"
            figures = (str(made.layers), f"{made.build_seconds:.2f}", f"{made.bytes / 1e6:.2f}")
            table.append((name, precision, capability, *figures))
            engine.path.unlink()


def tensor_bytes(graph: Path) -> list[int]:
    """Sizes of a graph's weights."""
    return [len(tensor.raw_data) for tensor in onnx.load(graph).graph.initializer]


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_compiles_for_every_card(
    name: str, precision: Precision, tmp_path: Path, compiled: list[tuple[str, ...]]
) -> None:
    rtx()
    compile_for_all(spec(name), precision, graphs(spec(name), precision), tmp_path, compiled)


@pytest.mark.parametrize("precision", spec("scrfd").precisions)
def test_scrfd_of_the_shared_file_compiles_for_every_card(
    precision: Precision, tmp_path: Path, compiled: list[tuple[str, ...]]
) -> None:
    rtx()
    file = shared("models", "scrfd_500m_bnkps.onnx")
    model = converted(scrfd.build({file.name: file}, spec("scrfd"))["scrfd"], spec("scrfd"), precision)
    (tmp_path / "built").mkdir()
    onnx.save(model, tmp_path / "built" / "scrfd.onnx")
    files = {"scrfd": tmp_path / "built" / "scrfd.onnx"}
    compile_for_all(spec("scrfd"), precision, files, tmp_path, compiled)


def test_the_cards_people_have_are_among_those_that_can_be_built_for() -> None:
    assert set(CARDS) <= set(rtx_capabilities(rtx()))
