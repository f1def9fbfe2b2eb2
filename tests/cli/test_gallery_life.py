"""The life of a person in the user's words: notes, tags, consent, merging, expiring, stock-taking."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import people
from tests.cli.calls import Rtface
from tests.gallery.samples import units


@pytest.fixture
def household(rtface: Rtface) -> Rtface:
    """The command line on a gallery with Ada (3 pictures, faces kept, 1 counter-example), Bob (2) and Zoë (1)."""
    people.enroll(rtface.gallery, "Ada", 3, seed=1, against=1, crops=True)
    people.enroll(rtface.gallery, "Bob", 2, seed=2)
    people.enroll(rtface.gallery, "Zoë", 1, seed=3)
    return rtface


def person(rtface: Rtface, name: str) -> dict[str, object]:
    (record,) = rtface("gallery", "show", name, "--json").records
    return record


def names(rtface: Rtface, *words: str) -> list[object]:
    return [record["name"] for record in rtface("gallery", "list", "--json", *words).records]


def day(offset: int) -> str:
    return (date.today() + timedelta(days=offset)).isoformat()


def test_a_note_is_kept_shown_replaced_and_taken_away(household: Rtface) -> None:
    told = household("gallery", "note", "Ada", "  friend of Grace\nrings twice ")
    assert (told.code, told.out, told.err) == (0, "", "The note of Ada is kept.\n")
    assert person(household, "Ada")["note"] == "friend of Grace\nrings twice"
    assert "Note: friend of Grace rings twice\n" in household("gallery", "show", "Ada").err
    household("gallery", "note", "Ada", "moved away")
    assert person(household, "Ada")["note"] == "moved away"
    assert household("gallery", "note", "Ada", "").err == "Ada has no note.\n"
    assert person(household, "Ada")["note"] == ""
    assert household("gallery", "check").code == 0


def test_replaced_note_is_in_no_file_of_the_gallery(household: Rtface) -> None:
    household("gallery", "note", "Ada", "owes me money")
    household("gallery", "note", "Ada", "")
    here = b"".join(file.read_bytes() for file in household.gallery.parent.glob("gallery.db*"))
    assert b"owes me money" not in here


@pytest.mark.parametrize("bad", ["\udcff\udcfe", "bell\x07 and \x1b[31mred", "zero\x00"])
def test_note_of_bytes_that_are_no_text_is_kept_without_them(household: Rtface, bad: str) -> None:
    assert household("gallery", "note", "Ada", f"a {bad} b").code == 0
    note = str(person(household, "Ada")["note"])
    assert note.startswith("a ")
    assert note.endswith(" b")
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in note)


def test_tags_are_put_on_taken_off_and_listed_by(household: Rtface) -> None:
    assert household("gallery", "tag", "Ada", "family", "café").err == "Ada: café, family.\n"
    assert household("gallery", "tag", "Bob", "family").code == 0
    assert names(household, "--tag", "family") == ["Ada", "Bob"]
    assert names(household, "--tag", "family", "--tag", unicodedata.normalize("NFD", "café")) == ["Ada"]
    assert household("gallery", "list").out == "Ada\t3\tcafé, family\nBob\t2\tfamily\nZoë\t1\n"
    assert household("gallery", "tag", "Ada", "family", "--remove").err == "Ada: café.\n"
    assert names(household, "--tag", "family") == ["Bob"]
    assert household("gallery", "tag", "Ada", "never there", "café", "--remove").err == "Ada: no tags.\n"


@pytest.mark.parametrize("tag", ["", "a\nb", "x" * 101, "\udcff"])
def test_impossible_tag_is_refused_and_none_of_the_others_is_put_on(household: Rtface, tag: str) -> None:
    told = household("gallery", "tag", "Ada", "good", tag)
    assert (told.code, told.out) == (1, "")
    assert "No tag can be" in told.err
    assert person(household, "Ada")["tags"] == []


def test_tag_without_a_tag_is_wrong_usage(household: Rtface) -> None:
    assert household("gallery", "tag", "Ada").code == 2


def test_consent_is_recorded_with_what_for_and_until_when(household: Rtface) -> None:
    assert person(household, "Ada")["consent"] is None
    told = household("gallery", "consent", "Ada", "--for", "the front door", "--until", day(0))
    assert told.err == f"Consent of Ada is recorded; Ada will be erased after {day(0)}.\n"
    consent = person(household, "Ada")["consent"]
    assert isinstance(consent, dict)
    assert (consent["for"], consent["until"]) == ("the front door", day(0))
    assert str(consent["given_at"]).startswith(day(0))
    shown = household("gallery", "show", "Ada").err
    assert f"Consent: given {day(0)} for the front door, until {day(0)}\n" in shown
    assert names(household) == ["Ada", "Bob", "Zoë"], "its last day is still a day of it"
    assert household("gallery", "consent", "Ada", "--for", "all doors").err == "Consent of Ada is recorded.\n"
    assert person(household, "Ada")["consent"] == {**consent, "for": "all doors", "until": None} | {
        "given_at": dict(person(household, "Ada")["consent"])["given_at"]  # type: ignore[call-overload]
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--for", "door", "--until", day(-1)), f"{day(-1)} is over. To erase Ada: rtface gallery remove 'Ada'"),
        (("--for", "door", "--until", "tomorrow"), "YYYY-MM-DD"),
        (("--for", " "), "what was agreed to"),
        ((), "--for"),
    ],
)
def test_impossible_consent_is_wrong_usage_and_changes_nothing(
    household: Rtface, words: tuple[str, ...], told: str
) -> None:
    ended = household("gallery", "consent", "Ada", *words)
    assert (ended.code, ended.out) == (2, "")
    assert told.replace("YYYY-MM-DD", "%Y-%m-%d") in ended.err
    assert person(household, "Ada")["consent"] is None


def end_consent(rtface: Rtface, name: str) -> None:
    """As if the consent's last day had been yesterday."""
    with people.opened(rtface.gallery) as gallery:
        gallery.consent(name, "door", date.today() - timedelta(days=1))


