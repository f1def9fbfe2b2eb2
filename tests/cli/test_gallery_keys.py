"""``rtface gallery encrypt|decrypt|rotate-key`` and the setting ``gallery_key``, as a user meets them."""

from pathlib import Path

import pytest

from tests.cli import people
from tests.cli.calls import Rtface
from tests.gallery.samples import traces, units

pytest.importorskip("cryptography")

ADA = units(1, 1, people.SIZE)[0]


@pytest.fixture
def plain(rtface: Rtface) -> Rtface:
    """A gallery in the clear with two people."""
    people.enroll(rtface.gallery, "Ada", 3, seed=1)
    people.enroll(rtface.gallery, "Bob", 2, seed=2)
    return rtface


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Where a key can be kept: not beside the gallery, which is searched for traces."""
    return f"file:{tmp_path / 'keys' / 'gallery.key'}"


def names(rtface: Rtface, *settings: str) -> str:
    ended = rtface("gallery", "list", *settings)
    return ended.out if ended.code == 0 else ended.err


def test_gallery_is_encrypted_used_and_decrypted_again(plain: Rtface, key: str) -> None:
    ended = plain("gallery", "encrypt", key)
    assert (ended.code, ended.out) == (0, "")
    assert f'is encrypted. Set gallery_key = "{key}". Keep a copy of the key in another place' in ended.err
    assert "encrypted and no key is set: --set gallery_key=file:PATH" in names(plain)
    used = ("--set", f"gallery_key={key}")
    assert names(plain, *used) == "Ada\t3\nBob\t2\n"
    assert plain("gallery", "check", *used).code == 0
    ended = plain("gallery", "decrypt", *used)
    assert (ended.code, "is no longer encrypted" in ended.err) == (0, True)
    assert names(plain) == "Ada\t3\nBob\t2\n"
    assert "A key is set, but the gallery" in names(plain, *used)


def test_key_set_beforehand_is_the_one_to_encrypt_with(plain: Rtface, key: str) -> None:
    assert plain("gallery", "encrypt", "--set", f"gallery_key={key}").code == 0
    assert names(plain, "--set", f"gallery_key={key}") == "Ada\t3\nBob\t2\n"


def test_encrypting_needs_a_place_for_the_key_and_a_gallery_in_the_clear(plain: Rtface, key: str) -> None:
    ended = plain("gallery", "encrypt")
    assert ended.code == 2 and "rtface gallery encrypt file:PATH" in ended.err
    plain("gallery", "encrypt", key)
    again = plain("gallery", "encrypt", key.replace("gallery.key", "other.key"))
    assert again.code == 1 and "is encrypted already: rtface gallery rotate-key" in again.err
    assert not Path(key.removeprefix("file:")).with_name("other.key").exists()


def test_rotation_gives_the_gallery_to_the_new_key_alone(plain: Rtface, key: str) -> None:
    plain("gallery", "encrypt", key)
    old, new = f"gallery_key={key}", key.replace("gallery.key", "new.key")
    assert "Which key has it now?" in plain("gallery", "rotate-key", new).err
    same = plain("gallery", "rotate-key", key, "--set", old)
    assert same.code == 1 and "is the key the gallery has" in same.err
    ended = plain("gallery", "rotate-key", new, "--set", old)
    assert ended.code == 0 and f'has its new key. Set gallery_key = "{new}"' in ended.err
    assert "not the key of the gallery" in names(plain, "--set", old)
    assert names(plain, "--set", f"gallery_key={new}") == "Ada\t3\nBob\t2\n"


def test_rotation_that_has_to_wait_for_a_reader_says_which_key_is_the_right_one(plain: Rtface, key: str) -> None:
    import sqlite3
    from contextlib import closing

    plain("gallery", "encrypt", key)
    new = key.replace("gallery.key", "new.key")
    with closing(sqlite3.connect(plain.gallery, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        ended = plain("gallery", "rotate-key", new, "--set", f"gallery_key={key}")
    assert ended.code == 1
    assert "has its new key" in ended.err and "traces of what was removed are still in its log" in ended.err
    assert names(plain, "--set", f"gallery_key={new}") == "Ada\t3\nBob\t2\n"


def test_decrypting_needs_the_key(plain: Rtface, key: str) -> None:
    ended = plain("gallery", "decrypt")
    assert ended.code == 2 and "rtface gallery decrypt --set gallery_key=file:PATH" in ended.err


def test_new_gallery_is_encrypted_from_its_first_picture(
    rtface: Rtface, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_KEY", "a5" * 32)
    with people.opened(rtface.gallery, gallery_key="env:GALLERY_KEY") as gallery:
        gallery.add("Ada", ADA, sha256="1", file="x", quality=0.5)
        assert traces(rtface.gallery, ADA) == 0
    assert names(rtface, "--set", "gallery_key=env:GALLERY_KEY") == "Ada\t1\n"


def test_key_given_in_the_place_of_its_place_is_not_repeated(plain: Rtface) -> None:
    ended = plain("gallery", "list", "--set", f"gallery_key={'a5' * 32}")
    assert ended.code == 1 and "file:PATH, env:NAME or keyring:SERVICE/NAME" in ended.err
    assert "a5a5" not in ended.err
