"""The cache of embeddings: found again, private, bounded, gone when it is cleared."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation import template_cache
from rtface.evaluation.template_cache import TemplateCache, cache_folder, clear, digest_of, key_of

ROW = np.array([0.6, -0.8], np.float32)


def test_what_is_put_is_found_by_the_next_run(tmp_path: Path) -> None:
    with TemplateCache(tmp_path / "c") as cache:
        cache.put(b"ada", ROW)
        cache.put(b"nobody", None)
    with TemplateCache(tmp_path / "c") as cache:
        ada, nobody = cache.get(b"ada"), cache.get(b"nobody")
        assert ada is not None
        assert nobody is not None
        assert ada.vector is not None
        np.testing.assert_array_equal(ada.vector, ROW)
        assert nobody.vector is None
        assert cache.get(b"grace") is None
        assert cache.size().templates == 2


def test_two_evaluations_may_use_it_at_once(tmp_path: Path) -> None:
    with TemplateCache(tmp_path) as one, TemplateCache(tmp_path) as other:
        for number in range(template_cache.WAITING):
            one.put(f"one {number}".encode(), ROW)
            other.put(f"other {number}".encode(), ROW)
        assert one.get(b"other 0") is not None
        assert other.get(b"one 0") is not None


@pytest.mark.skipif(os.name != "posix", reason="rights are told in another way there")
def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir(mode=0o755)
    TemplateCache(tmp_path / "c").close()
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "c" / template_cache.FILE).stat().st_mode) == 0o600


def test_a_full_cache_loses_what_was_not_asked_for(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 512)).astype(np.float32)
    for start in (0, 300):
        with TemplateCache(tmp_path) as cache:
            for number in range(start, start + 300):
                cache.put(f"{number}".encode(), rows[number])
    with TemplateCache(tmp_path, most_bytes=900_000) as cache:
        assert all(cache.get(f"{number}".encode()) for number in range(100))
    with TemplateCache(tmp_path, most_bytes=900_000) as cache:
        assert cache.size().bytes <= 900_000
        kept = [number for number in range(600) if cache.get(f"{number}".encode())]
    assert 250 < len(kept) < 420
    assert set(range(100)) <= set(kept)
    assert sum(100 <= number < 300 for number in kept) == 0


def test_what_is_removed_is_not_left_in_the_file(tmp_path: Path) -> None:
    marked = np.frombuffer(b"ADA LOVELACE IS HERE" * 100, np.float32)
    with TemplateCache(tmp_path) as cache:
        cache.put(b"ada", marked)
    assert b"LOVELACE" in (tmp_path / template_cache.FILE).read_bytes()
    with TemplateCache(tmp_path, most_bytes=1) as cache:
        pass
    assert b"LOVELACE" not in (tmp_path / template_cache.FILE).read_bytes()


def test_cleared_it_is_gone(tmp_path: Path) -> None:
    TemplateCache(tmp_path).close()
    assert clear(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not clear(tmp_path)


def test_a_broken_cache_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / template_cache.FILE).write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(EvaluationError, match=r"--no-cache.*rtface evaluate cache --clear"):
        TemplateCache(tmp_path)


def test_a_key_changes_with_the_picture_and_with_each_part_of_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"one")
    one = digest_of(file)
    file.write_bytes(b"two")
    two = digest_of(file)
    assert one is not None
    assert two is not None
    keys = {key_of(one, ("a", "b")), key_of(two, ("a", "b")), key_of(one, ("ab",)), key_of(one, ("a", "c"))}
    assert len(keys) == 4
    assert digest_of(tmp_path / "absent.jpg") is None


def test_it_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert cache_folder() == tmp_path / "rtface" / "evaluation"
