"""An engine's name says what it is for, and only that is taken from it."""

from pathlib import Path

import pytest

from rtface.engine_files import EngineKey, Flavour, digest_of, engines_of, key_of

KEY = EngineKey(Flavour.RTX, "1.7.1.116", "12.0", "0123456789ab")


def test_name_says_library_version_card_and_graph() -> None:
    path = KEY.path(Path("models/facenet.fp16.onnx"))
    assert path == Path("models/facenet.fp16.tensorrt-rtx-1.7.1.116.sm120.0123456789ab.engine")
    assert key_of(path) == KEY


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("capability", ["7.5", "8.6", "12.1"])
def test_key_comes_back_from_the_name(flavour: Flavour, capability: str) -> None:
    key = EngineKey(flavour, "10.13.2.6", capability, "abcdefabcdef")
    assert key_of(key.path(Path("pnet.onnx"))) == key


@pytest.mark.parametrize(
    "name", ["facenet.onnx", "mine.engine", "a.tensorrt-10.sm86.xyz.engine", KEY.path(Path("a.onnx")).name + ".json"]
)
def test_other_files_are_no_engines(name: str) -> None:
    assert key_of(Path(name)) is None


def test_engines_of_one_precision_are_not_those_of_another(tmp_path: Path) -> None:
    graphs = [tmp_path / name for name in ("facenet.onnx", "facenet.fp16.onnx")]
    for graph in graphs:
        graph.write_bytes(graph.name.encode())
        EngineKey(Flavour.TENSORRT, "10.0.1", "8.9", digest_of(graph)).path(graph).touch()
    (tmp_path / "facenet.notes.engine").touch()
    for graph in graphs:
        assert [key_of(path) for path in engines_of(graph)] == [
            EngineKey(Flavour.TENSORRT, "10.0.1", "8.9", digest_of(graph))
        ]
