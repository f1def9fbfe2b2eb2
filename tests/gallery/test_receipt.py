"""Somebody is erased, and the receipt says so truly: what there was, that nothing is left, or what is."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryUnavailable, UnknownPerson
from rtface.gallery.index import IndexKind
from rtface.gallery.receipt import Erased, erase, hashed
from rtface.gallery.store import PersonGallery
from rtface.gallery.vectors import FORMS
from tests.gallery.samples import bytes_on_disk, gallery_at, units

NAME = "Ada Secretname"
KEY = bytes(range(32))


def crop(seed: int) -> bytes:
    return b"\xff\xd8 the same beginning of every JPEG" * 10 + np.random.default_rng(seed).bytes(900)


def fill(gallery: PersonGallery, name: str, seed: int, *, count: int = 5, against: int = 0) -> None:
    for place, row in enumerate(units(seed, count)):
        gallery.add(
            name,
            row,
            sha256=f"{seed}-{place}" * 16,
            file=f"/pictures/of {name}/{place}.jpg",
            quality=0.5,
            against=place >= count - against,
            crop=crop(seed + place),
        )


def opened(path: Path, *, key: bytes | None = None, kind: IndexKind = "exact", form: str = "float32") -> PersonGallery:
    """Ada, of whom everything is known, and Bob."""
    gallery_at(path, key=key).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET form = ?", (form,))
    gallery = gallery_at(path, key=key, index=kind)
    fill(gallery, NAME, 10, against=1)
    fill(gallery, "Bob", 20)
    gallery.note(NAME, "has a secret note")
    gallery.tag(NAME, ["secret tag", "family"])
    gallery.tag("Bob", ["family"])
    gallery.consent(NAME, "opening the secret door")
    gallery.search(units(1, 1), 3)
    return gallery


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "sealed"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_receipt_counts_what_was_erased_and_finds_nothing_left(
    tmp_path: Path, key: bytes | None, form: str, kind: IndexKind
) -> None:
    if key:
        pytest.importorskip("cryptography")
    with opened(tmp_path / "g.db", key=key, form=form, kind=kind) as gallery:
        before = gallery.revision
        receipt = erase(gallery, NAME, 5.0)
        assert gallery.counts() == {"Bob": 5} and gallery.revision == receipt.revision > before
        assert receipt.erased == Erased(4, 1, 5, 5, 2, note=True, consent=True)
        assert receipt.complete and [file.found for file in receipt.files if file.found] == []
        assert {"g.db", "g.db-wal"} <= {file.file for file in receipt.files}
        assert receipt.texts == 14 and receipt.texts_left_out == 1  # the tag that Bob has too
        vector = 128 if form == "float32" else 32
        assert receipt.pieces > 5 * (vector + (28 if key else 0)) // 8
        data = bytes_on_disk(tmp_path / "g.db")
        assert b"secret" not in data and b"Secretname" not in data


def test_receipt_names_nobody_and_the_name_confirms_it(tmp_path: Path) -> None:
    with opened(tmp_path / "g.db") as gallery:
        receipt = erase(gallery, NAME, 5.0)
    assert not any(word in str(asdict(receipt)) for word in ("Ada", "Secret", "secret", "/pictures"))
    salt = bytes.fromhex(receipt.salt)
    assert receipt.name_scrypt == hashed(NAME, salt).hex() != hashed("Bob", salt).hex()
    assert hashed(NAME, salt) != hashed(NAME, bytes(16))


def test_copy_somebody_made_beside_the_gallery_is_found(tmp_path: Path) -> None:
    gallery = opened(tmp_path / "g.db")
    gallery.close()
    shutil.copy(tmp_path / "g.db", tmp_path / "g.db.bak")
    with gallery_at(tmp_path / "g.db") as gallery:
        receipt = erase(gallery, NAME, 5.0)
    found = {file.file: file.found for file in receipt.files if not file.own}
    assert set(found) == {"g.db.bak"} and found["g.db.bak"] > receipt.pieces / 2
    assert receipt.complete


def test_remains_in_the_gallery_s_own_files_are_not_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that does not erase, and freed bytes that are not overwritten."""
    with opened(tmp_path / "g.db") as gallery:
        monkeypatch.setattr(gallery.database, "erase_traces", lambda: None)
        gallery.database.rows("PRAGMA secure_delete = OFF")
        receipt = erase(gallery, NAME, 5.0)
        assert not receipt.complete
        assert sum(file.found for file in receipt.files if file.own) > 100


def test_erasure_a_reader_holds_up_is_said_to_be_unfinished(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "g.db") as gallery,
        closing(sqlite3.connect(tmp_path / "g.db", isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchone()
        receipt = erase(gallery, NAME, 5.0)
        assert "Another program is reading" in receipt.remaining and not receipt.complete
        assert gallery.counts() == {"Bob": 5}


def test_picture_somebody_else_has_too_is_no_remains(tmp_path: Path) -> None:
    with opened(tmp_path / "g.db") as gallery:
        (row,) = units(10, 1)
        gallery.add("Bob", row, sha256="10-0" * 16, file=f"/pictures/of {NAME}/0.jpg", quality=0.5, against=True)
        receipt = erase(gallery, NAME, 5.0)
        assert receipt.complete and gallery.counts() == {"Bob": 5}


def test_nobody_is_erased_where_nothing_can_be_written(tmp_path: Path) -> None:
    with opened(tmp_path / "g.db") as gallery:
        with pytest.raises(UnknownPerson):
            erase(gallery, "Cyd", 5.0)
        with closing(sqlite3.connect(tmp_path / "g.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(GalleryUnavailable, match="locked"):
                erase(gallery, NAME, 5.0)
        assert gallery.counts() == {NAME: 4, "Bob": 5}
