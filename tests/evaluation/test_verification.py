"""Reports: figures from vectors to words, pages that show the worst pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.identification import identify, roles
from rtface.evaluation.pair_list import PairList
from rtface.evaluation.verification import Model, Verification, in_words, of_list, of_people, page
from rtface.types import Image
from tests.evaluation.spheres import every_pair, people_on_a_sphere

MODEL = Model("fake", "0123", "none", "square", 1.0)
ROWS, PEOPLE = people_on_a_sphere(20, 120)
FILES = [Path(f"{number:03d}.jpg") for number in range(120)]


def found(*, failed: int = 0) -> Verification:
    vectors = {path: None if number < failed else ROWS[number] for number, path in enumerate(FILES)}
    return of_people("folders", MODEL, FILES, PEOPLE, vectors, resamples=30)


def test_own_distance_is_counted_on_all_pairs() -> None:
    same, different = every_pair(ROWS, PEOPLE)
    own = found().at_limit
    assert own is not None
    assert own.val == pytest.approx(np.mean(same <= 1.0))
    assert own.far == pytest.approx(np.mean(different <= 1.0))


def test_json_and_words_tell_failures_and_intervals() -> None:
    report = found(failed=2)
    read = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert (read["failed_to_acquire"], read["failed_files"]) == (2, ["000.jpg", "001.jpg"])
    assert set(read["val_interval"]) == set(read["val_at_far"])
    words = dict(in_words(report))
    assert words["failures to acquire"].startswith("2 of 120")
    assert "[" in words["VAL at FAR 1e-2"]
    assert words["pairs"].startswith(f"{read['same_pairs']} same")


def test_one_to_many_is_told_in_words() -> None:
    report = replace(found(), identification=tuple(identify(ROWS, PEOPLE, roles(PEOPLE, pictures=1), sizes=(5,))))
    words = dict(in_words(report))
    assert "1:N, 5 people" in words
    assert "1:N, 5 people: FNIR at FPIR 1e-1" in words
    assert len(json.loads(json.dumps(report.as_json()))["identification"]) == 2


def test_a_list_has_accuracy_over_its_folds() -> None:
    rng = np.random.default_rng(3)
    pairs = rng.permuted(np.tile(np.arange(120), (200, 1)), axis=1)[:, :2]
    same = PEOPLE[pairs[:, 0]] == PEOPLE[pairs[:, 1]]
    pairs, same = np.concatenate((pairs, pairs[same])), np.concatenate((same, same[same]))
    listed = PairList(tuple(FILES), pairs, same, np.arange(len(pairs)) % 5, PEOPLE, 0)
    report = of_list("pairs", MODEL, listed, dict(zip(FILES, ROWS, strict=True)), resamples=30)
    assert report.accuracy is not None
    assert report.accuracy.folds == 5
    assert report.accuracy.interval is not None
    assert report.accuracy.interval[0] <= report.accuracy.mean <= report.accuracy.interval[1]
    assert report.figures.same_pairs == same.sum()


def test_the_page_shows_the_nearest_different_and_the_farthest_same_pairs() -> None:
    pytest.importorskip("matplotlib")
    shown: list[Path] = []

    def face_of(path: Path) -> Image | None:
        shown.append(path)
        return None

    made = page(found(failed=1), "Title", face_of)
    (_, nearest), (_, farthest) = made.pairs
    same, different = every_pair(ROWS[1:], PEOPLE[1:])
    assert [pair.distance for pair in nearest] == pytest.approx(different[:12].tolist(), abs=1e-5)
    assert [pair.distance for pair in farthest] == pytest.approx(same[::-1][:12].tolist(), abs=1e-5)
    for pair, alike in ((nearest[0], False), (farthest[0], True)):
        first, second = (PEOPLE[int(Path(name).stem)] for name in pair.names)
        assert (first == second) == alike
    assert len(shown) == 48
    assert list(made.failed) == ["000.jpg"]
    assert [chart.svg[:5] for chart in made.charts] == [b"<?xml"] * 2


def test_nothing_seen_is_nothing_measured() -> None:
    with pytest.raises(EvaluationError, match="In none of the 120"):
        found(failed=120)
