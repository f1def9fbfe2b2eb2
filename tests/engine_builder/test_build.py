"""Engines are built whole or not at all, and every error says what TensorRT said."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rtface.engine_builder import build, rtx_capabilities, target
from rtface.engine_files import EngineKey, Flavour, digest_of, engines_of, manifest_of, read_manifest
from rtface.errors import BackendError, ModelBroken
from rtface.models.files import sha256_of
from tests.cli.calls import CHECKOUT
from tests.engine_builder.given import ORIGIN, ampere, chain, rtx


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    rtx()
    return chain(tmp_path / "own" / "own.onnx", "Relu", "Exp")


def left(folder: Path) -> set[str]:
    """What is in a folder besides the lock, which stays."""
    return {path.name for path in folder.iterdir()} - {".engines.lock"}


def test_engine_lies_beside_its_graph_under_its_name(graph: Path) -> None:
    wanted = ampere()
    built = build(graph, ORIGIN, wanted)
    assert built.new
    assert built.path == EngineKey(Flavour.RTX, wanted.library.version, "8.6", digest_of(graph)).path(graph)
    assert engines_of(graph) == [built.path]
    assert left(graph.parent) == {graph.name, built.path.name, manifest_of(built.path).name}


def test_manifest_tells_how_it_was_built(graph: Path) -> None:
    built = build(graph, ORIGIN, ampere(max_batch=5))
    told = read_manifest(built.path)
    assert told == built.manifest
    assert told.origin == ORIGIN
    assert told.graph_sha256 == sha256_of(graph)
    assert told.sha256 == sha256_of(built.path)
    assert told.bytes == built.path.stat().st_size
    assert told.profile == {"t0": ((1, 3), (5, 3), (5, 3))}
    assert told.layers == 2
    assert 0 < told.build_seconds < 60


def test_what_is_built_is_not_built_again(graph: Path) -> None:
    first = build(graph, ORIGIN, ampere())
    written = first.path.stat().st_mtime_ns
    again = build(graph, ORIGIN, ampere())
    assert (again.new, again.manifest, again.path.stat().st_mtime_ns) == (False, first.manifest, written)


@pytest.mark.parametrize("damage", ["forced", "truncated", "no manifest", "other batch"])
def test_what_does_not_serve_is_built_again(graph: Path, damage: str) -> None:
    first = build(graph, ORIGIN, ampere())
    if damage == "truncated":
        os.truncate(first.path, 100)
    if damage == "no manifest":
        manifest_of(first.path).unlink()
    again = build(graph, ORIGIN, ampere(64 if damage == "other batch" else 32), force=damage == "forced")
    assert again.new
    assert again.path == first.path
    assert again.manifest.sha256 == sha256_of(again.path)


def test_each_card_has_an_engine_of_its_own(graph: Path) -> None:
    for capability in ("8.9", "12.0"):
        build(graph, ORIGIN, target(rtx(), capability))
    assert [path.name.split(".")[-3] for path in engines_of(graph)] == ["sm120", "sm89"]


def test_progress_rises_from_nothing_to_all(graph: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build(graph, ORIGIN, ampere(), report=lambda *news: told.append(news))
    assert {(label, total) for label, _, total in told} == {("Building own for sm86", 100)}
    shares = [done for _, done, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    assert len(shares) > 10


def test_file_that_is_no_graph_is_told(graph: Path) -> None:
    graph.write_bytes(b"no graph at all")
    with pytest.raises(ModelBroken, match=r"own\.onnx is no ONNX graph or damaged .*rtface models fetch own --force"):
        build(graph, ORIGIN, ampere())
    assert left(graph.parent) == {graph.name}


def test_every_refused_operator_is_told_with_its_node_and_place(graph: Path) -> None:
    chain(graph, "Relu", "Bernoulli", "StringNormalizer")
    with pytest.raises(BackendError) as caught:
        build(graph, ORIGIN, ampere())
    said = str(caught.value)
    assert re.search(r"tensorrt-rtx [\d.]+ cannot compute .*own\.onnx", said)
    for number, operator in ((1, "Bernoulli"), (2, "StringNormalizer")):
        wanted = (
            rf"node {number} 'node {number}', operator {operator}: the operator is not supported \(\S+\.cpp:\d+ \w+"
        )
        assert re.search(wanted, said)
    assert left(graph.parent) == {graph.name}


def test_what_the_library_says_of_a_failed_build_is_told(graph: Path) -> None:
    model = onnx.load(graph)
    five = numpy_helper.from_array(np.zeros((5, 3), np.float32), "five")
    model.graph.initializer.append(five)
    model.graph.node[1].CopyFrom(helper.make_node("Add", ["t1", "five"], ["t2"], name="five rows only"))
    onnx.save(model, graph)
    with pytest.raises(BackendError, match=r"tensorrt-rtx [\d.]+ cannot build .*own\.onnx: .*five rows only"):
        build(graph, ORIGIN, ampere())
    assert left(graph.parent) == {graph.name}


def test_unknown_capability_is_told_with_those_that_are_known() -> None:
    library = rtx()
    with pytest.raises(BackendError) as caught:
        target(library, "9.0")
    known = ", ".join(rtx_capabilities(library))
    assert str(caught.value) == f"{library.name} does not build for compute capability 9.0; it does for {known}."
    assert {"8.6", "8.9", "12.0"} <= set(rtx_capabilities(library))


def test_interrupt_ends_the_build_and_leaves_nothing(graph: Path) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        if 0 < done < 100:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build(graph, ORIGIN, ampere(), report=interrupt)
    assert left(graph.parent) == {graph.name}
    assert build(graph, ORIGIN, ampere()).new, "and the next one is not kept waiting"


def test_error_of_whoever_draws_the_progress_ends_the_build(graph: Path) -> None:
    def broken(label: str, done: int, total: int) -> None:
        if 0 < done < 100:
            raise RuntimeError("no terminal any more")

    with pytest.raises(RuntimeError, match="no terminal any more"):
        build(graph, ORIGIN, ampere(), report=broken)
    assert left(graph.parent) == {graph.name}


def test_builds_outside_the_main_thread(graph: Path) -> None:
    built = []
    thread = threading.Thread(target=lambda: built.append(build(graph, ORIGIN, ampere())))
    thread.start()
    thread.join(60)
    assert [engine.new for engine in built] == [True]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_disk_without_room_is_told_and_left_as_it_was(graph: Path) -> None:
    with pytest.raises(BackendError) as caught, room_for(2000):
        build(graph, ORIGIN, ampere())
    assert str(caught.value) == (
        f"The engine cannot be written into {graph.parent}: File too large. "
        "Make room or permit writing there, or name another folder with --set engines_dir=DIR."
    )
    assert left(graph.parent) == {graph.name}


def test_failed_rebuild_leaves_the_engine_that_was_there(graph: Path) -> None:
    first = build(graph, ORIGIN, ampere())
    with pytest.raises(BackendError), room_for(2000):
        build(graph, ORIGIN, ampere(), force=True)
    assert sha256_of(first.path) == first.manifest.sha256


def test_second_build_waits_for_the_first_and_takes_its_engine(graph: Path) -> None:
    told: list[str] = []
    done = []

    def second() -> None:
        done.append(build(graph, ORIGIN, ampere(), report=lambda label, *_: told.append(label)))

    with filelock.FileLock(graph.parent / ".engines.lock"):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            thread.join(0.01)
            assert thread.is_alive()
        assert told == ["Waiting for another build in own"]
        assert not engines_of(graph)
    thread.join(60)
    assert done[0].new


def test_two_processes_at_once_leave_one_whole_engine(graph: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from rtface.engine_builder import build;"
        "from tests.engine_builder.given import ORIGIN, ampere;"
        "print(build(Path(sys.argv[1]), ORIGIN, ampere()).new)"
    )
    command = [sys.executable, "-c", program, str(graph)]
    two = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate(timeout=120)[0].strip() for process in two) == ["False", "True"]
    (engine,) = engines_of(graph)
    manifest = read_manifest(engine)
    assert manifest
    assert manifest.sha256 == sha256_of(engine)
    assert json.loads(manifest_of(engine).read_text())["bytes"] == engine.stat().st_size
