"""Several processes, and processes that die."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.gallery import program
from tests.gallery.samples import enroll, gallery_at, traces, units

KILLS = int(os.environ.get("RTFACE_TEST_KILLS", "30"))
"""How many times a writing process is killed; hundreds take minutes."""


def test_killed_enrolment_loses_nothing_it_reported(tmp_path: Path) -> None:
    path, rng = tmp_path / "g.db", np.random.default_rng(0)
    reported: set[str] = set()
    for kill in range(KILLS):
        with program.running(program.add_forever, path, kill) as (process, pipe):
            for _ in range(rng.integers(0, 12)):
                reported.add(pipe.recv())
            pipe.poll(float(rng.uniform(0, 0.004)))
            process.kill()
            process.join()
            reported.update(program.everything_said(pipe))
        with gallery_at(path) as gallery:
            assert gallery.check() == []
            people = gallery.people()
            kept = {picture.sha256 for person in people for picture in gallery.pictures(person.name)}
            assert reported <= kept, f"kill {kill} lost {sorted(reported - kept)}"
            assert len(kept - reported) <= kill + 1, "more than the one picture under way at each kill"
            assert all(person.pictures > 0 for person in people)
            assert len(gallery.search(units(0, 1), 10_000)[0]) == len(kept)
    assert len(reported) > KILLS


def test_killed_removal_leaves_the_person_whole_or_no_trace(tmp_path: Path) -> None:
    path, rng = tmp_path / "g.db", np.random.default_rng(1)
    asked_in_all = gone = 0
    for kill in range(KILLS // 3):
        said: list[str] = []
        with program.running(program.live_forever, path, kill) as (process, pipe):
            while sum(line.startswith("-") for line in said) < 1 + kill % 3:
                said.append(pipe.recv())
            pipe.poll(float(rng.uniform(0, 0.004)))
            process.kill()
            process.join()
            said += program.everything_said(pipe)
        with gallery_at(path, index="hnsw") as gallery:
            assert gallery.check() == []
            here = set(gallery.counts())
            gallery.search(units(0, 1), 1)
        removed = {line[1:] for line in said if line[0] == "="}
        asked = {line[1:] for line in said if line[0] == "-"}
        added = {line[1:] for line in said if line[0] == "+"}
        assert not removed & here
        assert added - asked <= here
        asked_in_all += len(asked)
        for name in asked - here:
            assert traces(path, units(int(name.split("-")[1]), 1)[0]) == 0
            gone += 1
        with gallery_at(path) as gallery:
            for name in here:
                gallery.remove(name)
    # Of the removals asked for at most the last before each kill is not done.
    assert gone >= asked_in_all - KILLS // 3 > 0


def test_two_programs_enrol_the_same_person_at_once(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    barrier = program.CONTEXT.Barrier(2)
    with (
        program.running(program.add_some, path, barrier, "a") as (_, first),
        program.running(program.add_some, path, barrier, "b") as (_, second),
    ):
        assert (first.recv(), second.recv()) == ("done", "done")
    with gallery_at(path) as gallery:
        assert [(person.name, person.pictures) for person in gallery.people()] == [("Ada", 35)]
        assert gallery.check() == []


@pytest.mark.parametrize("attempt", range(8))
def test_two_programs_make_the_gallery_at_once(tmp_path: Path, attempt: int) -> None:
    """SQLite does not wait where two processes turn a new file to write-ahead logging; seen in one of 60 attempts."""
    path, barrier = tmp_path / "g.db", program.CONTEXT.Barrier(2)
    with (
        program.running(program.make, path, barrier) as (_, first),
        program.running(program.make, path, barrier) as (_, second),
    ):
        assert (first.recv(), second.recv()) == (0, 0)


def test_reader_follows_a_writer_without_ever_failing(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    gallery_at(path).close()
    with program.running(program.add_forever, path, 3) as (_, pipe), gallery_at(path) as reader:
        rows, revision = 0, reader.revision
        while rows < 100:
            pipe.recv()
            reader.refresh()
            assert len(reader.search(units(1, 1), 1000)[0]) == len(reader) >= rows
            assert reader.revision >= revision
            rows, revision = len(reader), reader.revision


def test_full_disk_keeps_what_was_reported(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits on file size are POSIX")
    path = tmp_path / "g.db"
    with program.running(program.fill_small_disk, path, 2_000_000) as (process, pipe):
        process.join(20)
        *reported, last = program.everything_said(pipe)
    assert last.startswith("! The gallery") or last.startswith("! No room")
    assert len(reported) > 10
    with gallery_at(path) as gallery:
        assert {picture.sha256 for picture in gallery.pictures("Ada")} == set(reported)
        assert gallery.check() == []
        enroll(gallery, "Bob", units(9, 1))
