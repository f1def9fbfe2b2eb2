"""Keys in files, the environment and the keyring, and what is said when one is not there."""

import os
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rtface.errors import KeyRefused, MissingLibrary
from rtface.gallery.keys import has_key, make_key, read_key

KEY = bytes(range(32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file as ``openssl rand -hex 32`` writes one."""
    path = tmp_path / "a key"
    path.write_text(KEY.hex() + "\n")
    path.chmod(0o600)
    return path


def test_no_place_is_no_key() -> None:
    assert read_key("") is None


def test_key_is_read_from_a_file_and_from_the_environment(file: Path) -> None:
    assert read_key(f"file:{file}") == KEY
    assert read_key("env:GALLERY_KEY", {"GALLERY_KEY": KEY.hex().upper()}) == KEY


def test_key_in_the_home_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    assert read_key("file:~/a key") == KEY


def test_new_key_is_random_and_its_owner_s_alone(tmp_path: Path) -> None:
    places = [tmp_path / "folder" / name for name in ("a", "b")]
    assert not has_key(f"file:{places[0]}")
    keys = [make_key(f"file:{place}") for place in places]
    assert keys[0] != keys[1] and [len(key) for key in keys] == [32, 32]
    assert [read_key(f"file:{place}") for place in places] == keys
    assert {stat.S_IMODE(place.stat().st_mode) for place in places} == {0o600}


def test_key_that_is_there_is_never_written_over(file: Path) -> None:
    with pytest.raises(KeyRefused, match="exists already: name another, so that no key is lost"):
        make_key(f"file:{file}")
    assert read_key(f"file:{file}") == KEY


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_key_file_others_can_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(KeyRefused, match=r"Others can read or change .*: chmod 600 .*a key"):
        read_key(f"file:{file}")


@pytest.mark.parametrize("content", ["", "a5" * 31, "a5" * 33, "z" * 64, "é" * 32, "\x00" * 32])
def test_what_is_no_key_is_told_without_being_shown(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(KeyRefused, match="is no key: 64 hex digits, such as openssl rand -hex 32") as told:
        read_key(f"file:{file}")
    assert not content or content not in str(told.value)


@pytest.mark.parametrize("place", [KEY.hex(), "file:", "env:", "vault:x", "file"])
def test_place_that_is_none_is_told_and_a_key_given_as_one_is_not_repeated(place: str) -> None:
    with pytest.raises(KeyRefused, match="file:PATH, env:NAME or keyring:SERVICE/NAME") as told:
        read_key(place)
    assert KEY.hex() not in str(told.value)


def test_missing_keys_say_where_they_should_be(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused, match=r"There is no key file .*none"):
        read_key(f"file:{tmp_path / 'none'}")
    with pytest.raises(KeyRefused, match="cannot be read: Is a directory"):
        read_key(f"file:{tmp_path}")
    with pytest.raises(KeyRefused, match="no GALLERY_KEY in the environment"):
        read_key("env:GALLERY_KEY", {})
    with pytest.raises(KeyRefused, match=r"made by you.*GALLERY_KEY=\$\(openssl rand -hex 32\)"):
        make_key("env:GALLERY_KEY")
    with pytest.raises(KeyRefused, match="cannot be written"):
        make_key(f"file:{tmp_path / ('a' * 300)}")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in memory in the place of the system's; ``broken`` is an entry it fails at."""
    kept: dict[tuple[str, str], str] = {}
    library = ModuleType("keyring")

    class KeyringError(Exception):
        pass

    def get_password(service: str, name: str) -> str | None:
        if name == "broken":
            raise KeyringError("locked")
        return kept.get((service, name))

    def set_password(service: str, name: str, value: str) -> None:
        kept[service, name] = value

    library.get_password, library.set_password = get_password, set_password  # type: ignore[attr-defined]
    library.errors = SimpleNamespace(KeyringError=KeyringError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", ModuleType("keyring.errors"))
    return kept


def test_key_is_made_and_read_in_the_keyring(keyring: dict[tuple[str, str], str]) -> None:
    assert not has_key("keyring:our house/rtface/gallery")
    key = make_key("keyring:our house/rtface/gallery")
    assert keyring == {("our house/rtface", "gallery"): key.hex()}
    assert read_key("keyring:our house/rtface/gallery") == key
    with pytest.raises(KeyRefused, match="has our house/rtface/gallery already"):
        make_key("keyring:our house/rtface/gallery")


def test_keyring_that_does_not_answer_is_told(keyring: dict[tuple[str, str], str]) -> None:
    with pytest.raises(KeyRefused, match="keyring cannot be asked for rtface/broken: locked"):
        read_key("keyring:rtface/broken")
    with pytest.raises(KeyRefused, match="keyring has no rtface/none"):
        read_key("keyring:rtface/none")
    with pytest.raises(KeyRefused, match="two names: keyring:SERVICE/NAME"):
        read_key("keyring:rtface")


def test_real_keyring_without_a_store_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself, with its backend for machines that have none."""
    pytest.importorskip("keyring")
    import keyring.backends.fail

    monkeypatch.setattr("keyring.core._keyring_backend", keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    with pytest.raises(KeyRefused, match="keyring cannot be asked for rtface/gallery: No recommended backend"):
        read_key("keyring:rtface/gallery")


def test_missing_keyring_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'rtface\[keyring\]'"):
        read_key("keyring:rtface/gallery")
