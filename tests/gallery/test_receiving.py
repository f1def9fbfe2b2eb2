"""People of an exported file in a gallery that has people of its own: all of it or nothing, nobody confused."""

from __future__ import annotations

import unicodedata
from datetime import date
from pathlib import Path

import pytest

from rtface.errors import BadName, GalleryBroken, GalleryMismatch
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import Consent, Picture, Provenance
from rtface.gallery.portable import Export, Row, export_gallery, read_export
from rtface.gallery.receiving import Received, SameName, receive
from tests.gallery.samples import SIZE, enroll, gallery_at, units

MODEL = GalleryModel("facenet", "1f2e", SIZE)
TODAY = date(2023, 11, 14)
"""Of the samples' clock."""


@pytest.fixture
def there(tmp_path: Path) -> PersonGallery:
    """The gallery people come from."""
    return gallery_at(tmp_path / "there.db")


@pytest.fixture
def here(tmp_path: Path) -> PersonGallery:
    """The gallery they come to."""
    return gallery_at(tmp_path / "here.db")


def move(there: PersonGallery, here: PersonGallery, same_name: SameName = "refuse", today: date = TODAY) -> Received:
    file = Path(there.database.place).with_name("moved.gz")
    export_gallery(there, file, crops=True)
    with read_export(file, MODEL) as export:
        return receive(here, export, same_name=same_name, today=today)


def test_a_gallery_that_was_moved_is_the_same_gallery(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 3))
    there.add(
        "Ada",
        units(2, 1)[0],
        sha256="not",
        file="not.jpg",
        quality=0.25,
        against=True,
        provenance=Provenance("camera", "yunet", "onnxruntime", (1.0, 2.0, 3.0, 4.0)),
        crop=b"\xff\xd8crop",
    )
    enroll(there, "김민수", units(3, 2))
    there.note("Ada", "friend")
    there.tag("Ada", ["family"])
    there.consent("Ada", "door", date(2031, 1, 1))
    done = move(there, here)
    assert (done.people, done.rows, done.known, done.elsewhere) == (["Ada", "김민수"], 6, 0, [])
    assert here.people() == there.people()
    for name in ("Ada", "김민수"):
        before, after = there.pictures(name), here.pictures(name)
        assert [(row.sha256, row.file, row.quality, row.added_at, row.against) for row in after] == [
            (row.sha256, row.file, row.quality, row.added_at, row.against) for row in before
        ]
    how = here.pictures("Ada")[3].provenance
    assert how == Provenance("import", "yunet", "onnxruntime", (1.0, 2.0, 3.0, 4.0))
    queries = units(9, 20)
    assert [[(near.person, near.distance, near.against) for near in row] for row in here.search(queries, 6)] == [
        [(near.person, near.distance, near.against) for near in row] for row in there.search(queries, 6)
    ]
    assert here.check() == []
    back = move(here, there, "merge")
    assert (back.merged, back.rows, back.known) == (["Ada", "김민수"], 0, 6)
    assert [row.crop for row in _rows(here, "Ada")] == [None, None, None, b"\xff\xd8crop"]


def _rows(gallery: PersonGallery, name: str) -> list[Row]:
    file = Path(gallery.database.place).with_name("look.gz")
    export_gallery(gallery, file, crops=True)
    with read_export(file, MODEL) as export:
        return next(entry.rows for entry in export.entries if entry.person.name == name)


def test_a_name_that_is_here_already_is_refused_and_nobody_of_the_file_comes_in(
    there: PersonGallery, here: PersonGallery
) -> None:
    enroll(there, "Ada", units(1, 2))
    enroll(there, "Bob", units(2, 2))
    enroll(here, "Bob", units(3, 1), tag="own")
    revision = here.revision
    with pytest.raises(BadName, match=r"Bob is already enrolled, and nothing was imported.*--same-name"):
        move(there, here)
    assert (here.counts(), here.revision) == ({"Bob": 1}, revision)
    assert here.check() == []


def test_the_same_name_spelt_in_another_way_is_the_same_person(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Zoë", units(1, 2))
    enroll(here, unicodedata.normalize("NFD", " Zoë"), units(2, 1), tag="own")
    with pytest.raises(BadName):
        move(there, here)
    assert move(there, here, "merge").merged == ["Zoë"]
    assert here.counts() == {"Zoë": 3}


def test_skip_leaves_people_who_are_here_as_they_are(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 2))
    enroll(there, "Bob", units(2, 2))
    there.note("Bob", "theirs")
    enroll(here, "Bob", units(3, 1), tag="own")
    done = move(there, here, "skip")
    assert (done.people, done.skipped, done.rows) == (["Ada"], ["Bob"], 2)
    assert here.counts() == {"Ada": 2, "Bob": 1}
    assert here.person("Bob").note == ""


