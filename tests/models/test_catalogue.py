"""models.toml: what ships, what a user lays over it, and what is refused."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import ModelBroken, UnknownModel
from rtface.models import catalogue
from rtface.models.spec import CropKind, Task, WeightSource

OWN = """
[mine]
task = "embedder"
title = "mine"
licence = "MIT"
builder = "onnx_embedder"
embedding_size = 4
crop = {{ kind = "warp", size = 112, template = "arcface_112" }}
weights = [{{ file = "mine.onnx", sha256 = "{digest}", sources = [{{ path = "here/mine.onnx" }}] }}]
{more}
"""
DIGEST = "ab" * 32


def engines(folder: Path, more: str = "", digest: str = DIGEST) -> Path:
    (folder / "models.toml").write_text(OWN.format(digest=digest, more=more), encoding="utf-8")
    return folder


def test_ships_the_default_models_with_terms_and_pinned_sources(tmp_path: Path) -> None:
    models = catalogue.load(tmp_path)
    assert {"facenet", "sface", "arcface", "yunet", "mtcnn", "scrfd"} <= models.keys()
    for spec in models.values():
        assert spec.licence
        assert (spec.crop is not None) == (spec.task is Task.EMBEDDER)
        for weight in spec.weights:
            assert weight.bytes > 0
            assert all("==" in source.place for source in weight.sources if source.kind == "pip")


def test_unknown_model_names_the_near_and_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"'fasenet'.*Did you mean 'facenet'\?.*Known: .*yunet"):
        catalogue.find(catalogue.load(tmp_path), "fasenet")


def test_own_file_adds_a_model(tmp_path: Path) -> None:
    spec = catalogue.load(engines(tmp_path))["mine"]
    assert spec.crop is not None
    assert spec.crop.kind is CropKind.WARP
    assert spec.weights[0].sources == (WeightSource("path", str(tmp_path / "here" / "mine.onnx")),)
    assert "facenet" in catalogue.load(tmp_path)


def test_own_file_changes_single_fields_of_a_shipped_model(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text('[sface.limits]\n"1e-4" = 1.14\n"1e-3" = 1.2\n', encoding="utf-8")
    spec = catalogue.load(tmp_path)["sface"]
    assert dict(spec.limits) == {1e-4: 1.14, 1e-3: 1.2}
    assert spec.builder == "sface"


def test_centre_is_read_from_text_or_from_a_file(tmp_path: Path) -> None:
    centre = np.array([0.5, -1, 0.25, 2], "<f4")
    text = base64.b64encode(centre.tobytes()).decode()
    inline = catalogue.load(engines(tmp_path, f'centre = {{ base64 = "{text}" }}'))["mine"]
    (tmp_path / "centre.f32").write_bytes(centre.tobytes())
    filed = catalogue.load(engines(tmp_path, 'centre = { file = "centre.f32" }'))["mine"]
    assert inline.centre is not None
    assert filed.centre is not None
    np.testing.assert_array_equal(inline.centre, centre)
    np.testing.assert_array_equal(filed.centre, centre)
    assert inline.fingerprint == filed.fingerprint


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("licens = 1", r"no field 'licens'.*Did you mean 'licence'"),
        ('centre = { base64 = "AAAA" }', r"3 bytes.*4 little-endian float32"),
        ('centre = { base64 = "*" }', "centre cannot be read"),
        ('centre = { file = "nowhere" }', "centre cannot be read"),
        ('input = { colour = "grey", mean = 0, scale = 1 }', r"'grey'.*one of rgb, bgr"),
        ('limits = { "often" = 1.0 }', r"'often'.*false accept rate"),
        ('limits = { "1e-3" = 7 }', "from 0 to 4"),
    ],
)
def test_wrong_field_is_refused_with_file_table_and_cure(tmp_path: Path, more: str, complaint: str) -> None:
    with pytest.raises(ModelBroken, match=complaint) as raised:
        catalogue.load(engines(tmp_path, more))
    assert str(tmp_path / "models.toml") in str(raised.value)
    assert "[mine" in str(raised.value)


@pytest.mark.parametrize(
    ("shipped", "wrong", "complaint"),
    [
        ('builder = "onnx_embedder"', 'builder = "rm"', r"one of .*facenet"),
        ('title = "mine"', "", "'title' is missing"),
        ("embedding_size = 4", "embedding_size = 0", "whole number from 1"),
        (DIGEST, "12", "64 hex digits"),
        ("mine.onnx", "../mine.onnx", "plain file name"),
        ('path = "here/mine.onnx"', 'pip = "mine", member = "m"', "package==version"),
        ('path = "here/mine.onnx"', 'path = "a", url = "b"', "exactly one of"),
        ("[mine]", "mine", "cannot be read"),
        ("[mine]", "mine = 1\n[other]", "'mine' stands outside"),
    ],
)
def test_wrong_entry_is_refused(tmp_path: Path, shipped: str, wrong: str, complaint: str) -> None:
    file = engines(tmp_path) / "models.toml"
    file.write_text(file.read_text().replace(shipped, wrong), encoding="utf-8")
    with pytest.raises(ModelBroken, match=complaint):
        catalogue.load(tmp_path)


def test_fingerprint_changes_with_what_changes_embeddings_and_with_nothing_else(tmp_path: Path) -> None:
    spec = catalogue.load(engines(tmp_path))["mine"]
    assert spec.crop is not None
    same = [
        replace(spec, title="other", licence="other", limits={1e-3: 1.0}, measured={"lfw": 1}),
        replace(spec, weights=(replace(spec.weights[0], file="renamed", sources=()),)),
    ]
    different = [
        replace(spec, weights=(replace(spec.weights[0], sha256="cd" * 32),)),
        replace(spec, builder="sface"),
        replace(spec, crop=replace(spec.crop, size=96)),
        replace(spec, centre=np.zeros(4, np.float32)),
        replace(spec, centre=np.ones(4, np.float32)),
        replace(spec, input=replace(spec.input, colour="bgr")),
    ]
    assert {item.fingerprint for item in same} == {spec.fingerprint}
    assert len({item.fingerprint for item in different} | {spec.fingerprint}) == len(different) + 1
    assert len(spec.fingerprint) >= 12


@pytest.mark.parametrize(("precision", "points"), [("fp16", 0.05), ("int8", 0.15), ("int8-signed", 0.15)])
def test_no_precision_that_is_offered_costs_more_than_its_gate(precision: str, points: float) -> None:
    shipped = catalogue.load(Path(os.devnull))
    measured = [spec.measured for spec in shipped.values() if spec.task is Task.EMBEDDER and precision in spec.measured]
    assert measured
    for figures in measured:
        plain, cheaper = figures["fp32"], figures[precision]
        assert isinstance(plain, dict)
        assert isinstance(cheaper, dict)
        assert 100 * (plain["accuracy"] - cheaper["accuracy"]) <= points
