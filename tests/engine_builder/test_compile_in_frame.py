"""Embedders that cut out their faces themselves, compiled for real by TensorRT for RTX."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from rtface.engine_builder import build, target
from rtface.engine_files import Origin
from rtface.models.cropping import with_crops
from rtface.models.spec import Precision, Task
from tests.engine_builder.given import rtx
from tests.engine_builder.test_compile_all import CARDS, EVERY, graphs
from tests.models.given import spec


@pytest.mark.parametrize(
    ("name", "precision"), [case for case in EVERY if spec(str(case.values[0])).task is Task.EMBEDDER]
)
def test_embedder_that_cuts_out_its_faces_compiles(
    name: str, precision: Precision, tmp_path: Path, compiled: list[tuple[str, ...]]
) -> None:
    rtx()
    of = spec(name)
    assert of.crop is not None
    (plain,) = graphs(of, precision).values()
    part = f"{name}-in-frame"
    onnx.save(with_crops(onnx.load(plain), of.crop), tmp_path / f"{part}.onnx")
    origin = Origin(name, part, precision, of.builder, of.fingerprint, of.licence)
    weights = sum(len(item.raw_data) for item in onnx.load(plain).graph.initializer)
    for capability in CARDS:
        made = build(tmp_path / f"{part}.onnx", origin, target(rtx(), capability)).manifest
        assert made.profile["matrices"].largest == (32, 2, 3)
        assert made.profile["frame"].largest >= (1, 2160, 3840, 3)
        assert made.bytes > 0.4 * weights
        figures = (str(made.layers), f"{made.build_seconds:.2f}", f"{made.bytes / 1e6:.2f}")
        compiled.append((part, precision, capability, *figures))
