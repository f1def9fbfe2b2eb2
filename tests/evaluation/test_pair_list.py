"""Lists of pairs as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.pair_list import PairList, read_pairs


def read(folder: Path, text: str) -> PairList:
    file = folder / "list.txt"
    file.write_text(text)
    return read_pairs(file)


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg b.jpg same\na.jpg c.jpg different\n",
        "# mine\na.jpg,b.jpg,1\n\na.jpg , c.jpg , 0\n",
        "a.jpg;b.jpg;TRUE\na.jpg;c.jpg;FALSE",
        "a.jpg\tb.jpg\t+1\na.jpg\tc.jpg\t-1",
        '"a.jpg"   "b.jpg"  yes\na.jpg c.jpg no',
        "image1,image2,label\na.jpg,b.jpg,genuine\na.jpg,c.jpg,impostor",
        "\ufefffold,left,right,same\n1,a.jpg,b.jpg,1\n1,a.jpg,c.jpg,0",
    ],
)
def test_lists_say_the_same_in_many_ways(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.files == tuple(tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    assert found.pairs.tolist() == [[0, 1], [0, 2]]
    assert found.same.tolist() == [True, False]
    assert found.people[0] == found.people[1] != found.people[2]


def test_the_splits_of_youtube_faces_are_folds(tmp_path: Path) -> None:
    text = (
        "split number, first name, second name, similarity, is same person, is same video\n"
        "1, Ada_L/0, Ada_L/3, 0.5, 1, 0\n1, Ada_L/0, Grace_H/1, 0.1, 0, 0\n2, Grace_H/1, Grace_H/2, 0.4, 1, 0\n"
    )
    found = read(tmp_path, text)
    assert [str(path.relative_to(tmp_path)) for path in found.files] == ["Ada_L/0", "Ada_L/3", "Grace_H/1", "Grace_H/2"]
    assert found.same.tolist() == [True, False, True]
    assert found.folds.tolist() == [0, 0, 1]


def test_pairs_without_folds_are_dealt_out_evenly(tmp_path: Path) -> None:
    lines = [f"a{n} b{n} same\na{n} c{n} different" for n in range(30)]
    found = read(tmp_path, "\n".join(lines))
    for kind in (found.same, ~found.same):
        assert [int((found.folds[kind] == fold).sum()) for fold in range(10)] == [3] * 10


def test_same_pairs_make_people_and_show_who_is_labelled_wrong(tmp_path: Path) -> None:
    found = read(tmp_path, "a b 1\nb c 1\nd e 1\na c 0\na d 0\n")
    assert found.people.tolist() == [found.people[0]] * 3 + [found.people[3]] * 2
    assert found.people[0] != found.people[3]
    assert found.contradictions == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no pairs"),
        ("a b", "line 1: 'a b' has too few fields"),
        ("a b perhaps", "neither a pair nor names of columns"),
        ("a b 1\na b maybe", "line 2: 'maybe' says neither"),
        ("a b 1\na b", "line 2: 'a b' has too few"),
        ("a a 1", "a is compared with itself"),
    ],
)
def test_a_bad_list_is_refused_by_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        read(tmp_path, text)


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_pairs(tmp_path / "absent")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(EvaluationError, match="not a text file"):
        read_pairs(tmp_path / "picture.jpg")
