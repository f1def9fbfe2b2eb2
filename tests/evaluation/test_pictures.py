"""Pictures to vectors: whose face counts, and nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.pictures import FaceReader, Subject, matrix, require, subject_of
from rtface.evaluation.template_cache import TemplateCache
from rtface.types import Image
from tests.fakes import FakeDetector, FakeEmbedder, detection, paint


def test_subject_is_the_middle_face_or_the_largest() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    middle, large = detection(130, 90, side=60), detection(0, 0, side=100)
    assert subject_of([large, middle], image, Subject.CENTRAL) is middle
    assert subject_of([middle, large], image, Subject.LARGEST) is large
    assert subject_of([], image, Subject.LARGEST) is None


def written(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(f"picture {number}".encode())
    return paths


def read(path: Path) -> Image:
    return paint({(100, 60): 20 + 20 * int(path.stem)})


def quiet(label: str, done: int, total: int) -> None: ...


def test_a_second_look_costs_nothing_until_the_recipe_changes(tmp_path: Path) -> None:
    paths, embedder = written(tmp_path, 5), FakeEmbedder()
    nobody, one = FakeDetector([[]]), FakeDetector([[detection(100, 60)]])
    with TemplateCache(tmp_path / "cache") as cache:
        first = FaceReader(one, embedder, read, cache=cache).embed(paths, quiet)
        again = FaceReader(nobody, embedder, read, cache=cache).embed(paths, quiet)
        assert nobody.calls == 0
        assert embedder.batches == [5]
        for path in paths:
            np.testing.assert_array_equal(first[path], again[path])
        other = FaceReader(nobody, embedder, read, cache=cache, recipe=("min_score 0.9",)).embed(paths, quiet)
        assert list(other.values()) == [None] * 5
        assert nobody.calls == 5
        FaceReader(nobody, embedder, read, cache=cache, recipe=("min_score 0.9",)).embed(paths, quiet)
        assert nobody.calls == 5  # a failure is remembered too


def test_only_new_pictures_are_looked_at(tmp_path: Path) -> None:
    paths, embedder = written(tmp_path, 5), FakeEmbedder()
    detector = FakeDetector([[detection(100, 60)]])
    with TemplateCache(tmp_path / "cache") as cache:
        reader = FaceReader(detector, embedder, read, cache=cache)
        reader.embed(paths[:2], quiet)
        vectors = reader.embed([paths[3], *paths[:2]], quiet)
    assert embedder.batches == [2, 1]
    assert all(vector is not None for vector in vectors.values())


def test_rows_without_a_vector_are_no_numbers() -> None:
    paths = [Path("a"), Path("b")]
    rows = matrix(paths, {paths[0]: None, paths[1]: np.ones(3, np.float32)})
    assert np.isnan(rows[0]).all()
    assert rows[1].tolist() == [1, 1, 1]
    with pytest.raises(EvaluationError, match="In none of the 2 pictures"):
        matrix(paths, dict.fromkeys(paths))


def test_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    paths = [*written(tmp_path, 1), tmp_path / "x.jpg", Path("y.jpg")]
    with pytest.raises(EvaluationError, match=r"2 of 3 pictures are missing in .*: x\.jpg, y\.jpg\. Mend it\."):
        require(paths, tmp_path, form="Mend it.")
