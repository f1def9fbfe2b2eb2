"""Which engine serves, and at what precision, follows from the settings, the models and the machine."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtface import registry
from rtface.config import Config
from rtface.engines import Engines
from rtface.errors import BackendError, UnknownModel
from rtface.models.spec import Precision
from rtface.models.store import ModelStore


def engines(tmp_path: Path, **settings: object) -> Engines:
    config = Config.model_validate({"engines_dir": tmp_path, **settings})
    return Engines(config, ModelStore(tmp_path, offline=True))


def install(monkeypatch: pytest.MonkeyPatch, *packages: str, card: BackendError | None = None) -> None:
    """As if these were the GPU packages here, and the card answered or not."""
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        if name in ("pycuda", "tensorrt", "tensorrt_rtx"):
            return object() if name in packages else None
        return real(name, package)

    def look() -> None:
        if card:
            raise card

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(registry, "load", lambda kind, name: SimpleNamespace(card=look))


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ((), "onnxruntime"),
        (("tensorrt",), "onnxruntime"),
        (("pycuda",), "onnxruntime"),
        (("pycuda", "tensorrt"), "tensorrt"),
        (("pycuda", "tensorrt_rtx"), "tensorrt"),
    ],
)
def test_auto_is_the_card_where_all_it_needs_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], expected: str
) -> None:
    install(monkeypatch, *packages)
    assert engines(tmp_path).backend == expected


def test_a_card_that_does_not_answer_is_told_and_the_cpu_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, "pycuda", "tensorrt", card=BackendError("There is no NVIDIA driver."))
    with caplog.at_level(logging.WARNING):
        assert engines(tmp_path).backend == "onnxruntime"
    assert "TensorRT is installed, but the CPU serves: There is no NVIDIA driver." in caplog.text


def test_a_backend_named_is_taken_whatever_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "pycuda", "tensorrt")
    assert engines(tmp_path, backend="onnxruntime").backend == "onnxruntime"
    install(monkeypatch)
    assert engines(tmp_path, backend="tensorrt").backend == "tensorrt"


@pytest.mark.parametrize(
    ("backend", "wanted", "embedder", "detector"),
    [
        ("onnxruntime", "auto", Precision.INT8, Precision.FP32),
        ("onnxruntime", "fp32", Precision.FP32, Precision.FP32),
        ("onnxruntime", "fp16", Precision.FP16, Precision.FP32),
        ("onnxruntime", "int8-signed", Precision.INT8_SIGNED, Precision.FP32),
        ("tensorrt", "auto", Precision.FP16, Precision.FP16),
        ("tensorrt", "fp32", Precision.FP32, Precision.FP32),
        ("tensorrt", "int8", Precision.INT8_SIGNED, Precision.FP16),
        ("tensorrt", "int8-signed", Precision.INT8_SIGNED, Precision.INT8_SIGNED),
    ],
)
def test_precision_suits_the_engine(
    tmp_path: Path, backend: str, wanted: str, embedder: Precision, detector: Precision
) -> None:
    here = engines(tmp_path, backend=backend, precision=wanted)
    assert here.precision_of(here.embedder_spec) is embedder
    assert here.precision_of(here.detector_spec) is detector


def test_on_the_cpu_it_is_what_serves_best_there(tmp_path: Path) -> None:
    here = engines(tmp_path, backend="tensorrt", precision="fp16").on_cpu()
    assert here.backend == "onnxruntime"
    assert here.precision_of(here.embedder_spec) is Precision.INT8
    plain = here.on_cpu("fp32")
    assert plain.precision_of(plain.embedder_spec) is Precision.FP32


def test_detector_and_embedder_are_not_taken_for_each_other(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"no detector .facenet."):
        _ = engines(tmp_path, detector="facenet").detector_spec
