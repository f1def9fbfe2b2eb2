"""``rtface gallery copy`` and a gallery on a server, as a user meets them."""

from pathlib import Path

import pytest

from tests import postgres
from tests.cli import people
from tests.cli.calls import Rtface


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an empty database, without the password: that is in the environment, as the manual advises."""
    server = postgres.shared_server()
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    return f"postgresql://{postgres.USER}@127.0.0.1:{server.port}/{server.new_database()}"


def test_gallery_moves_to_a_server_is_looked_after_there_and_moves_back(
    rtface: Rtface, address: str, tmp_path: Path
) -> None:
    people.enroll(rtface.gallery, "Ada", 3, seed=1, against=1, crops=True)
    people.enroll(rtface.gallery, "Bob", 2, seed=2)
    ended = rtface("gallery", "copy", rtface.gallery, address, "--json")
    assert ended.code == 0, ended.err
    assert ended.records[0]["rows"] == {
        "people": 2,
        "tags": 0,
        "pictures": 6,
        "embeddings": 6,
        "crops": 4,
        "changes": 0,
    }
    assert f"{address}: 2 people, 6 rows, 4 faces, the same in both." in ended.err
    there = ("--set", f"gallery={address}")
    assert rtface("gallery", "list", *there).out.splitlines() == ["Ada\t3", "Bob\t2"]
    assert rtface("gallery", "rename", "Bob", "Robert", *there).code == 0
    assert rtface("gallery", "tag", "Ada", "staff", *there).code == 0
    assert rtface("gallery", "stats", *there, "--set", "index=database").code == 0
    checked = rtface("gallery", "check", *there, "--set", "index=database")
    assert (checked.code, checked.err.splitlines()[-1]) == (0, "6 rows, 0 problems.")
    assert rtface("gallery", "copy", address, tmp_path / "back.db").code == 0
    back = rtface("gallery", "list", "--set", f"gallery={tmp_path / 'back.db'}")
    assert back.out.splitlines() == ["Ada\t3\tstaff", "Robert\t2"]


def test_second_copy_into_the_same_place_is_refused(rtface: Rtface, address: str) -> None:
    people.enroll(rtface.gallery, "Ada", 1, seed=1)
    assert rtface("gallery", "copy", rtface.gallery, address).code == 0
    again = rtface("gallery", "copy", rtface.gallery, address)
    assert again.code == 1
    assert "has been used before: a copy goes into a new file or database" in again.err


@pytest.mark.parametrize("words", [("list",), ("check",), ("remove", "Ada"), ("copy", "nowhere.db", "{address}")])
def test_what_goes_wrong_is_one_sentence_without_the_password(
    rtface: Rtface, address: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    wrong = address.replace("@", ":not-the-word@")
    said = [word.format(address=wrong) for word in words]
    ended = rtface("gallery", *said, "--set", f"gallery={wrong}")
    assert ended.code == 1
    assert len([line for line in ended.err.splitlines() if "fsync" not in line]) == 1
    assert "not-the-word" not in ended.err + ended.out
