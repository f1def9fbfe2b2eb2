"""A library of photos: what is read again, what is forgotten, what is refused, and what stays on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryBroken, GalleryMismatch, GalleryUnavailable, PictureError
from rtface.photos.library import PhotoLibrary, Stamp, default_file
from rtface.photos.reading import Progress, look_through, photos_in
from rtface.types import Face
from tests.fakes import SIZE, detection, direction


def library(file: Path, *, model: str = "fake:1", size: int = SIZE) -> PhotoLibrary:
    return PhotoLibrary(file, model=model, size=size)


def face(brightness: float) -> Face:
    return Face(detection(10, 20), np.zeros((4, 4, 3), np.uint8), direction(brightness), 0.75)


class Eyes:
    """Finds in a photo the faces its text names, and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, path: Path) -> list[Face]:
        self.shown.append(path.name)
        text = path.read_text()
        if text == "damaged":
            raise PictureError(f"{path} is damaged.")
        return [face(float(word)) for word in text.split()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    for name, text in {
        "a.jpg": "10 50",
        "sub/b.PNG": "10",
        "c.jpg": "",
        "note.txt": "10",
        ".hidden/d.jpg": "90",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def quiet(label: str, done: int, total: int) -> None:
    pass


def test_photos_of_subfolders_are_found_and_hidden_ones_not(folder: Path) -> None:
    assert [path.relative_to(folder).as_posix() for path in photos_in(folder)] == ["a.jpg", "c.jpg", "sub/b.PNG"]


def test_what_has_been_looked_at_is_not_looked_at_again(folder: Path, tmp_path: Path) -> None:
    with library(tmp_path / "l.db") as one:
        assert look_through(folder, one, Eyes(), quiet) == Progress(read=3, known=0, gone=0, faults=0, faces=3)
    eyes = Eyes()
    with library(tmp_path / "l.db") as one:
        assert look_through(folder, one, eyes, quiet) == Progress(read=0, known=3, gone=0, faults=0, faces=0)
        assert eyes.shown == []
        assert one.faces().paths == ["a.jpg", "a.jpg", "sub/b.PNG"]


def test_faces_come_back_as_they_went_in(folder: Path, tmp_path: Path) -> None:
    with library(tmp_path / "l.db") as one:
        look_through(folder, one, Eyes(), quiet)
        found = one.faces()
    np.testing.assert_array_equal(found.rows, np.stack([direction(10), direction(50), direction(10)]))
    np.testing.assert_allclose(found.boxes, np.tile(detection(10, 20).box, (3, 1)))
    assert found.photos[0] == found.photos[1] != found.photos[2]
    assert found.qualities.tolist() == [0.75] * 3


def test_changed_photo_is_read_again_and_one_that_is_gone_forgotten(folder: Path, tmp_path: Path) -> None:
    with library(tmp_path / "l.db") as one:
        look_through(folder, one, Eyes(), quiet)
        (folder / "a.jpg").write_text("90")
        os.utime(folder / "a.jpg", ns=(1, 1))
        (folder / "sub" / "b.PNG").unlink()
        eyes = Eyes()
        assert look_through(folder, one, eyes, quiet) == Progress(read=1, known=1, gone=1, faults=0, faces=1)
        assert eyes.shown == ["a.jpg"]
        np.testing.assert_array_equal(one.faces().rows, direction(90)[None])


def test_again_reads_everything(folder: Path, tmp_path: Path) -> None:
    with library(tmp_path / "l.db") as one:
        look_through(folder, one, Eyes(), quiet)
        assert look_through(folder, one, Eyes(), quiet, again=True).read == 3
        assert len(one.faces().paths) == 3


def test_damaged_photo_is_told_and_not_tried_again(folder: Path, tmp_path: Path) -> None:
    (folder / "c.jpg").write_text("damaged")
    with library(tmp_path / "l.db") as one:
        assert look_through(folder, one, Eyes(), quiet).faults == 1
        assert list(one.faults()) == ["c.jpg"]
        assert look_through(folder, one, Eyes(), quiet).read == 0


def test_what_was_found_before_it_was_broken_off_is_there(folder: Path, tmp_path: Path) -> None:
    class Interrupted(Eyes):
        def __call__(self, path: Path) -> list[Face]:
            if len(self.shown) == 2:
                raise KeyboardInterrupt
            return super().__call__(path)

    with library(tmp_path / "l.db") as one, pytest.raises(KeyboardInterrupt):
        look_through(folder, one, Interrupted(), quiet)
    with library(tmp_path / "l.db") as one:
        assert look_through(folder, one, Eyes(), quiet).read == 1


def test_no_vector_of_a_photo_that_is_gone_is_left_on_disk(tmp_path: Path) -> None:
    with library(tmp_path / "l.db") as one:
        one.put("a.jpg", Stamp(1, 2), [face(10)])
        one.put("b.jpg", Stamp(1, 2), [face(50)])
    vector = direction(10).astype("<f4").tobytes()
    assert vector in content(tmp_path)
    with library(tmp_path / "l.db") as one:
        one.forget(["a.jpg"])
    assert vector not in content(tmp_path)
    assert direction(50).astype("<f4").tobytes() in content(tmp_path)


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("l.db*")))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with library(tmp_path / "new" / "l.db"):
        assert stat.S_IMODE((tmp_path / "new" / "l.db").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_another_models_library_is_refused(tmp_path: Path) -> None:
    library(tmp_path / "l.db").__exit__(None, None, None)
    with pytest.raises(GalleryMismatch, match=r"faces of the model fake:1, and this is other:2.*--index"):
        library(tmp_path / "l.db", model="other:2")


def test_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(GalleryBroken, match="delete it and index the folder again"):
        library(tmp_path / "l.db")


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GalleryUnavailable, match=r"cannot be made.*--index"):
        library(tmp_path / "file" / "l.db")


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="nowhere cannot be read"):
        list(photos_in(tmp_path / "nowhere"))


def test_two_folders_and_two_models_have_libraries_of_their_own(tmp_path: Path) -> None:
    places = {default_file(tmp_path / name, model) for name in ("a", "b") for model in ("x", "y")}
    assert len(places) == 4
