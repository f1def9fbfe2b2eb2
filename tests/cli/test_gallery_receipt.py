"""``rtface gallery remove NAME --receipt FILE``, as a user meets it."""

import hashlib
import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli import people
from tests.cli.calls import Rtface


@pytest.fixture
def full(rtface: Rtface) -> Rtface:
    """A gallery with two people."""
    people.enroll(rtface.gallery, "Ada Lovelace", 3, seed=1, against=1, crops=True)
    people.enroll(rtface.gallery, "Bob", 2, seed=2)
    return rtface


def test_receipt_is_written_for_its_owner_alone_and_names_nobody(full: Rtface, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    ended = full("gallery", "remove", "Ada Lovelace", "--receipt", file)
    assert (ended.code, ended.out, ended.err) == (0, "", "Ada Lovelace is erased.\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Lovelace" not in file.read_text() and "/pictures" not in file.read_text()
    record = json.loads(file.read_text())
    assert record["complete"] is True and record["format"] == "rtface erasure receipt"
    assert record["erased"]["vectors"] == record["erased"]["faces"] == 4
    assert {entry["file"]: entry["found"] for entry in record["files"]}["gallery.db"] == 0
    person = record["person"]
    costs = {key: person[key] for key in ("n", "r", "p")}
    again = hashlib.scrypt(b"Ada Lovelace", salt=bytes.fromhex(person["salt"]), maxmem=1 << 26, dklen=32, **costs)
    assert again.hex() == person["scrypt"], "whoever knows the name can confirm it"


def test_receipt_that_cannot_be_written_erases_nobody(full: Rtface, tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text("of somebody else")
    for file in (tmp_path / "receipt.json", tmp_path / "no folder" / "receipt.json"):
        ended = full("gallery", "remove", "Bob", "--receipt", file)
        assert ended.code == 1 and "cannot be written" in ended.err and "nobody was erased" in ended.err
    assert (tmp_path / "receipt.json").read_text() == "of somebody else"
    assert full("gallery", "list").out == "Ada Lovelace\t3\nBob\t2\n"


def test_unknown_person_leaves_no_receipt(full: Rtface, tmp_path: Path) -> None:
    ended = full("gallery", "remove", "Cyd", "--receipt", tmp_path / "receipt.json")
    assert ended.code == 1 and "Nobody called 'Cyd'" in ended.err
    assert not (tmp_path / "receipt.json").exists()


def test_copy_beside_the_gallery_is_told(full: Rtface, tmp_path: Path) -> None:
    shutil.copy(full.gallery, tmp_path / "gallery.db.old")
    ended = full("gallery", "remove", "Ada Lovelace", "--receipt", tmp_path / "receipt.json")
    assert ended.code == 0
    assert "gallery.db.old beside the gallery is not rtface's and still holds something of Ada Lovelace" in ended.err
