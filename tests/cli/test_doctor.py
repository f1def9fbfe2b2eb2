"""``doctor``, ``models`` and ``bench``: what they say of this machine, and that looking changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rtface.config import load_config
from tests.cli.calls import Rtface


def test_doctor_tells_what_is_here_and_makes_no_gallery(rtface: Rtface, models: None) -> None:
    ended = rtface("doctor", "--json")
    assert ended.code == 0
    (report,) = ended.records
    assert set(report) == {"ok", "verdict", "findings"}
    assert report["ok"] is True
    findings = report["findings"]
    assert isinstance(findings, list)
    assert all(set(finding) == {"subject", "ok", "detail"} for finding in findings)
    told = {finding["subject"]: finding for finding in findings}
    assert {"rtface", "onnxruntime", "detector", "embedder", "gallery", "window"} <= set(told)
    assert "none yet" in told["gallery"]["detail"]
    assert str(rtface.gallery) in told["gallery"]["detail"]
    assert not rtface.gallery.exists()


def test_doctor_looks_into_the_gallery_there_is(knowing: Rtface) -> None:
    ended = knowing("doctor")
    assert ended.code == 0
    assert "1 people, 1 rows, whole" in ended.out
    assert "Ready: rtface run --camera 0" in ended.out


def test_doctor_marks_what_is_wrong_and_only_that(knowing: Rtface, models: None) -> None:
    knowing.gallery.write_text("spoilt")
    ended = knowing("doctor", "--json")
    assert ended.code == 1
    findings = ended.records[0]["findings"]
    assert isinstance(findings, list)
    assert [finding["subject"] for finding in findings if finding["ok"] is False] == ["gallery"]


def test_models_list_has_a_line_a_model(rtface: Rtface) -> None:
    records = rtface("models", "list", "--json").records
    assert {"facenet", "sface", "yunet"} <= {str(record["model"]) for record in records}
    assert all(set(record) >= {"model", "task", "status", "licence", "title"} for record in records)
    assert "facenet" in rtface("models", "list").out


def test_models_path_names_files_that_are_there(rtface: Rtface, models: None) -> None:
    ended = rtface("models", "path", "yunet", "facenet")
    assert ended.code == 0
    paths = [Path(line) for line in ended.out.splitlines()]
    assert [path.name for path in paths] == ["yunet.onnx", "facenet.int8.onnx"]
    assert all(path.is_file() for path in paths)


def test_a_damaged_model_is_found_and_the_cure_told(rtface: Rtface, models: None, tmp_path: Path) -> None:
    shutil.copytree(load_config().engines_dir / "yunet", tmp_path / "yunet")
    here = ("--set", f"engines_dir={tmp_path}", "--set", "offline=true")
    assert rtface("models", "verify", "yunet", *here).code == 0
    graph = tmp_path / "yunet" / "yunet.onnx"
    data = graph.read_bytes()
    graph.write_bytes(bytes(len(data)))
    ended = rtface("models", "verify", "yunet", *here)
    assert ended.code == 1
    assert "rtface models fetch yunet --force" in ended.err
    report = rtface("doctor", "--json", *here)
    assert report.code == 1


def test_absent_models_offline_are_told_with_what_to_copy_where(rtface: Rtface, ada: Path, tmp_path: Path) -> None:
    here = ("--set", f"engines_dir={tmp_path / 'engines'}", "--set", "offline=true")
    for words in (("verify", ada, ada), ("models", "path"), ("models", "fetch")):
        ended = rtface(*words, *here)
        assert (ended.code, ended.out) == (1, "")
        assert "Without network, copy the file with sha256" in ended.err
        assert str(tmp_path / "engines") in ended.err
    assert rtface("models", "verify", *here).code == 1


@pytest.mark.parametrize("command", [("verify",), ("models", "fetch")])
def test_engines_dir_that_cannot_be_made_is_told(
    rtface: Rtface, ada: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    pictures = (ada, ada) if command == ("verify",) else ()
    ended = rtface(*command, *pictures, "--set", f"engines_dir={tmp_path / 'file' / 'engines'}")
    assert ended.code == 1
    assert "cannot be written into" in ended.err
    assert "--set engines_dir=DIR" in ended.err


def test_bench_prints_the_keys_others_script_against(rtface: Rtface, models: None, film: Path) -> None:
    ended = rtface("bench", "--source", film, "--max-frames", "10", "--json")
    assert ended.code == 0
    (report,) = ended.records
    assert set(report) >= {"fps", "frames", "dropped", "stages_ms", "frame_age_ms", "peak_rss_mb"}
    assert (report["frames"], report["dropped"]) == (10, 0)
    stages = report["stages_ms"]
    assert isinstance(stages, dict)
    assert "detect" in stages
    for times in (*stages.values(), report["frame_age_ms"]):
        assert set(times) == {"p50", "p95", "p99"}
    assert not rtface.gallery.exists()
