from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rtface.errors import SinkError
from rtface.sinks.jsonl import EventLog, ResultLog
from rtface.types import EventKind, FrameResult, Identity
from tests.sinks.results import ADA, NOBODY, event, result, track

FULL = Path("/dev/full")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_results_have_the_keys_others_script_against(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "r.jsonl")
    assert log.write(result(4, track(1, ADA), track(2, NOBODY), track(3, None)))
    log.close()
    box = [10.0, 0.0, 40.3, 50.0]
    assert lines(tmp_path / "r.jsonl") == [
        {
            "source": "film",
            "index": 4,
            "at": 0.16,
            "tracks": [
                {"id": 1, "state": "confirmed", "box": box, "person": "Ada", "distance": 0.6235, "share": 0.833},
                {"id": 2, "state": "confirmed", "box": box, "person": None, "distance": None, "share": 0.0},
                {"id": 3, "state": "confirmed", "box": box, "person": None, "distance": None, "share": None},
            ],
            "timings": {"detect": 4.99, "age": 12.0},
            "dropped": 3,
        }
    ]
    assert "-0.0" not in (tmp_path / "r.jsonl").read_text()


def test_events_have_the_keys_others_script_against(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    log.write(result(events=(event(EventKind.IDENTIFIED, ADA), event(EventKind.SOURCE_LOST))))
    log.write(result())
    log.close()
    same = {"id": "a1-7", "at": 1.2346, "source": "film", "backend": "onnxruntime", "model": "facenet:1f2e3d4c"}
    assert lines(tmp_path / "e.jsonl") == [
        {**same, "kind": "identified", "track": 7, "person": "Ada", "distance": 0.6235, "share": 0.833}
        | {"gallery_revision": 12},
        {**same, "kind": "source_lost", "track": None, "person": None, "distance": None, "share": None}
        | {"gallery_revision": 12},
    ]


def test_only_live_sources_tell_the_time_of_day(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl", live={"door"}, now=lambda: 1_700_000_100.0, monotonic=lambda: 600.0)
    log.write(result(events=(event(EventKind.LEFT, at=590.5, source="door"), event(EventKind.LEFT))))
    log.close()
    door, film = lines(tmp_path / "e.jsonl")
    moment = datetime.fromtimestamp(1_700_000_100 - 9.5, UTC)
    assert datetime.fromisoformat(str(door["time"])) == moment
    assert str(door["time"]) == "2023-11-14T22:14:50.500Z"  # date -u -d @1700000090.5
    assert "time" not in film


def test_the_same_results_twice_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        log = ResultLog(tmp_path / name)
        for index in range(20):
            log.write(result(index, track(1, ADA)))
        log.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_are_written_as_they_are_and_broken_file_names_escaped(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "r.jsonl")
    log.write(result(0, track(1, Identity("김민수", 0.5, 1.0)), source="film\udcff.mp4"))
    log.close()
    data = (tmp_path / "r.jsonl").read_bytes()
    assert "김민수".encode() in data
    assert json.loads(data)["source"] == "film\udcff.mp4"


def test_every_line_is_there_the_moment_it_is_written(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "r.jsonl")
    for index in range(3):
        log.write(result(index))
        assert len(lines(tmp_path / "r.jsonl")) == index + 1
    log.close()


def test_a_frame_told_before_gives_no_second_line_but_its_events_do(tmp_path: Path) -> None:
    again = result(5, events=(event(EventKind.LEFT),), repeated=True)
    results, events = ResultLog(tmp_path / "r"), EventLog(tmp_path / "e")
    assert results.write(again)
    assert events.write(again)
    results.close()
    events.close()
    assert lines(tmp_path / "r") == []
    assert len(lines(tmp_path / "e")) == 1


def test_standard_output_is_a_dash_and_stays_open(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print("before", flush=False)
    log = ResultLog("-")
    log.write(result())
    log.close()
    print("after", flush=True)
    first, second, third = capfdbinary.readouterr().out.splitlines()
    assert (first, third) == (b"before", b"after")
    assert json.loads(second)["index"] == 0


SCRIPT = """
from rtface.sinks.jsonl import open
from tests.sinks.results import result
log = open("-")
count = 0
while log.write(result(count)):
    count += 1
    assert count < 100_000
log.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_a_reader_that_goes_away_asks_to_stop_and_nothing_is_complained_about() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(30) == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, the disk that is always full")
def test_full_disk_is_told() -> None:
    log = ResultLog(FULL)
    with pytest.raises(SinkError, match=r"/dev/full cannot be written: No space left"):
        log.write(result())


def test_missing_folder_is_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"nowhere.*Name a file in a folder you may write to"):
        ResultLog(tmp_path / "nowhere" / "r.jsonl")


def test_a_result_without_events_writes_no_event(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    shown: FrameResult = result(0, track(1, ADA))
    assert log.write(shown)
    log.close()
    assert (tmp_path / "e.jsonl").read_bytes() == b""
