"""Real clips, end to end: the right name, never a wrong one."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtface.enrollment import enroll_from_source
from rtface.sources import open_source
from rtface.system import System
from rtface.types import EventKind, FrameResult
from tests.shared import shared, system


def named(results: list[FrameResult]) -> Counter[str]:
    """Frames by the names shown in them."""
    return Counter(
        track.identity.person
        for result in results
        for track in result.tracks
        if track.identity and track.identity.person
    )


def announced(results: list[FrameResult]) -> set[str | None]:
    return {
        event.identity.person
        for result in results
        for event in result.events
        if event.kind is EventKind.IDENTIFIED and event.identity
    }


@pytest.fixture(scope="module", params=["facenet", "sface"])
def embedder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Path]]:
    folder = shared("data", "videos", "intel", "asl")
    people: dict[str, list[Path]] = {}
    with (folder / "labels.csv").open() as stream:
        for row in csv.DictReader(stream):
            people.setdefault(row["person"], []).append(folder / f"{row['clip']}.mkv")
    return people


@pytest.fixture(scope="module")
def signers(embedder: str, clips: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everybody enrolled from the first clip of theirs."""
    with system(tmp_path_factory.mktemp("asl") / "gallery.db", {"embedder": embedder}) as made:
        for person, files in clips.items():
            outcomes = list(enroll_from_source(made.enroller(), person, open_source(str(files[0])), 10))
            assert any(outcome.accepted for outcome in outcomes), outcomes
        yield made


def test_signers_get_their_own_name_and_no_other(signers: System, clips: dict[str, list[Path]]) -> None:
    wrong, missed = [], []
    for person, files in clips.items():
        for clip in files[1:]:
            results = list(signers.stream(clip))
            wrong += [(clip.stem, name) for name in announced(results) - {person}]
            counts = named(results)
            if not counts or counts.most_common(1)[0][0] != person:
                missed.append((clip.stem, person, counts))
    assert not wrong
    assert not missed


@pytest.mark.parametrize("clip", ["videos/hamilton_short.mp4", "videos/intel/asl/again.mkv"])
def test_with_an_empty_gallery_nobody_is_named(clip: str, embedder: str, tmp_path: Path) -> None:
    path = shared("data", *clip.split("/"))
    with system(tmp_path / "gallery.db", {"embedder": embedder}) as made:
        results = list(made.stream(path))
    assert len(results) > 50
    assert not named(results)
    assert not announced(results)


@pytest.mark.parametrize(("rate", "new_face_s"), [(0.001, 0.1), (0.01, 0.1), (0.01, 0.0)])
def test_nobody_but_the_enrolled_men_of_hamilton_is_named(
    embedder: str, rate: float, new_face_s: float, tmp_path: Path
) -> None:
    """The singer faces the camera for five seconds. The pianist is in one dark shot, 25 px wide, at the edge of the
    quality that is looked at: only FaceNet knows him, at the looser rate and looking everywhere in every frame."""
    gallery = shared("data", "videos", "hamilton_gallery")
    settings = {"embedder": embedder, "false_identification_rate": rate, "new_face_s": new_face_s}
    with system(tmp_path / "gallery.db", settings) as made:
        people = {path.stem: made.enroll(path.stem, path) for path in sorted(gallery.glob("*.png"))}
        assert all(outcome.accepted for outcomes in people.values() for outcome in outcomes), people
        results = list(made.stream(shared("data", "videos", "hamilton_short.mp4")))
    counts = named(results)
    singer, pianist = "lin-manuel-miranda", "alex-lacamoire"
    assert counts[singer] > 100
    known = (embedder, rate, new_face_s) == ("facenet", 0.01, 0.0)
    assert set(counts) == ({singer, pianist} if known else {singer})
