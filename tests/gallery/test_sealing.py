"""What is sealed opens with its key, for its row, and not otherwise."""

import os
from pathlib import Path

import pytest

from rtface.errors import GalleryBroken, KeyRefused
from rtface.gallery.sealed_file import PART_BYTES, file_in_memory, open_file, seal_file
from rtface.gallery.sealing import OVERHEAD, Seal, new_record, sealer_for

pytest.importorskip("cryptography")

KEY, OTHER = bytes(range(32)), bytes(32)


@pytest.fixture
def seal() -> Seal:
    return Seal(KEY, new_record(KEY))


def test_value_opens_for_its_row_only(seal: Seal) -> None:
    stored = seal.seal(b"a face", "vector", 7)
    assert seal.opened(stored, "vector", 7) == b"a face"
    assert len(stored) == len(b"a face") + OVERHEAD
    assert seal.opened(stored, "vector", 8) is None
    assert seal.opened(stored, "crop", 7) is None


def test_same_value_is_never_sealed_alike(seal: Seal) -> None:
    assert len({seal.seal(b"a face", "vector", 7) for _ in range(1000)}) == 1000


def test_galleries_of_one_key_do_not_open_each_other_s_values(seal: Seal) -> None:
    assert Seal(KEY, new_record(KEY)).opened(seal.seal(b"a face", "vector", 7), "vector", 7) is None


def test_gallery_opens_again_with_its_record(seal: Seal) -> None:
    assert Seal(KEY, seal.record or b"").opened(seal.seal(b"a face", "vector", 7), "vector", 7) == b"a face"


def test_every_changed_bit_is_noticed(seal: Seal) -> None:
    stored = seal.seal(b"face", "vector", -1)
    for bit in range(8 * len(stored)):
        changed = bytearray(stored)
        changed[bit // 8] ^= 1 << bit % 8
        assert seal.opened(bytes(changed), "vector", -1) is None


@pytest.mark.parametrize("stored", [b"", b"short", None, 7, "text"])
def test_what_was_never_sealed_does_not_open(seal: Seal, stored: object) -> None:
    assert seal.opened(stored, "vector", 1) is None


def test_wrong_missing_and_unwanted_keys_are_told_apart() -> None:
    record = new_record(KEY)
    with pytest.raises(KeyRefused, match=r"not the key of the gallery g\.db.*rotate-key"):
        sealer_for(record, OTHER, "g.db")
    with pytest.raises(KeyRefused, match=r"g\.db is encrypted and no key is set: --set gallery_key=file:PATH"):
        sealer_for(record, None, "g.db")
    with pytest.raises(KeyRefused, match=r"g\.db is not encrypted: rtface gallery encrypt"):
        sealer_for(None, KEY, "g.db")


@pytest.mark.parametrize("record", [b"", b"\x02" + new_record(KEY)[1:], new_record(KEY)[:-1]])
def test_record_that_is_none_is_told(record: bytes) -> None:
    with pytest.raises(GalleryBroken, match=r"g\.db cannot be opened.*newer rtface"):
        sealer_for(record, KEY, "g.db")


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1])
def test_file_of_any_size_is_sealed_and_opened(tmp_path: Path, seal: Seal, size: int) -> None:
    content, sealed = os.urandom(size), tmp_path / "sealed"
    with file_in_memory() as plain:
        plain.write_bytes(content)
        seal_file(plain, sealed, seal)
    assert size < 1000 or content[:64] not in sealed.read_bytes()
    with file_in_memory() as plain:
        open_file(sealed, plain, seal)
        assert plain.read_bytes() == content


def test_file_whose_parts_changed_places_does_not_open(tmp_path: Path, seal: Seal) -> None:
    sealed = tmp_path / "sealed"
    with file_in_memory() as plain:
        plain.write_bytes(os.urandom(2 * PART_BYTES))
        seal_file(plain, sealed, seal)
    data, part = sealed.read_bytes(), PART_BYTES + OVERHEAD
    sealed.write_bytes(data[part:] + data[:part])
    with file_in_memory() as plain, pytest.raises(ValueError, match="another key"):
        open_file(sealed, plain, seal)
