"""Graphs on disk: built once, rebuilt when they must be, whole or not there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rtface.backends import onnxruntime
from rtface.errors import ModelBroken, ModelUnavailable, UnknownModel
from rtface.models import spec as specs
from rtface.models.spec import Revision
from rtface.models.store import ModelStore, Status
from tests.models import own
from tests.models.given import noise


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    own.declare(tmp_path / "engines", own.network())
    return tmp_path / "engines"


def built(engines: Path) -> Path:
    return ModelStore(engines).graphs("own")["own"]


def embeddings(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return onnxruntime.open(path).run({"faces": noise(1, own.SIZE, own.SIZE, 3)})["embeddings"]


def test_builds_once(engines: Path) -> None:
    first = built(engines)
    made = first.stat().st_mtime_ns
    assert built(engines) == first
    assert first.stat().st_mtime_ns == made


def test_tells_absent_from_fetched_from_ready(engines: Path) -> None:
    store = ModelStore(engines)
    states = [store.status("own")]
    (engines / "weights").mkdir()
    (engines / "weights" / "own.bin").write_bytes((engines / "own-network.onnx").read_bytes())
    states.append(store.status("own"))
    store.graphs("own")
    states.append(store.status("own"))
    assert states == [Status.ABSENT, Status.WEIGHTS, Status.READY]


def test_manifest_says_what_was_built_from_what(engines: Path) -> None:
    built(engines)
    store = ModelStore(engines)
    manifest = store.manifest("own")
    assert manifest is not None
    assert manifest.fingerprint == store.spec("own").fingerprint
    assert manifest.weights == {"own.bin": store.spec("own").weights[0].sha256}
    assert manifest.graphs["own"].bytes == (engines / "own" / "own.onnx").stat().st_size


@pytest.mark.parametrize("harm", ["cut", "remove", "manifest of nonsense", "manifest cut", "manifest of a list"])
def test_what_is_missing_or_cut_off_is_made_again(engines: Path, harm: str) -> None:
    path = built(engines)
    content, manifest = path.read_bytes(), path.parent / "manifest.json"
    match harm:
        case "cut":
            path.write_bytes(content[:100])
        case "remove":
            path.unlink()
        case "manifest of nonsense":
            manifest.write_text('{"graphs": {"own": {"file": 3}}}')
        case "manifest cut":
            manifest.write_text(manifest.read_text()[:40])
        case "manifest of a list":
            manifest.write_text("[]")
    assert built(engines).read_bytes() == content
    assert json.loads(manifest.read_text())["graphs"]["own"]["bytes"] == len(content)


def test_newer_builder_builds_again(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(engines)
    monkeypatch.setitem(specs.BUILDERS, "onnx_embedder", Revision(99, 1))
    store = ModelStore(engines)
    assert store.status("own") is Status.STALE
    assert "older rtface" in store.verify("own")[0]
    store.graphs("own")
    assert store.status("own") is Status.READY


def test_other_weights_build_again(engines: Path) -> None:
    before = embeddings(built(engines))
    own.declare(engines, own.network(seed=1))
    assert np.abs(embeddings(built(engines)) - before).max() > 0.01


def test_verify_finds_one_changed_byte(engines: Path) -> None:
    path = built(engines)
    assert ModelStore(engines).verify("own") == []
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (complaint,) = ModelStore(engines).verify("own")
    assert str(path) in complaint
    assert "rtface models fetch own --force" in complaint
    ModelStore(engines).fetch("own", force=True)
    assert ModelStore(engines).verify("own") == []


def test_model_never_built_says_so_when_verified(engines: Path) -> None:
    assert ModelStore(engines).verify("own") == ["own is not built yet; rtface models fetch own does it."]


def test_several_builds_at_once_leave_one_whole_model(engines: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: built(engines), range(8)))
    assert len(paths) == 1
    assert ModelStore(engines).verify("own") == []
    assert sorted(path.name for path in (engines / "own").iterdir()) == ["manifest.json", "own.onnx"]


def test_network_that_cannot_be_built_leaves_no_model(engines: Path) -> None:
    own.declare(engines, own.network(height=12))
    with pytest.raises(ModelBroken):
        built(engines)
    assert not (engines / "own").exists()


def test_folder_that_cannot_be_written_is_named(engines: Path) -> None:
    (engines / "weights").write_text("a file where the folder should be")
    with pytest.raises(ModelUnavailable, match="--set engines_dir"):
        built(engines)


def test_missing_weights_offline_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="offline is set"):
        ModelStore(tmp_path, offline=True).graphs("yunet")


def test_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="'nobody'"):
        ModelStore(tmp_path).graphs("nobody")
