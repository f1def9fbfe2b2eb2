"""Settings on the command line: where they may stand, which wins, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import Rtface


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("galery=x", "Did you mean 'gallery'"),
        ("colour=x", "Known: detector"),
        ("k=many", "k = 'many' (--set)"),
        ("k=0", "greater than or equal to 1"),
        ("min_score=3", "less than or equal to 1"),
        ("max_distance=-1", "greater than or equal to 0"),
        ("max_distance=nan", "max_distance"),
        ("index=fast", "'auto', 'exact', 'hnsw' or 'database'"),
        ("detector=yunett", "There is no detector 'yunett'. Did you mean 'yunet'"),
        ("detector=facenet", "There is no detector 'facenet'"),
    ],
)
def test_impossible_setting_is_told_with_the_possible_ones(rtface: Rtface, ada: Path, flag: str, told: str) -> None:
    ended = rtface("verify", ada, ada, "--set", flag)
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err
    assert ended.err.count("\n") == 1


def test_unknown_embedder_is_told(rtface: Rtface) -> None:
    ended = rtface("gallery", "list", "--set", "embedder=sfac")
    assert ended.code == 1
    assert "There is no embedder 'sfac'. Did you mean 'sface'" in ended.err


def test_unknown_backend_is_told(rtface: Rtface, models: None, ada: Path) -> None:
    ended = rtface("verify", ada, ada, "--set", "backend=onnx")
    assert ended.code == 1
    assert "There is no backend 'onnx'" in ended.err
    assert "onnxruntime" in ended.err


def test_unknown_model_is_told(rtface: Rtface) -> None:
    for verb in ("path", "fetch", "verify"):
        ended = rtface("models", verb, "facenett")
        assert ended.code == 1
        assert "There is no model 'facenett'. Did you mean 'facenet'" in ended.err


def test_settings_may_stand_before_the_command_and_the_last_one_wins(rtface: Rtface, tmp_path: Path) -> None:
    for words in (
        ("--set", f"gallery={tmp_path / 'b.db'}", "gallery", "list"),
        ("gallery", "--set", f"gallery={tmp_path / 'b.db'}", "list"),
        ("gallery", "list", "--set", f"gallery={tmp_path / 'b.db'}"),
        ("--set", "gallery=a.db", "gallery", "list", "--set", f"gallery={tmp_path / 'b.db'}"),
    ):
        ended = rtface(*words)
        assert ended.code == 1
        assert str(tmp_path / "b.db") in ended.err


def test_settings_come_from_a_file_and_from_the_environment(
    rtface: Rtface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.toml").write_text('index = "fast"\n')
    for words in (("gallery", "list", "--config", tmp_path / "my.toml"), ("--config", tmp_path / "my.toml", "doctor")):
        assert "my.toml" in rtface(*words).err
    monkeypatch.setenv("RTFACE_K", "zero")
    assert "k = 'zero' (environment)" in rtface("gallery", "list").err


@pytest.mark.parametrize(
    ("content", "told"), [(None, "does not exist"), ("k = = 3", "cannot be read"), ("kk = 3", "kk")]
)
def test_bad_settings_file_is_named(rtface: Rtface, tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "my.toml"
    if content is not None:
        file.write_text(content)
    ended = rtface("identify", "x.jpg", "--config", file)
    assert ended.code == 1
    assert "my.toml" in ended.err
    assert told in ended.err


def test_misspelt_variable_is_told_and_a_stranger_is_not(rtface: Rtface) -> None:
    ended = rtface.apart("gallery", "list", environment={"RTFACE_GALERY": "x", "RTFACE_TEST_KILLS": "1"})
    assert "RTFACE_GALERY in the environment is no setting. Did you mean RTFACE_GALLERY?" in ended.err
    assert "KILLS" not in ended.err
