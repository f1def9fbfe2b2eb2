"""``rtface train``: from folders of people to a model that ``--set embedder`` uses."""

from __future__ import annotations

import importlib.util
import tomllib
from contextlib import closing
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

from rtface.cli import train as commands
from rtface.config import load_config
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.training.networks.catalogue import ARCHITECTURES
from rtface.training.networks.layers import Norm
from rtface.training.settings import Decay, Optimizer
from rtface.training.triplets import Mining
from tests.cli.calls import Outcome, Rtface
from tests.models.given import noise
from tests.training.sample import folder_of

SMALL = ("--network", "small", "--size", 64, "--batch", 20, "--faces", 4, "--negatives", 4, "--far", 0.1)


def run(rtface: Rtface, folder: Path, out: Path, *more: str | float | Path) -> Outcome:
    words = (
        "train",
        "run",
        folder,
        "--out",
        out,
        "--cropped",
        *SMALL,
        "--check-every",
        2,
        "--validation-share",
        0.3,
        *more,
    )
    return rtface(*map(str, words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "people", people=12)


def test_trains_resumes_and_exports_an_embedder(rtface: Rtface, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(rtface, folder, out, "--steps", 4)
    assert first.code == 0, first.err
    assert [record["step"] for record in first.records] == [2, 4]
    assert set(first.records[0]) == {"step", "val", "far", "auc", "loss", "best"}
    more = run(rtface, folder, out, "--steps", 6, "--resume")
    assert [record["step"] for record in more.records] == [6], more.err
    engines = tmp_path / "engines"
    exported = rtface(
        "train", "export", out / "best.pt", tmp_path / "mine.onnx", "--add", "--set", f"engines_dir={engines}"
    )
    assert exported.code == 0, exported.err
    assert tomllib.loads(exported.out) == tomllib.loads((engines / "models.toml").read_text())
    config = load_config(None, {"engines_dir": engines, "embedder": "mine", "offline": True})
    with System(config) as system, closing(system.engines.on_cpu("fp32").embedder()) as embedder:
        assert (embedder.name, embedder.size, embedder.crop_size) == ("mine", 64, 64)
        rows = embedder.embed(noise(3, 64, 64, 3))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_what_is_there_is_not_written_over(rtface: Rtface, folder: Path, tmp_path: Path) -> None:
    assert run(rtface, folder, tmp_path / "out", "--steps", 2, "--validation-share", 0).code == 0
    again = run(rtface, folder, tmp_path / "out", "--steps", 2, "--validation-share", 0)
    assert again.code == 1
    assert "--resume" in again.err
    other = run(rtface, folder, tmp_path / "out", "--steps", 4, "--validation-share", 0, "--resume", "--seed", 9)
    assert other.code == 1
    assert "other settings" in other.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--steps", 2, "--faces", 1), "at least two faces"),
        (("--steps", 2, "--validation-share", 0.01), "--validation DIR"),
        (("--steps", 2, "--from-shipped"), "--norm none"),
        (("--steps", 2, "--device", "gpu"), "--device: cpu"),
        (("--steps", 2, "--device", "cuda:77"), "--device: cpu"),
    ],
)
def test_what_cannot_be_is_told(
    rtface: Rtface, folder: Path, tmp_path: Path, words: tuple[str | float, ...], told: str
) -> None:
    ended = run(rtface, folder, tmp_path / "out", *words)
    if "None of" in ended.err or "cannot be fetched" in ended.err or "offline" in ended.err:
        pytest.skip("needs the weights of `rtface models fetch facenet`")
    assert ended.code == 1
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_a_folder_without_people_is_told(rtface: Rtface, tmp_path: Path) -> None:
    assert "no folder" in run(rtface, tmp_path / "nobody", tmp_path / "out").err
    (tmp_path / "empty").mkdir()
    assert "at least two" in run(rtface, tmp_path / "empty", tmp_path / "out").err


def test_a_file_that_is_no_checkpoint_is_told(rtface: Rtface, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"nothing")
    ended = rtface("train", "export", tmp_path / "best.pt", tmp_path / "mine.onnx")
    assert (ended.code, ended.out) == (1, "")
    assert "no checkpoint" in ended.err


def test_without_pytorch_the_extra_is_named(rtface: Rtface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    ended = rtface("train", "run", tmp_path, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "rtface[train]" in ended.err


def test_faces_are_cut_out_once(rtface: Rtface, models: None, tmp_path: Path, ada: Path, group: Path) -> None:
    for name, source in (("Ada", ada), ("Grace", group)):
        (tmp_path / "people" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "people" / name / f"{number}.jpg").write_bytes(source.read_bytes())
    (tmp_path / "people" / "Ada" / "9.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "people" / "Grace" / "grey.png"), np.full((80, 80, 3), 128, np.uint8))
    words = ("--steps", "1", "--validation-share", "0", *map(str, SMALL))
    assert rtface("train", "run", tmp_path / "people", "--out", tmp_path / "out", *words).code == 0
    (place,) = (path for path in (tmp_path / "out" / "crops").iterdir() if path.is_dir())
    crops = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.jpg"))
    assert crops == [f"{name}/{number}.jpg.jpg" for name in ("Ada", "Grace") for number in range(3)]
    assert sorted((place / "without_face.txt").read_text().splitlines()) == ["Ada/9.png", "Grace/grey.png"]
    assert read_picture(place / crops[0]).shape == (64, 64, 3)
    before = [(place / crop).stat().st_mtime_ns for crop in crops]
    assert rtface("train", "run", tmp_path / "people", "--out", tmp_path / "out", *words, "--resume").code == 0
    assert [(place / crop).stat().st_mtime_ns for crop in crops] == before


def test_curves_are_written_for_tensorboard(rtface: Rtface, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs pip install 'rtface[train]'")
    ended = run(rtface, folder, tmp_path / "out", "--steps", 2, "--tensorboard", tmp_path / "curves")
    assert ended.code == 0, ended.err
    (events,) = (tmp_path / "curves").iterdir()
    written = events.read_bytes()
    assert all(name in written for name in (b"training/loss", b"validation/VAL", b"validation/AUC"))


def test_choices_are_those_there_are() -> None:
    options = {parameter.name: parameter.type for parameter in commands.run.params}
    wanted: dict[str, list[str]] = {
        "network": list(ARCHITECTURES),
        "norm": list(Norm),
        "mining": list(Mining),
        "optimizer": list(Optimizer),
        "decay": list(Decay),
    }
    for name, choices in wanted.items():
        kind = options[name]
        assert isinstance(kind, click.Choice)
        assert set(kind.choices) == set(map(str, choices)), name
