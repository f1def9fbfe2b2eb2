"""How commands end when they are stopped, nobody reads them, or there is no room: tidily, and without a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from rtface.sinks.jsonl import ResultLog
from tests.cli.calls import Rtface
from tests.cli.test_run import frames
from tests.sinks.results import result

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes are POSIX here")


@pytest.mark.parametrize("stops", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]])
def test_a_stopped_run_leaves_every_file_whole(
    rtface: Rtface, models: None, endless: Path, tmp_path: Path, stops: list[signal.Signals]
) -> None:
    words = ("--results", "-", "--events", tmp_path / "e.jsonl", "--record", tmp_path / "o.mp4")
    process = rtface.spawn("run", "--source", endless, "--no-window", *words)
    assert process.stdout is not None
    assert process.stderr is not None
    head = [process.stdout.readline() for _ in range(50)]
    for stop in stops:
        process.send_signal(stop)
    rest, err = process.stdout.read(), process.stderr.read()  # communicate() would lose what readline() read ahead
    assert process.wait(60) == 0
    told = [json.loads(line) for line in [*head, *rest.splitlines()]]
    assert [line["index"] for line in told] == list(range(len(told)))
    assert len(told) < 40_000
    assert frames(tmp_path / "o.mp4") in range(len(told) - 1, len(told) + 2)
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).read()[0]
    assert (tmp_path / "e.jsonl").exists()
    assert [path for path in tmp_path.iterdir() if ".part" in path.name] == []
    assert b"Stopped." in err
    assert b"frames" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize("command", ["identify", "run"])
def test_a_reader_that_goes_away_ends_it_quietly(knowing: Rtface, ada: Path, endless: Path, command: str) -> None:
    words = {"identify": (*[ada] * 50,), "run": ("--source", endless, "--no-window", "--results", "-")}[command]
    process = knowing.spawn(command, *words)
    assert process.stdout is not None
    assert process.stderr is not None
    json.loads(process.stdout.readline())
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(60) in (0, 1)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, the disk that is always full")
@pytest.mark.parametrize("words", [("gallery", "list", "--json"), ("gallery", "list"), ("models", "list")])
def test_a_full_disk_behind_standard_output_is_one_sentence(knowing: Rtface, words: tuple[str, ...]) -> None:
    with FULL.open("wb") as full:
        process = knowing.spawn(*words, stdout=full.fileno())
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.decode() == "rtface: It stopped at its output: No space left on device.\n"


def test_closed_standard_output_is_no_error(knowing: Rtface) -> None:
    command = [sys.executable, "-m", "rtface", "gallery", "list", "--json", "--set", f"gallery={knowing.gallery}"]
    ran = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_lines_on_a_full_disk_are_whole_lines(tmp_path: Path) -> None:
    """The disk is played by a limit on the file's size, which is met in the middle of a line as well."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = ResultLog(tmp_path / "r.jsonl")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError, match="What was written before stands"):
            for index in range(100):
                log.write(result(index))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
        log.close()
    data = (tmp_path / "r.jsonl").read_bytes()
    assert data.endswith(b"\n")
    assert [json.loads(line)["index"] for line in data.splitlines()] == list(range(data.count(b"\n")))
    assert 2 < data.count(b"\n") < 100


def test_a_recording_without_room_leaves_nothing_behind(
    rtface: Rtface, models: None, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.sinks.video.LEAST_FREE_BYTES", 2**62)
    ended = rtface("run", "--no-window", "--source", film, "--record", tmp_path / "o.mp4")
    assert ended.code == 1
    assert "its disk is nearly full. Make room" in ended.err
    assert [path for path in tmp_path.iterdir() if path.suffix == ".mp4"] == []
