"""A running ``rtface run`` and a gallery that other processes change: seen at once, and the video goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.gallery.editing import NewRow
from rtface.gallery.portable import export_gallery
from tests.cli import people
from tests.cli.calls import CHECKOUT, Rtface
from tests.cli.conftest import written
from tests.gallery.samples import units

FPS = 15
PATIENCE_S = 60.0
"""For what has to happen at all; how soon is judged by the frames' own times."""
SOON_S = 1.0
PAUSE_S = 0.25
IMPORTED = 2_000
"""Rows in each of three files."""


@pytest.fixture(scope="session")
def moving_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of one face that sways a little and ends where it began."""
    photo = pytest.importorskip("skimage.data").astronaut()[:, :, ::-1]
    sway = [round(10 * np.sin(2 * np.pi * place / 60)) for place in range(60)]
    pictures = [np.ascontiguousarray(photo[20 + x // 2 : 260 + x // 2, 60 + x : 380 + x]) for x in sway]
    return written(tmp_path_factory.mktemp("live") / "face.mp4", pictures, (320, 240))


class Run:
    """A running program's lines, as they come. Times are seconds of the clock all processes share."""

    def __init__(self, process: subprocess.Popen[bytes], events: Path) -> None:
        self.process = process
        self._events = events
        self.frames: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.frames.append(json.loads(line))

    @property
    def events(self) -> list[dict[str, Any]]:
        """So far, without a line that is being written."""
        return [json.loads(line) for line in self._events.read_text(encoding="utf-8").split("\n")[:-1]]

    def until(self, what: Callable[[dict[str, Any]], bool], after: float = 0.0) -> float:
        """When the first frame made after this moment was told of which this is true."""
        until, place = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < until:
            for frame in self.frames[place:]:
                place += 1
                if told_at(frame) >= after and what(frame):
                    return told_at(frame)
            assert self.process.poll() is None, "it ended"
            time.sleep(0.02)
        raise AssertionError(f"{len(self.frames)} frames, and it never happened")

    def longest_pause(self, since: float, until: float) -> float:
        """Between two frames told in this time."""
        times = [told_at(frame) for frame in self.frames if since <= told_at(frame) <= until]
        assert len(times) > 5
        return max(after - before for before, after in pairwise(times))


def told_at(frame: dict[str, Any]) -> float:
    return float(frame["at"] + frame["timings"]["age"] / 1000)


def shows(name: str | None) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: [track["person"] for track in frame["tracks"]] == [name]


@contextmanager
def running(rtface: Rtface, film: Path) -> Iterator[Run]:
    """``rtface run`` on a film as a live camera; it must end politely when asked to."""
    events = rtface.gallery.with_name("events.jsonl")
    settings = ("--set", f"gallery={rtface.gallery}", "--set", "threads=1")
    files = ("--source", str(film), "--results", "-", "--events", str(events))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.live_run", str(FPS), *settings, "run", "--no-window", *files],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        run = Run(process, events)
        yield run
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def crowd(file: Path, *, seed: int) -> Path:
    """An export of 400 invented people with five pictures each."""
    with people.opened(file.with_suffix(".db")) as gallery:
        vectors = gallery.form.encode(units(100 + seed, IMPORTED, people.SIZE))
        with gallery.editing() as edit:
            gallery.model.adopt(gallery.database)
            for place, vector in enumerate(vectors):
                person = edit.person(f"person {seed}-{place // 5}", 0.0)
                edit.insert(person, NewRow(f"crowd-{seed}-{place}", vector, "x.jpg", 0.5, 0.0))
        export_gallery(gallery, file, crops=False)
    return file


def test_changes_of_other_programs_are_seen_at_once_without_a_pause(
    rtface: Rtface, models: None, ada: Path, moving_face: Path, tmp_path: Path
) -> None:
    people.enroll(rtface.gallery, "Somebody", 3, seed=1)
    crowds = [crowd(tmp_path / f"crowd{place}.gz", seed=place) for place in range(3)]
    with running(rtface, moving_face) as run:
        first = run.until(shows(None))
        begun = run.until(shows(None), first + 3)
        usual = run.longest_pause(first + 1, begun)
        soon, pause = SOON_S + 2 * usual, PAUSE_S + 2 * usual

        assert rtface("enroll", "Ada", ada).code == 0
        enrolled = time.monotonic()
        named = run.until(shows("Ada"))
        assert named - enrolled <= soon

        run.until(shows("Ada"), named + 1)
        assert rtface("gallery", "rename", "Ada", "Augusta").code == 0
        renamed = time.monotonic()
        assert run.until(shows("Augusta")) - renamed <= soon
        assert not [frame for frame in run.frames if told_at(frame) > named and shows(None)(frame)]

        pauses = []
        for file in crowds:
            importing = time.monotonic()
            assert rtface("gallery", "import", file).code == 0
            done = time.monotonic() + 1.5
            run.until(lambda _: True, done)
            pauses.append(run.longest_pause(importing, done))
        assert min(pauses) <= pause, "what pauses for an import pauses for every one, a busy machine does not"

        assert rtface("gallery", "remove", "Augusta").code == 0
        removed = time.monotonic()
        gone = run.until(shows(None), removed)
        assert gone - removed <= soon
        run.until(lambda _: True, gone + 1)
        assert not [frame for frame in run.frames if told_at(frame) > gone and not shows(None)(frame)]

    told = [(event["kind"], event["person"]) for event in run.events if event["kind"] in ("identified", "revoked")]
    assert told == [("identified", "Ada"), ("revoked", "Ada"), ("identified", "Augusta"), ("revoked", "Augusta")]
    revisions = [event["gallery_revision"] for event in run.events if event["kind"] in ("identified", "revoked")]
    assert revisions == sorted(revisions)
    assert [after - before for before, after in pairwise(revisions)][:2] == [1, 0], "renamed in one revision"
    assert revisions[3] - revisions[2] > 3 * IMPORTED, "the removal came after every imported row"
