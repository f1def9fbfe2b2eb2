"""``gallery export`` and ``import`` in the user's words."""

from __future__ import annotations

import gzip
import hashlib
import json
import stat
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.cli import people
from tests.cli.calls import Rtface


@pytest.fixture
def household(rtface: Rtface) -> Rtface:
    """The command line on a gallery with Ada (3 pictures, faces kept, 1 counter-example) and Zoë (1)."""
    people.enroll(rtface.gallery, "Ada", 3, seed=1, against=1, crops=True)
    people.enroll(rtface.gallery, "Zoë", 1, seed=3)
    rtface("gallery", "note", "Ada", "friend")
    return rtface


@pytest.fixture
def file(household: Rtface, tmp_path: Path) -> Path:
    told = household("gallery", "export", tmp_path / "people.rtface", "--faces")
    assert (told.code, told.out) == (0, "")
    assert told.err == f"{tmp_path / 'people.rtface'}: 2 people, 5 rows.\n"
    return tmp_path / "people.rtface"


def test_export_is_the_owners_alone_and_counts_what_is_in_it(household: Rtface, file: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (record,) = household("gallery", "export", tmp_path / "bare", "--json").records
    assert record == {"people": 2, "rows": 5}
    assert b'"crop"' in gzip.decompress(file.read_bytes())
    assert b'"crop"' not in gzip.decompress((tmp_path / "bare").read_bytes())


def test_export_over_the_gallery_itself_is_refused(household: Rtface) -> None:
    told = household("gallery", "export", household.gallery)
    assert told.code == 1
    assert f"{household.gallery} is there already and is no export" in told.err
    assert household("gallery", "check").code == 0


def test_import_makes_the_gallery_and_it_is_the_same_gallery(household: Rtface, file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "gallery.db"
    told = household("gallery", "import", file, gallery=new)
    assert (told.code, told.out, told.err) == (0, "", "2 new people, 5 rows added.\n")
    before, after = (household("gallery", "list", "--json", gallery=at).records for at in (household.gallery, new))
    for record in (*before, *after):
        pictures = record["pictures"]
        assert isinstance(pictures, list)
        for picture in pictures:
            del picture["origin"], picture["revision"]
    assert before == after
    assert household("gallery", "check", gallery=new).code == 0
    (stock,) = household("gallery", "stats", "--json", gallery=new).records
    assert (stock["kept_faces"], stock["counter_examples"]) == (4, 1)


def test_import_again_is_refused_merged_or_skipped(household: Rtface, file: Path) -> None:
    refused = household("gallery", "import", file)
    assert (refused.code, refused.out) == (1, "")
    assert "Ada is already enrolled, and nothing was imported" in refused.err
    merged = household("gallery", "import", file, "--same-name", "merge")
    assert (merged.code, merged.err) == (0, "2 merged, 5 pictures known before, 0 rows added.\n")
    skipped = household("gallery", "import", file, "--same-name", "skip", "--json")
    assert skipped.code == 0
    assert skipped.records == [
        {
            "people": [],
            "merged": [],
            "skipped": ["Ada", "Zoë"],
            "expired": [],
            "rows": 0,
            "known": 0,
            "elsewhere": [],
        }
    ]
    assert household("gallery", "import", file, "--same-name", "overwrite").code == 2


def test_picture_that_is_somebody_elses_is_told_and_fails(household: Rtface, file: Path) -> None:
    household("gallery", "rename", "Ada", "Augusta")
    told = household("gallery", "import", file, "--same-name", "merge", "--json")
    assert told.code == 1
    assert "left out: /pictures/1/0.jpg of Ada is enrolled for Augusta\n" in told.err
    (record,) = told.records
    assert [entry[1:] for entry in record["elsewhere"]] == [["Ada", "Augusta"]] * 3  # type: ignore[attr-defined]
    assert household("gallery", "list").out == "Augusta\t3\nZoë\t1\n"


def test_whose_consent_has_ended_is_told_and_stays_out(household: Rtface, tmp_path: Path) -> None:
    household("gallery", "consent", "Zoë", "--for", "door", "--until", date.today().isoformat())
    household("gallery", "export", tmp_path / "old")
    yesterday = (date.today() - timedelta(days=1)).isoformat().encode()
    text = gzip.decompress((tmp_path / "old").read_bytes())
    body = text[: text.rindex(b'{"end"')].replace(date.today().isoformat().encode(), yesterday)

    end = {"end": {"people": 2, "rows": 5, "sha256": hashlib.sha256(body).hexdigest()}}
    (tmp_path / "old").write_bytes(gzip.compress(body + json.dumps(end).encode()))
    told = household("gallery", "import", tmp_path / "old", gallery=tmp_path / "new.db")
    assert (told.code, told.err) == (0, "1 new people, 1 whose consent has ended, 4 rows added.\n")


@pytest.mark.parametrize("spoil", ["shorter", "other", "missing"])
def test_file_that_is_no_whole_export_is_told_and_no_gallery_is_made(
    household: Rtface, file: Path, tmp_path: Path, spoil: str
) -> None:
    whole = file.read_bytes()
    file.write_bytes({"shorter": whole[:30], "other": b"hello", "missing": b""}[spoil])
    if spoil == "missing":
        file.unlink()
    told = household("gallery", "import", file, gallery=tmp_path / "new.db")
    assert (told.code, told.out) == (1, "")
    assert str(file) in told.err
    assert not (tmp_path / "new.db").exists()


def test_file_cut_off_at_its_end_imports_nobody(household: Rtface, file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    told = household("gallery", "import", file, gallery=tmp_path / "new.db")
    assert told.code == 1
    assert "no whole export" in told.err
    assert household("gallery", "list", gallery=tmp_path / "new.db").out == ""


def test_file_of_another_model_is_refused_with_both_ways_out(household: Rtface, file: Path, tmp_path: Path) -> None:
    told = household("gallery", "import", file, "--set", "embedder=sface", gallery=tmp_path / "new.db")
    assert told.code == 1
    assert "holds embeddings of the model facenet" in told.err
    assert "--set embedder=facenet --set gallery=FILE" in told.err


def test_missing_gallery_is_not_exported(rtface: Rtface, tmp_path: Path) -> None:
    told = rtface("gallery", "export", tmp_path / "x")
    assert told.code == 1
    assert "There is no gallery" in told.err
    assert not (tmp_path / "x").exists()