def test_expire_erases_whose_consent_has_ended_and_tells_the_names(household: Rtface) -> None:
    end_consent(household, "Bob")
    ended = household("gallery", "expire", "--json")
    assert (ended.code, ended.records) == (0, [{"name": "Bob"}])
    assert ended.err.endswith("1 people erased.\n")
    assert names(household) == ["Ada", "Zoë"]
    again = household("gallery", "expire")
    assert (again.code, again.out, again.err) == (0, "", "0 people erased.\n")
    assert household("gallery", "check").code == 0


def test_any_command_erases_whose_consent_has_ended_before_anything_else(household: Rtface) -> None:
    end_consent(household, "Bob")
    assert names(household) == ["Ada", "Zoë"]
    data = b"".join(file.read_bytes() for file in household.gallery.parent.glob("gallery.db*"))
    assert b"Bob" not in data
    assert b"/pictures/2/0.jpg" not in data


def test_merge_makes_one_person_of_two(household: Rtface) -> None:
    household("gallery", "note", "Ada", "first")
    household("gallery", "note", "Bob", "second")
    household("gallery", "tag", "Bob", "family")
    household("gallery", "consent", "Bob", "--for", "door", "--until", day(10))
    assert household("gallery", "merge", "Bob", "Ada").err == "Bob is now Ada.\n"
    assert names(household) == ["Ada", "Zoë"]
    ada = person(household, "Ada")
    assert (ada["note"], ada["tags"]) == ("first\nsecond", ["family"])
    pictures = ada["pictures"]
    assert isinstance(pictures, list)
    assert [entry["against"] for entry in pictures] == [False, False, False, True, False, False]
    assert isinstance(ada["consent"], dict)
    assert ada["consent"]["until"] == day(10)
    assert household("gallery", "check").code == 0


def test_merging_somebody_with_themselves_is_wrong_usage(household: Rtface) -> None:
    told = household("gallery", "merge", "Zoë", unicodedata.normalize("NFD", "Zoë"))
    assert (told.code, names(household)) == (2, ["Ada", "Bob", "Zoë"])
    assert "NAME and INTO are the same: Zoë." in told.err


def test_renaming_to_a_name_that_is_taken_points_to_merge(household: Rtface) -> None:
    told = household("gallery", "rename", "Bob", "Ada")
    assert told.code == 1
    assert "Ada is already enrolled" in told.err
    assert "rtface gallery merge" in told.err
    assert names(household) == ["Ada", "Bob", "Zoë"]


@pytest.mark.parametrize("verb", ["show", "note", "tag", "consent", "remove", "rename", "merge"])
def test_name_typed_decomposed_or_with_spaces_is_the_same_name_and_told_as_it_is_kept(
    household: Rtface, verb: str
) -> None:
    rest = {"note": ["x"], "tag": ["x"], "consent": ["--for", "x"], "rename": ["Zoe"], "merge": ["Ada"]}
    told = household("gallery", verb, unicodedata.normalize("NFD", " Zoë "), *rest.get(verb, []))
    assert told.code == 0
    assert told.err == unicodedata.normalize("NFC", told.err).replace("  ", " ")
    assert ("Zoë" in told.err) == (verb != "show")


@pytest.mark.parametrize("verb", ["show", "note", "tag", "consent", "remove", "rename", "merge"])
def test_every_command_about_somebody_unknown_suggests_who_was_meant(household: Rtface, verb: str) -> None:
    rest = {"note": ["x"], "tag": ["x"], "consent": ["--for", "x"], "rename": ["Zoe"], "merge": ["Ada"]}
    told = household("gallery", verb, "bob", *rest.get(verb, []))
    assert (told.code, told.out) == (1, "")
    assert "Nobody called 'bob' is enrolled. Did you mean 'Bob'?" in told.err


