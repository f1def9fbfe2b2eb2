"""What is said of the engines on disk: which serve, which are stale and why, which are damaged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtface import registry
from rtface.engine_builder import Engine, build, stock
from rtface.engine_files import Flavour, manifest_of
from rtface.errors import BackendError
from tests.engine_builder.given import ORIGIN, ampere, chain, rtx


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return build(chain(tmp_path / "own" / "own.onnx", "Relu", "Exp"), ORIGIN, ampere())


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "card_here", lambda: None)


def state(tmp_path: Path, libraries: stock.Libraries | None = None) -> tuple[str, ...]:
    (found,) = stock.stored(tmp_path, {Flavour.RTX: rtx()} if libraries is None else libraries)
    return found.stale


def complaints(tmp_path: Path) -> list[str]:
    libraries = {Flavour.RTX: rtx()}
    (found,) = stock.stored(tmp_path, libraries)
    return stock.complaints(found, libraries)


def test_fresh_engine_serves(tmp_path: Path, engine: Engine, no_card: None) -> None:
    (found,) = stock.stored(tmp_path, stock.installed())
    assert (found.path, found.manifest, found.origin) == (engine.path, engine.manifest, ORIGIN)
    assert found.stale == ()
    assert complaints(tmp_path) == []


def test_engine_for_a_library_that_is_not_here_is_not_called_stale(tmp_path: Path, engine: Engine) -> None:
    assert state(tmp_path, {}) == ()


def test_changed_graph_makes_it_stale(tmp_path: Path, engine: Engine) -> None:
    chain(tmp_path / "own" / "own.onnx", "Relu")
    assert state(tmp_path) == ("its graph own.onnx has changed",)


def test_graph_that_is_gone_makes_it_stale(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "own" / "own.onnx").unlink()
    assert state(tmp_path) == ("its graph own.onnx is gone",)


def test_another_version_of_the_library_makes_it_stale(tmp_path: Path, engine: Engine) -> None:
    assert state(tmp_path, {Flavour.RTX: replace(rtx(), version="9.9.9.9")}) == ("tensorrt-rtx 9.9.9.9 is installed",)


def test_truncated_file_is_told_with_its_sizes(tmp_path: Path, engine: Engine, no_card: None) -> None:
    os.truncate(engine.path, 1000)
    assert complaints(tmp_path) == [f"it has 1000 of {engine.manifest.bytes} bytes"]


def test_one_wrong_bit_is_found(tmp_path: Path, engine: Engine, no_card: None) -> None:
    content = bytearray(engine.path.read_bytes())
    content[len(content) // 2] ^= 1
    engine.path.write_bytes(content)
    assert state(tmp_path) == ()
    assert complaints(tmp_path) == ["it has been changed or damaged"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"origin": 3}', "[]"])
def test_engine_without_a_readable_manifest_is_stale(tmp_path: Path, engine: Engine, text: str | None) -> None:
    manifest_of(engine.path).unlink()
    if text is not None:
        manifest_of(engine.path).write_text(text)
    (found,) = stock.stored(tmp_path, {})
    assert found.stale == ("its manifest is missing or cannot be read",)
    assert (found.origin.model, found.origin.graph, found.origin.precision) == ("own", "own", "fp32")


def test_other_files_are_no_engines(tmp_path: Path, engine: Engine) -> None:
    (engine.path.parent / "mine.engine").write_bytes(b"")
    assert [found.path for found in stock.stored(tmp_path, {})] == [engine.path]


def test_engine_for_the_card_that_is_here_is_loaded_too(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    closed: list[Path] = []

    def refuse(graph: Path, *, flavour: Flavour) -> object:
        raise BackendError(f"{flavour} does not load the engine of {graph.name}")

    def load(graph: Path, *, flavour: Flavour) -> object:
        opened.append(graph)
        return SimpleNamespace(close=lambda: closed.append(graph))

    monkeypatch.setattr(stock, "card_here", lambda: "8.6")
    monkeypatch.setattr(registry, "load", lambda kind, name: SimpleNamespace(open=load))
    assert complaints(tmp_path) == []
    assert opened == closed == [tmp_path / "own" / "own.onnx"]
    monkeypatch.setattr(registry, "load", lambda kind, name: SimpleNamespace(open=refuse))
    assert complaints(tmp_path) == ["tensorrt-rtx does not load the engine of own.onnx"]
    monkeypatch.setattr(stock, "card_here", lambda: "8.9")
    assert complaints(tmp_path) == [], "another card's is not"


def test_removing_takes_the_engine_and_its_manifest(tmp_path: Path, engine: Engine) -> None:
    (found,) = stock.stored(tmp_path, {})
    stock.remove(found)
    assert {path.name for path in engine.path.parent.iterdir()} == {"own.onnx", ".engines.lock"}
    stock.remove(found)  # another process may have been faster


def test_what_cannot_be_removed_is_told(tmp_path: Path, engine: Engine) -> None:
    (found,) = stock.stored(tmp_path, {})
    engine.path.unlink()
    engine.path.mkdir()
    with pytest.raises(BackendError, match=r"The engine .*\.engine cannot be removed: "):
        stock.remove(found)
