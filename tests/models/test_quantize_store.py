"""Precisions on disk: the one asked for is built, each by itself, and made anew when its ranges change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.errors import ConfigError, ModelBroken
from rtface.models import catalogue
from rtface.models.spec import Precision
from rtface.models.store import ModelStore, Status
from rtface.system import System
from tests.models import own
from tests.models.given import faces, weights


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A folder with weights of FaceNet and YuNet and nothing built."""
    folder = tmp_path / "engines"
    (folder / "weights").mkdir(parents=True)
    for name, path in (weights("facenet") | weights("yunet")).items():
        (folder / "weights" / name).symlink_to(path.resolve())
    return folder


def test_precision_asked_for_is_built_and_no_other(engines: Path) -> None:
    store = ModelStore(engines, offline=True)
    path = store.graphs("facenet", Precision.INT8)["facenet"]
    assert path.name == "facenet.int8.onnx"
    there = {precision for precision in Precision if store.status("facenet", precision) is Status.READY}
    assert there == {Precision.INT8}
    store.graphs("facenet")
    assert sorted(found.name for found in path.parent.glob("*.onnx")) == ["facenet.int8.onnx", "facenet.onnx"]
    assert store.verify("facenet") == []
    before = path.stat().st_mtime_ns
    store.graphs("facenet", Precision.INT8)
    assert path.stat().st_mtime_ns == before


def test_events_can_tell_the_engine_and_galleries_need_not(engines: Path) -> None:
    rows, told, fingerprints = [], [], set()
    for precision in ("fp32", "int8"):
        settings = {"engines_dir": str(engines), "gallery": str(engines / "g.db"), "offline": True}
        with System(load_config(None, {**settings, "precision": precision}, {})) as system:
            rows.append(system.embedder.embed(faces(3, 160)))
            told.append(system.embedder.backend)
            fingerprints.add(system.embedder.fingerprint)
    assert told == ["onnxruntime", "onnxruntime int8"]
    assert len(fingerprints) == 1
    assert 0.995 < (rows[0] * rows[1]).sum(axis=1).min() < 0.99999


def test_other_ranges_build_again(engines: Path) -> None:
    path = ModelStore(engines, offline=True).graphs("facenet", Precision.INT8)["facenet"]
    before = path.read_bytes()
    ranges = {name: list(value) for name, value in ModelStore(engines).spec("facenet").ranges.items()}
    first = next(iter(ranges))
    lines = [f'"{name}" = {[0.0, 99.0] if name == first else value}' for name, value in ranges.items()]
    (engines / "models.toml").write_text("[facenet.ranges]\n" + "\n".join(lines))
    store = ModelStore(engines, offline=True)
    assert store.status("facenet", Precision.INT8) is Status.STALE
    assert store.status("facenet") is Status.WEIGHTS
    assert store.graphs("facenet", Precision.INT8)["facenet"].read_bytes() != before


def test_ranges_cut_short_are_told(engines: Path) -> None:
    (engines / "models.toml").write_text('[facenet.ranges]\n"Block8/add" = [-1.0, 7.0]\n')
    with pytest.raises(ModelBroken, match=r"152 of 153 are missing"):
        ModelStore(engines, offline=True).graphs("facenet", Precision.INT8)


@pytest.mark.parametrize("value", ["[0, 0]", "[1, 2]", "[-1, nan]", "[0, inf]", "7.0", "[0, 1, 2]", '["a", "b"]'])
def test_damaged_range_is_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "models.toml").write_text(f'[facenet.ranges]\n"Block8/add" = {value}\n')
    with pytest.raises(ModelBroken, match=r"Block8/add.*lowest and its highest"):
        catalogue.load(tmp_path)


def test_damaged_graph_is_found_though_float32_was_never_built(engines: Path) -> None:
    store = ModelStore(engines, offline=True)
    path = store.graphs("facenet", Precision.INT8)["facenet"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (complaint,) = store.verify("facenet")
    assert str(path) in complaint
    assert "fetch facenet --force --set precision=int8" in complaint
    (path.parent / "manifest.int8.json").unlink()
    store.graphs("facenet", Precision.INT8)
    assert store.verify("facenet") == []


def test_model_without_ranges_says_which_models_have_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sface.*int8.*facenet.*precision=fp32"):
        ModelStore(tmp_path, offline=True).graphs("sface", Precision.INT8)


def test_precision_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"precision = 'int4'.*'fp32', 'fp16', 'int8' or 'int8-signed'"):
        load_config(None, {"precision": "int4"}, {})


def test_manifest_of_before_precisions_still_counts(tmp_path: Path) -> None:
    own.declare(tmp_path / "engines", own.network())
    store = ModelStore(tmp_path / "engines")
    path = store.graphs("own")["own"]
    manifest = path.parent / "manifest.json"
    old = json.loads(manifest.read_text())
    del old["recipe"]
    manifest.write_text(json.dumps(old))
    assert store.status("own") is Status.READY
    assert np.isfinite(onnxruntime.open(path).run({"faces": np.zeros((1, 8, 8, 3), np.uint8)})["embeddings"]).all()