def test_stats_count_people_pictures_bytes_and_name_look_alikes(household: Rtface) -> None:
    with people.opened(household.gallery) as gallery:
        row = units(1, 4, people.SIZE)[0] + 0.2 * units(9, 1, people.SIZE)[0]
        row /= (row @ row) ** 0.5
        gallery.add("Bob", row, sha256="twin", file="twin.jpg", quality=0.5)
    household("gallery", "consent", "Bob", "--for", "door", "--until", day(7))
    household("gallery", "consent", "Zoë", "--for", "door", "--until", day(300))
    (record,) = household("gallery", "stats", "--json").records
    assert {key: record[key] for key in ("people", "pictures", "counter_examples", "kept_faces", "size")} == {
        "people": 3,
        "pictures": 7,
        "counter_examples": 1,
        "kept_faces": 4,
        "size": 512,
    }
    assert record["model"] == "facenet"
    size = household.gallery.stat().st_size
    assert size <= int(str(record["database_bytes"])) <= size + 100_000, "beside it lie the log and its index"
    assert record["without_consent"] == 1
    assert record["ending_soon"] == [["Bob", day(7)]]
    alikes = record["look_alikes"]
    assert isinstance(alikes, list)
    assert (alikes[0]["first"], alikes[0]["second"]) == ("Ada", "Bob")
    first, twin = units(1, 4, people.SIZE)[0].astype(float), row.astype(float)
    assert alikes[0]["distance"] == pytest.approx(((first - twin) ** 2).sum(), abs=1e-5)
    table = household("gallery", "stats")
    assert table.code == 0
    assert "people            3\n" in table.out
    assert f"consent ends      {day(7)}  Bob\n" in table.out
    assert "Ada and Bob" in table.out


def test_stats_of_an_empty_gallery_are_zeros(household: Rtface) -> None:
    for name in ("Ada", "Bob", "Zoë"):
        household("gallery", "remove", name)
    (record,) = household("gallery", "stats", "--json").records
    assert (record["people"], record["pictures"], record["look_alikes"]) == (0, 0, [])
    assert household("gallery", "stats").code == 0


def test_check_of_a_whole_gallery_says_how_much_it_looked_at(household: Rtface) -> None:
    ended = household("gallery", "check", "--json")
    assert (ended.code, ended.out, ended.err) == (0, "", "7 rows, 0 problems.\n")


def test_check_tells_each_problem_and_fails(household: Rtface) -> None:
    with people.opened(household.gallery) as gallery, gallery.database.writing():
        gallery.database.execute("DELETE FROM embeddings WHERE picture_id = 5")
    ended = household("gallery", "check", "--json")
    assert ended.code == 1
    (record,) = ended.records
    assert "Bob: the picture /pictures/2/0.jpg has no embedding" in str(record["problem"])


def test_show_prints_a_line_a_picture_and_marks_counter_examples(household: Rtface) -> None:
    lines = household("gallery", "show", "Ada").out.splitlines()
    assert [line.split("\t")[1:] for line in lines] == [
        ["0.5", "/pictures/1/0.jpg"],
        ["0.51", "/pictures/1/1.jpg"],
        ["0.52", "/pictures/1/2.jpg"],
        ["0.53", "/pictures/1/3.jpg", "not Ada"],
    ]


def test_path_with_control_characters_stays_on_its_line(household: Rtface) -> None:
    with people.opened(household.gallery) as gallery:
        gallery.add("Bob", units(8, 1, people.SIZE)[0], sha256="x", file="a\n\x1b[2Jb\t.jpg", quality=0.5)
    assert household("gallery", "show", "Bob").out.splitlines()[-1].endswith("\ta  [2Jb .jpg")


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".png", "PNG")])
def test_sheet_is_a_picture_of_all_faces(household: Rtface, tmp_path: Path, suffix: str, kind: str) -> None:
    file = tmp_path / f"sheet{suffix}"
    ended = household("gallery", "show", "Ada", "--sheet", file)
    assert (ended.code, f"{file} shows Ada." in ended.err) == (0, True)
    with Image.open(file) as sheet:
        assert sheet.format == kind
        pixels = np.asarray(sheet.convert("RGB"), np.int16).reshape(-1, 3)
    for place in range(4):
        kept = np.abs(pixels - (20 * place + 40, 160, 80)).max(axis=1) < 8
        assert np.count_nonzero(kept) > 20_000, f"face {place} has 160x160 pixels"
    assert [entry.name for entry in tmp_path.iterdir() if "new" in entry.name] == []


def test_sheet_of_another_kind_is_wrong_usage(household: Rtface, tmp_path: Path) -> None:
    ended = household("gallery", "show", "Ada", "--sheet", tmp_path / "sheet.gif")
    assert (ended.code, ended.out) == (2, "")
    assert "sheet.gif is no .jpg or .png" in ended.err


def test_sheet_that_cannot_be_written_is_told(household: Rtface, tmp_path: Path) -> None:
    ended = household("gallery", "show", "Ada", "--sheet", tmp_path / "nowhere" / "sheet.png")
    assert ended.code == 1
    assert "No such file or directory" in ended.err
