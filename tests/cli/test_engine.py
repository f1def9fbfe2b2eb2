"""``rtface engine`` with the real TensorRT for RTX, on a model of one's own that is small."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import CHECKOUT, Outcome, Rtface
from tests.models import own

FACTS = {
    "model",
    "graph",
    "precision",
    "flavour",
    "version",
    "capability",
    "max_batch",
    "layers",
    "seconds",
    "bytes",
    "new",
    "path",
}


class Engines:
    """``rtface engine`` on a folder of its own with the model ``own``."""

    def __init__(self, rtface: Rtface, folder: Path) -> None:
        self.folder = folder
        self._rtface = rtface

    def __call__(self, *words: str) -> Outcome:
        return self._rtface("engine", *words, "--set", f"engines_dir={self.folder}")

    def build(self, *words: str) -> Outcome:
        return self("build", "own", "--precision", "fp32", "--gpu", "8.6", *words)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*/*.engine*") if path.suffix != ".lock")


@pytest.fixture
def engines(rtface: Rtface, tmp_path: Path) -> Engines:
    pytest.importorskip("tensorrt_rtx", reason="needs pip install 'rtface[rtx]'")
    own.declare(tmp_path / "engines", own.network())
    return Engines(rtface, tmp_path / "engines")


def test_build_tells_layers_seconds_size_and_file(engines: Engines) -> None:
    built = engines.build()
    assert built.code == 0
    wanted = (
        r"own fp32 for compute capability 8\.6: \d+ layers, \d+\.\d s, \d\.\d MB, (.*own\.tensorrt-rtx-.*\.engine)\n"
    )
    told = re.fullmatch(wanted, built.out)
    assert told
    assert Path(told[1]).is_file()
    assert engines.build().out == re.sub(r"\d+\.\d s", "there already", built.out)


def test_build_for_several_cards_as_json(engines: Engines) -> None:
    built = engines("build", "own", "--precision", "fp32", "--gpu", "86,sm89", "--gpu", "12.0", "--json")
    assert built.code == 0
    assert [record["capability"] for record in built.records] == ["8.6", "8.9", "12.0"]
    for record in built.records:
        assert set(record) == FACTS
        assert (record["model"], record["flavour"], record["new"]) == ("own", "tensorrt-rtx", True)
        assert Path(str(record["path"])).stat().st_size == record["bytes"]


def test_force_builds_again(engines: Engines) -> None:
    engines.build()
    assert [record["new"] for record in engines.build("--json", "--force").records] == [True]


@pytest.mark.parametrize("word", ["9", "ampere", "8.6.1", "sm", "8,,9"])
def test_word_that_is_no_capability_is_wrong_usage(engines: Engines, word: str) -> None:
    ended = engines("build", "own", "--gpu", word)
    assert ended.code == 2
    assert "write 8.6, 86 or sm86" in ended.err


def test_capability_nobody_builds_for_is_told(engines: Engines) -> None:
    ended = engines("build", "own", "--gpu", "3.5")
    assert ended.code == 1
    assert "does not build for compute capability 3.5; it does for 7.5, " in ended.err


def test_list_says_what_serves_and_why_not(engines: Engines) -> None:
    assert engines("list", "--json").out == ""
    engines.build()
    (record,) = engines("list", "--json").records
    assert (record["model"], record["capability"], record["state"], record["reasons"]) == ("own", "8.6", "current", [])
    (engines.folder / "own" / "own.onnx").write_bytes(b"another")
    (record,) = engines("list", "--json").records
    assert (record["state"], record["reasons"]) == ("stale", ["its graph own.onnx has changed"])
    table = engines("list").out
    assert "own" in table
    assert "stale" in table


def test_verify_finds_a_truncated_engine(engines: Engines) -> None:
    engines.build()
    whole = engines("verify")
    assert (whole.code, whole.out) == (0, "")
    assert whole.err.endswith(".engine: whole\n")
    (engine, _) = engines.files
    os.truncate(engines.folder / "own" / engine, 50)
    ended = engines("verify", "own")
    assert ended.code == 1
    told = re.search(r"it has 50 of \d+ bytes; (rtface engine build own .*--force) makes it anew", ended.err)
    assert told
    assert engines(*told[1].split()[2:]).code == 0
    assert engines("verify", "own").code == 0


def test_verify_of_a_model_without_engine_says_how_to_build_it(engines: Engines) -> None:
    ended = engines("verify", "own")
    assert ended.code == 1
    assert ended.err == "own: no engine is built; rtface engine build own does it.\n"
    unknown = engines("verify", "nobody")
    assert unknown.code == 1
    assert "There is no model 'nobody'" in unknown.err


def test_prune_removes_what_is_stale_and_nothing_else(engines: Engines) -> None:
    engines.build()
    (old, _) = engines.files
    manifest = engines.folder / "own" / "manifest.json"
    assert json.loads(manifest.read_text())["graphs"]
    assert engines("prune").err == "Nothing to remove.\n"
    stale = engines.folder / "own" / old.replace("tensorrt-rtx-", "tensorrt-rtx-0.")
    stale.write_bytes(b"of another time")
    assert "would remove" in engines("prune", "--dry-run").err
    assert stale.exists()
    assert f"removed {stale}: " in engines("prune").err
    assert engines.files == [old, f"{old}.json"]
    assert manifest.exists()


def test_without_any_tensorrt_the_extras_are_told(rtface: Rtface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ended = rtface("engine", "build")
    assert ended.code == 1
    assert ended.err == (
        "rtface: TensorRT is not installed: pip install 'rtface[gpu]', or for GeForce RTX and RTX PRO cards "
        "pip install 'rtface[rtx]'\n"
    )
    for flavour, extra in (("tensorrt", "gpu"), ("tensorrt-rtx", "rtx")):
        ended = rtface("engine", "build", "--flavour", flavour)
        package = flavour.replace("-", "_")
        assert (ended.code, ended.err) == (1, f"rtface: {package} is not installed: pip install 'rtface[{extra}]'\n")


@pytest.mark.parametrize("words", [("identify",), ("models", "list"), ("doctor",), ("engine", "--help")])
def test_what_runs_on_the_cpu_imports_nothing_of_the_card(
    models: None, group: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    program = (
        "import atexit, sys; from rtface.cli import main; card = ('tensorrt', 'pycuda')\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith(card)], file=sys.stderr))\n"
        "main()"
    )
    settings = ["--set", f"gallery={tmp_path / 'gallery.db'}", "--set", "backend=onnxruntime"]
    command = [sys.executable, "-c", program, *settings, *words, *([str(group)] if words == ("identify",) else [])]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == "[]"
    assert ran.stdout
