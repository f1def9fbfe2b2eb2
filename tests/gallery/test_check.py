import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rtface.gallery.check import find_problems, index_problems
from rtface.gallery.index import ExactIndex, Index
from rtface.gallery.sqlite import open_database
from rtface.gallery.vectors import Float32
from tests.gallery.samples import SIZE, enroll, gallery_at, units


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with gallery_at(tmp_path / "g.db") as gallery:
        enroll(gallery, "Ada", units(1, 4))
        enroll(gallery, "Bob", units(2, 4))
    return tmp_path / "g.db"


def damage(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM pictures WHERE id = 7", "belongs to nothing in pictures"),
        ("DELETE FROM people WHERE id = 1", "belongs to nothing in people"),
        ("DELETE FROM embeddings WHERE picture_id = 2", "Ada: the picture /pictures/Ada-1.jpg has no embedding"),
        ("INSERT INTO people (name, created_at) VALUES ('Cyd', 0)", "Cyd has no pictures"),
        ("UPDATE embeddings SET vector = x'00' WHERE picture_id = 5", "Bob: the embedding of row 5 has not 32 numbers"),
        ("UPDATE embeddings SET vector = 7 WHERE picture_id = 5", "Bob: the embedding of row 5 has not 32 numbers"),
        ("UPDATE embeddings SET vector = zeroblob(128) WHERE picture_id = 5", "row 5 is not a unit vector"),
        (f"UPDATE embeddings SET vector = x'{'0000C07F' * 32}' WHERE picture_id = 5", "row 5 is not a unit vector"),
    ],
)
def test_each_kind_of_damage_is_found(path: Path, statement: str, problem: str) -> None:
    damage(path, statement)
    with gallery_at(path) as gallery:
        problems = gallery.check()
    assert any(problem in line for line in problems), problems


def test_lost_record_of_the_gallery_is_told(path: Path) -> None:
    database = open_database(path, create=False)
    damage(path, "DELETE FROM meta")
    assert find_problems(database, Float32(SIZE), list) == ["the gallery's own record is missing"]
    database.close()


def lying(index: Index) -> list[str]:
    rows = np.concatenate([units(1, 4), units(2, 4)])
    return index_problems(index, np.arange(1, 9, dtype=np.int64), lambda labels: rows[labels - 1])


def test_index_that_lacks_rows_or_holds_others_is_told() -> None:
    short, other = ExactIndex(SIZE), ExactIndex(SIZE)
    labels = np.arange(1, 9, dtype=np.int64)
    short.add(labels[:-1], units(1, 7))
    other.add(labels, units(9, 8))
    assert "7 rows, the database has 8" in lying(short)[0]
    assert "not the database's" in lying(other)[0]
