"""Trees of people and tables of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.folders import clips_of, drawn, flat, labelled, pictures_of


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_every_folder_is_a_person_with_all_below_it(tmp_path: Path) -> None:
    made(
        tmp_path,
        "Ada/1.jpg",
        "Ada/old/2.PNG",
        "Ada/notes.txt",
        "Ada/.hidden/3.jpg",
        "Bo/1.webp",
        "x.jpg",
        "Empty/a.txt",
    )
    made(tmp_path, ".git/1.jpg")
    people = pictures_of(tmp_path)
    assert {name: [path.name for path in paths] for name, paths in people.items()} == {
        "Ada": ["1.jpg", "2.PNG"],
        "Bo": ["1.webp"],
    }
    files, numbers = flat(people)
    assert [path.name for path in files] == ["1.jpg", "2.PNG", "1.webp"]
    assert numbers.tolist() == [0, 0, 1]


def test_clips_are_films_and_folders_of_frames(tmp_path: Path) -> None:
    made(tmp_path, "Ada/a.mp4", "Ada/b/0001.jpg", "Ada/b/0002.jpg", "Bo/c.MKV", "Bo/d.txt")
    assert clips_of(tmp_path) == {"Ada": [tmp_path / "Ada/a.mp4", tmp_path / "Ada/b"], "Bo": [tmp_path / "Bo/c.MKV"]}


def test_a_table_names_files_with_or_without_their_ending(tmp_path: Path) -> None:
    made(tmp_path, "a.mkv", "b.mkv", "c.mp4")
    table = tmp_path / "labels.csv"
    table.write_text("clip,person,basis\na,Ada,hat\nb.mkv,Ada,hat\nc,Bo,coat\n")
    assert labelled(table) == {"Ada": [tmp_path / "a.mkv", tmp_path / "b.mkv"], "Bo": [tmp_path / "c.mp4"]}
    table.write_text("clip,person\nz,Ada\n")
    with pytest.raises(EvaluationError, match=r"line 2: there is no .*z"):
        labelled(table)
    table.write_text("clip,who\na,Ada\n")
    with pytest.raises(EvaluationError, match=r"line 2: .* column 'person'"):
        labelled(table)


def test_fewer_than_two_people_cannot_be_told_apart(tmp_path: Path) -> None:
    made(tmp_path, "Ada/1.jpg")
    with pytest.raises(EvaluationError, match="pictures of 1 people; at least two"):
        pictures_of(tmp_path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        pictures_of(tmp_path / "absent")


def test_whole_people_are_drawn_by_lot() -> None:
    people = {f"P{n}": [Path(f"{n}-{k}") for k in range(n % 4 + 1)] for n in range(40)}
    some = drawn(people, 30)
    assert 20 < sum(map(len, some.values())) <= 30
    assert all(some[name] == people[name] for name in some)
    assert drawn(people, 30) == some != drawn(people, 30, seed=1)
    assert drawn(people, 1000) == people