def test_merge_adds_what_is_missing_and_the_stricter_consent_counts(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 3))
    there.note("Ada", "theirs")
    there.tag("Ada", ["work", "family"])
    there.consent("Ada", "door", date(2030, 1, 1))
    enroll(here, "Ada", units(1, 1))
    here.note("Ada", "ours")
    here.tag("Ada", ["family"])
    here.consent("Ada", "all doors", date(2031, 1, 1))
    done = move(there, here, "merge")
    assert (done.merged, done.rows, done.known) == (["Ada"], 2, 1)
    ada = here.person("Ada")
    assert (ada.note, ada.tags, ada.pictures) == ("ours\ntheirs", ("family", "work"), 3)
    assert ada.consent == Consent(1_700_000_000.0, "door", date(2030, 1, 1))
    move(there, here, "merge")
    assert here.person("Ada") == ada, "a second time changes nothing"


def test_picture_that_is_somebody_elses_here_is_left_out_and_told(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 2))
    here.add("Bob", units(1, 1)[0], sha256="Ada-0", file="x", quality=0.5)
    done = move(there, here)
    assert done.elsewhere == [("/pictures/Ada-0.jpg", "Ada", "Bob")]
    assert here.counts() == {"Ada": 1, "Bob": 1}


def test_person_of_whom_no_picture_is_left_does_not_come(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 1))
    there.add("Ada", units(2, 1)[0], sha256="not", file="x", quality=0.5, against=True)
    here.add("Bob", units(1, 1)[0], sha256="Ada-0", file="x", quality=0.5)
    done = move(there, here)
    assert (done.people, len(done.elsewhere)) == ([], 1)
    assert here.counts() == {"Bob": 1}
    assert here.check() == []


def test_counter_example_may_be_somebody_elses_picture(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 1))
    there.add("Ada", units(2, 1)[0], sha256="Bob-0", file="x", quality=0.5, against=True)
    enroll(here, "Bob", units(2, 1))
    assert move(there, here).elsewhere == []
    assert [picture.against for picture in here.pictures("Ada")] == [False, True]


@pytest.mark.parametrize(("today", "comes"), [(date(2030, 1, 1), True), (date(2030, 1, 2), False)])
def test_whose_consent_has_ended_stays_out(there: PersonGallery, here: PersonGallery, today: date, comes: bool) -> None:
    enroll(there, "Ada", units(1, 2))
    there.consent("Ada", "door", date(2030, 1, 1))
    done = move(there, here, today=today)
    assert (done.people, done.expired) == ((["Ada"], []) if comes else ([], ["Ada"]))
    assert here.counts() == ({"Ada": 2} if comes else {})


def test_file_that_turns_out_damaged_at_its_end_changes_nothing(
    there: PersonGallery, here: PersonGallery, tmp_path: Path
) -> None:
    enroll(there, "Ada", units(1, 2))
    enroll(there, "Bob", units(2, 2))
    enroll(here, "Eve", units(3, 1))
    before = here.revision
    file = tmp_path / "moved.gz"
    export_gallery(there, file, crops=False)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(GalleryBroken), read_export(file, MODEL) as export:
        receive(here, export, today=TODAY)
    assert (here.counts(), here.revision) == ({"Eve": 1}, before)
    assert here.check() == []


def test_impossible_name_in_a_file_is_refused_whole(there: PersonGallery, here: PersonGallery) -> None:
    enroll(there, "Ada", units(1, 1))
    enroll(there, "Bob", units(2, 1))
    with there.database.writing():
        there.database.execute("UPDATE people SET name = 'a/b' WHERE name = 'Bob'")
    with pytest.raises(BadName, match="slashes"):
        move(there, here)
    assert here.counts() == {}


def test_fewer_numbers_than_the_gallery_keeps_are_refused(here: PersonGallery, tmp_path: Path) -> None:
    export = Export(tmp_path / "compact.gz", "bytes", SIZE // 2, iter([]))
    with pytest.raises(GalleryMismatch, match=f"has {SIZE // 2} numbers of each face; this gallery keeps {SIZE}"):
        receive(here, export, today=TODAY)


def test_import_of_many_with_consent_is_followed_without_reading_all_again(
    there: PersonGallery, here: PersonGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only people somebody may have seen are in the log of changes, which has an end."""
    monkeypatch.setattr("rtface.gallery.editing.LOGGED", 10)
    enroll(here, "Eve", units(5, 1))
    for place, row in enumerate(units(1, 30)):
        enroll(there, f"person {place}", row[None])
        there.consent(f"person {place}", "door", date(2030, 1, 1))
    with gallery_at(tmp_path / "here.db") as follower:
        follower.search(units(1, 1), 1)
        monkeypatch.setattr(type(follower.searcher), "_read_again", lambda _: pytest.fail("read all again"))
        move(there, here)
        while follower.refresh():
            pass
        assert follower.counts() == here.counts()
        assert follower.revision == here.revision
        assert follower.search(units(1, 30)[7:8], 1)[0][0].person == "person 7"


def test_pictures_keep_the_day_they_were_taken_and_get_the_revision_they_came_with(
    there: PersonGallery, here: PersonGallery
) -> None:
    enroll(there, "Ada", units(1, 1))
    enroll(here, "Eve", units(2, 3))
    move(there, here)
    (picture,) = here.pictures("Ada")
    expected = Picture("Ada-0", "/pictures/Ada-0.jpg", 1_700_000_000.0, 0.5, False, Provenance("import"), 4)
    assert picture == expected
