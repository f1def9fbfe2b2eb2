"""Why somebody got a name, told from a file of events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtface.gallery.evidence import ballot, decide
from rtface.gallery.store import open_gallery
from rtface.models.catalogue import load
from rtface.sinks.jsonl import EventLog
from rtface.types import Event, EventKind, Identity, Rules
from tests.cli.calls import Rtface
from tests.gallery.samples import enroll, units
from tests.sinks.results import result

RULES = Rules(5, 0.4, 0.0, 3, 0.001, 0.004)


@pytest.fixture
def told(rtface: Rtface, tmp_path: Path) -> Path:
    """Ada appeared, was identified, and the name was withdrawn again."""
    spec = load(tmp_path)["facenet"]
    size = spec.embedding_size
    with open_gallery(rtface.gallery, model="facenet", fingerprint=spec.fingerprint, size=size, create=True) as gallery:
        enroll(gallery, "Ada", units(1, 2, size))
        near = gallery.search(units(1, 1, size), 5)[0]
        revision = gallery.revision
    looks = [ballot(near, limit=4.0, enrolled=[("Ada", 2)], rules=RULES, revision=revision)] * 3
    misses = [ballot([], limit=4.0, enrolled=[], rules=RULES, revision=revision)] * 12
    ada, model = Identity("Ada", 0.0, 1.0), f"facenet:{spec.fingerprint}"
    grounds = (1.5, "door", "onnxruntime", model, revision)
    named, lost = (decide(seen, RULES, track_id=7) for seen in (looks, looks + misses))
    events = (
        Event(EventKind.APPEARED, 7, None, *grounds, "f00d-1"),
        Event(EventKind.IDENTIFIED, 7, ada, *grounds, "f00d-2", named),
        Event(EventKind.REVOKED, 7, ada, *grounds, "f00d-3", lost),
        Event(EventKind.LEFT, 7, None, *grounds, "f00d-4"),
    )
    log = EventLog(tmp_path / "events.jsonl")
    log.write(result(events=events))
    log.close()
    return tmp_path / "events.jsonl"


def test_identified_is_told_in_words_with_its_pictures_and_decided_again(rtface: Rtface, told: Path) -> None:
    ended = rtface("explain", "f00d-2", "--events", told)
    assert ended.code == 0
    assert "identified: Ada, track 7 of door" in ended.out
    assert "3 looks: 3 for Ada" in ended.out
    assert "Verdict: Ada" in ended.out
    assert "picture 1 (Ada), in 3 looks: /pictures/Ada-0.jpg" in ended.out
    assert "Decided again: the same." in ended.out


def test_last_decision_is_the_default_and_a_line_number_will_do(rtface: Rtface, told: Path) -> None:
    (last,) = rtface("explain", "--events", told, "--json").records
    assert last["event"]["id"] == "f00d-3"  # type: ignore[index]
    (second,) = rtface("explain", "2", "--events", told, "--json").records
    assert second["event"]["id"] == "f00d-2"  # type: ignore[index]
    assert (second["agrees"], second["differences"], second["changed"]) == (True, [], [])


def test_what_changed_in_the_gallery_is_told(rtface: Rtface, told: Path) -> None:
    assert rtface("gallery", "rename", "Ada", "Grace").code == 0
    ended = rtface("explain", "f00d-2", "--events", told)
    assert "since then: picture 1 of Ada now belongs to Grace" in ended.out


def test_without_a_gallery_the_decision_is_told_all_the_same(rtface: Rtface, told: Path, tmp_path: Path) -> None:
    ended = rtface("explain", "f00d-2", "--events", told, gallery=tmp_path / "none.db")
    assert ended.code == 0
    assert "there is no gallery here" in ended.out
    assert not (tmp_path / "none.db").exists()


def test_record_that_comes_out_otherwise_is_exit_code_one(rtface: Rtface, told: Path) -> None:
    lines = told.read_text().splitlines()
    event = json.loads(lines[1])
    event["decision"]["ballots"][0]["neighbors"] = []
    told.write_text("\n".join([lines[0], json.dumps(event), *lines[2:]]))
    ended = rtface("explain", "f00d-2", "--events", told)
    assert ended.code == 1
    assert "look 1: the vote is for nobody, the record says Ada" in ended.out


def test_event_that_names_another_than_its_decision_is_found_out(rtface: Rtface, told: Path) -> None:
    told.write_text(told.read_text().replace('"kind": "identified", "at": 1.5', '"kind": "revoked", "at": 1.5', 1))
    assert "its decision gives it" in rtface("explain", "f00d-2", "--events", told).out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("f00d-9", "--events", "events.jsonl"), "no event 'f00d-9'"),
        (("f00d-1", "--events", "events.jsonl"), "rests on no decision"),
        (("--events", "absent.jsonl"), "cannot be read"),
        (("--events", "words.txt"), "line 1 is no event"),
        (("--events", "empty.jsonl"), "nobody identified or revoked"),
    ],
)
def test_what_cannot_be_explained_is_said(
    rtface: Rtface, told: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], hint: str
) -> None:
    monkeypatch.chdir(told.parent)
    Path("words.txt").write_text("good morning\n")
    Path("empty.jsonl").write_text("")
    ended = rtface("explain", *words)
    assert ended.code == 1
    assert hint in ended.err


def test_decision_of_another_model_names_no_picture(rtface: Rtface, told: Path) -> None:
    told.write_text(told.read_text().replace("facenet:", "sface:"))
    assert "the gallery at hand is of facenet" in rtface("explain", "f00d-2", "--events", told).out


def test_names_in_the_file_are_warned_of() -> None:
    from rtface.cli.explain import command

    assert "The file holds names" in (command.help or "")
