"""A gallery in one file: what goes in comes out, and what is not whole is never taken for it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.errors import GalleryBroken, GalleryMismatch, GalleryUnavailable
from rtface.gallery import people, portable
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.model import GalleryModel
from rtface.gallery.people import Provenance
from rtface.gallery.portable import Amount, Entry, export_gallery, read_export
from tests.gallery.samples import SIZE, enroll, gallery_at, units

MODEL = GalleryModel("facenet", "1f2e", SIZE)
FACE = b"\xff\xd8 not really a picture"


@pytest.fixture
def gallery(tmp_path: Path) -> PersonGallery:
    """Ada with all that can be known of anybody, 김민수 with two rows."""
    gallery = gallery_at(tmp_path / "g.db")
    gallery.add(
        "Ada",
        units(1, 1)[0],
        sha256="a0",
        file="/pictures/Ädä \n.jpg",
        quality=0.25,
        provenance=Provenance("camera", "yunet", "onnxruntime int8", (1.5, -2.0, 30.0, 40.25)),
        crop=FACE,
    )
    gallery.add("Ada", units(2, 1)[0], sha256="a1", file="x", quality=1.0, against=True)
    gallery.note("Ada", "two\nlines “quoted” \U0001f600")
    gallery.tag("Ada", ["family", "café"])
    gallery.consent("Ada", "the front door", date(2031, 2, 28))
    enroll(gallery, "김민수", units(3, 2))
    return gallery


@pytest.fixture
def file(gallery: PersonGallery, tmp_path: Path) -> Path:
    """The gallery exported, with faces."""
    assert export_gallery(gallery, tmp_path / "all.gz", crops=True) == Amount(2, 4)
    return tmp_path / "all.gz"


def entries(file: Path, model: GalleryModel = MODEL) -> list[Entry]:
    with read_export(file, model) as export:
        return list(export.entries)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """Read as any other program would: gunzip, then JSON a line."""
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode("utf-8").splitlines()]


def rewritten(file: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """The file with its lines changed and, as a forger would, its checksum made right again."""
    lines = lines_of(file)
    change(lines)
    body = b""
    for line in lines:
        if "end" in line:
            line["end"]["sha256"] = hashlib.sha256(body).hexdigest()
        body += json.dumps(line).encode() + b"\n"
    file.write_bytes(gzip.compress(body))
    return file


def test_everything_known_of_people_comes_out_again(gallery: PersonGallery, file: Path) -> None:
    ada, minsu = entries(file)
    known = gallery.person("Ada")
    assert (ada.person.name, ada.person.note, ada.person.tags) == ("Ada", known.note, ("café", "family"))
    assert (ada.person.consent, ada.person.created_at) == (known.consent, known.created_at)
    for row, picture in zip(ada.rows, gallery.pictures("Ada"), strict=True):
        there = row.picture
        assert (there.sha256, there.file, there.added_at) == (picture.sha256, picture.file, picture.added_at)
        assert (there.quality, there.against) == (picture.quality, picture.against)
        how = picture.provenance
        assert there.provenance == Provenance("import", how.detector, how.embedder, how.box)
    assert [row.crop for row in ada.rows] == [FACE, None]
    assert np.array_equal(ada.rows[0].embedding, units(1, 1)[0])
    assert np.array_equal([row.embedding for row in minsu.rows], units(3, 2))


def test_any_program_can_read_the_file(file: Path) -> None:
    header, ada, row, *_, end = lines_of(file)
    assert (header["format"], header["version"], header["name"]) == ("rtface gallery", 1, "facenet")
    assert (header["size"], header["numbers"], header["form"]) == (SIZE, SIZE, "float32")
    assert ada["person"]["consent"]["until"] == "2031-02-28"
    assert row["row"]["origin"] == "camera"
    embedding = np.frombuffer(base64.standard_b64decode(row["row"]["embedding"]), "<f4")
    assert np.array_equal(embedding, units(1, 1)[0])
    assert base64.standard_b64decode(row["row"]["crop"]) == FACE
    before_end = b"".join(gzip.decompress(file.read_bytes()).splitlines(keepends=True)[:-1])
    assert end["end"] == {"people": 2, "rows": 4, "sha256": hashlib.sha256(before_end).hexdigest()}


def test_faces_stay_at_home_unless_asked_for(gallery: PersonGallery, file: Path, tmp_path: Path) -> None:
    export_gallery(gallery, tmp_path / "bare.gz", crops=False)
    assert [row.crop for entry in entries(tmp_path / "bare.gz") for row in entry.rows] == [None] * 4
    assert FACE not in gzip.decompress((tmp_path / "bare.gz").read_bytes())


def test_the_same_gallery_gives_the_same_bytes(gallery: PersonGallery, file: Path, tmp_path: Path) -> None:
    export_gallery(gallery, tmp_path / "again.gz", crops=True)
    assert (tmp_path / "again.gz").read_bytes() == file.read_bytes()


def test_only_the_owner_can_read_it_whatever_was_there_before(
    gallery: PersonGallery, file: Path, tmp_path: Path
) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    before = os.umask(0)
    try:
        export_gallery(gallery, file, crops=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_export_that_fails_leaves_the_one_before_and_nothing_beside_it(
    gallery: PersonGallery, file: Path, tmp_path: Path
) -> None:
    whole, names = file.read_bytes(), sorted(tmp_path.iterdir())
    with gallery.database.writing():
        gallery.database.execute("UPDATE embeddings SET vector = x'00' WHERE picture_id = 4")
    with pytest.raises(GalleryBroken, match="rtface gallery check"):
        export_gallery(gallery, file, crops=True)
    assert file.read_bytes() == whole
    assert sorted(tmp_path.iterdir()) == names


def test_nothing_but_an_export_is_written_over(gallery: PersonGallery, tmp_path: Path) -> None:
    photo = tmp_path / "ada.jpg"
    photo.write_bytes(FACE)
    for place in (photo, tmp_path / "g.db"):
        before = place.read_bytes()
        with pytest.raises(GalleryUnavailable, match="is there already and is no export"):
            export_gallery(gallery, place, crops=False)
        assert place.read_bytes() == before
    (tmp_path / "empty").touch()
    assert export_gallery(gallery, tmp_path / "empty", crops=False) == Amount(2, 4)


@pytest.mark.parametrize("place", ["nowhere/all.gz", "folder"])
def test_export_to_where_no_file_can_be_is_told(gallery: PersonGallery, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(GalleryUnavailable, match="cannot be written"):
        export_gallery(gallery, tmp_path / place, crops=False)


def test_export_is_of_one_moment_whatever_is_enrolled_meanwhile(
    gallery: PersonGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enrolling(*about: Any) -> Any:
        with gallery_at(tmp_path / "g.db") as other:
            enroll(other, "김민수", units(50, 1), tag=str(about[1]))
        return people.pictures_of(*about)

    monkeypatch.setattr(portable, "pictures_of", enrolling)
    assert export_gallery(gallery, tmp_path / "moment.gz", crops=False) == Amount(2, 4)
    assert len(gallery.pictures("김민수")) == 4


def test_every_shortened_file_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(0, len(whole), 29):
        file.write_bytes(whole[:length])
        with pytest.raises(GalleryBroken, match="is no whole export"):
            entries(file)
    packed = zlib.compressobj(wbits=31)
    text = gzip.decompress(whole)
    for length in range(0, len(text), 97):
        packed = zlib.compressobj(wbits=31)
        file.write_bytes(packed.compress(text[:length]) + packed.flush())
        with pytest.raises(GalleryBroken, match="is no whole export"):
            entries(file)


def test_every_changed_byte_is_noticed(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    refused = 0
    for place in range(10, len(whole), 7):  # the ten before are gzip's header: time, system ...
        whole[place] ^= 0x10
        file.write_bytes(whole)
        with pytest.raises((GalleryBroken, GalleryMismatch)):
            entries(file)
        refused += 1
        whole[place] ^= 0x10
    assert refused > 100


def test_changed_text_under_the_old_checksum_is_noticed(file: Path) -> None:
    text = gzip.decompress(file.read_bytes())
    assert text.count(b"the front door") == 1
    file.write_bytes(gzip.compress(text.replace(b"the front door", b"all the doors.")))
    with pytest.raises(GalleryBroken, match="checksum"):
        entries(file)


def edit(place: int, kind: str, **fields: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda lines: lines[place][kind].update(fields)


def without(place: int, kind: str, field: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda lines: lines[place][kind].pop(field)


def short(lines: list[dict[str, Any]]) -> None:
    lines[2]["row"]["embedding"] = base64.b64encode(units(1, 1)[0, :-1].tobytes()).decode()


def long_vector(lines: list[dict[str, Any]]) -> None:
    lines[2]["row"]["embedding"] = base64.b64encode((2 * units(1, 1)[0]).tobytes()).decode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (edit(2, "row", quality=float("nan")), "quality"),
        (edit(2, "row", quality=1.5), "quality"),
        (edit(2, "row", added_at=float("inf")), "added_at"),
        (edit(2, "row", added_at=1e30), "added_at"),
        (edit(2, "row", added_at="yesterday"), "added_at"),
        (edit(2, "row", box=[0, 1, float("nan"), 3]), "box"),
        (edit(2, "row", box=[0, 1, 2]), "box"),
        (edit(2, "row", against="no"), "against"),
        (edit(2, "row", file="\ud800"), "JSON"),
        (edit(2, "row", sha256="\0"), "zero character"),
        (edit(2, "row", sha256=None), "sha256"),
        (edit(2, "row", embedding="!"), "embedding"),
        (edit(2, "row", embedding=""), "another length"),
        (edit(2, "row", crop=base64.b64encode(b"GIF89a").decode()), "no JPEG"),
        (short, "another length"),
        (long_vector, "not a unit vector"),
        (without(2, "row", "embedding"), "embedding"),
        (edit(1, "person", name=7), "name"),
        (edit(1, "person", tags="family"), "tags"),
        (edit(1, "person", consent={"given_at": 0, "purpose": "door", "until": "2031-02-30"}), "until"),
        (without(1, "person", "created_at"), "created_at"),
        (lambda lines: lines.insert(1, lines[2]), "out of place"),
        (lambda lines: lines.insert(1, {}), "out of place"),
        (lambda lines: lines.pop(2), "checksum"),
        (lambda lines: lines.insert(1, {"end": {"people": 0, "rows": 0, "sha256": ""}}), "follows its end"),
        (lambda lines: lines.append(lines[-1]), "follows its end"),
        (lambda lines: lines.append({"person": lines[1]["person"]}), "follows its end"),
        (lambda lines: lines.pop(), "cut off"),
        (lambda lines: lines[0].update(format="a diary"), "format"),
        (lambda lines: lines[0].update(numbers=0), "numbers"),
        (lambda lines: lines[0].pop("name"), "name"),
    ],
)
def test_forged_lines_are_refused_with_what_is_wrong(
    file: Path, change: Callable[[list[dict[str, Any]]], object], told: str
) -> None:
    with pytest.raises(GalleryBroken, match=told) as refusal:
        entries(rewritten(file, change))
    assert len(str(refusal.value)) < 400, "no vector in a message"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b"not JSON\n",
        b"\xff\xfe\n",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"format": "rtface gallery"}\n',
        b'{"format": "rtface gallery", "version": "1"}\n',
    ],
)
def test_anything_else_in_gzip_is_refused(file: Path, body: bytes) -> None:
    file.write_bytes(gzip.compress(body))
    with pytest.raises(GalleryBroken, match="is no whole export"):
        entries(file)


@pytest.mark.parametrize("body", [b"", b"x", b"\x1f\x8b", b"SQLite format 3\0" * 100, b"\x89PNG\r\n"])
def test_any_other_file_is_refused(file: Path, body: bytes) -> None:
    file.write_bytes(body)
    with pytest.raises(GalleryBroken, match="is no whole export"):
        entries(file)


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere.gz", tmp_path):
        with pytest.raises(GalleryUnavailable, match="cannot be read"):
            entries(place)


def test_newer_version_is_refused_with_the_cure_whatever_its_lines_look_like(file: Path) -> None:
    file.write_bytes(gzip.compress(b'{"format": "rtface gallery", "version": 2, "models": ["a", "b"]}\nbinary \x00'))
    with pytest.raises(GalleryBroken, match=r"newer rtface \(version 2 .* pip install --upgrade rtface"):
        entries(file)


def test_fields_this_version_does_not_know_are_left_aside(file: Path) -> None:
    assert len(entries(rewritten(file, edit(2, "row", mood="good")))) == 2


@pytest.mark.parametrize(
    "other",
    [GalleryModel("sface", "1f2e", SIZE), GalleryModel("facenet", "9999", SIZE), GalleryModel("facenet", "1f2e", 8)],
)
def test_file_of_another_model_is_refused_with_the_way_out(file: Path, other: GalleryModel) -> None:
    with pytest.raises(GalleryMismatch, match="--set embedder=facenet --set gallery=FILE"):
        entries(file, other)


def test_bomb_is_refused_before_it_fills_the_memory(file: Path) -> None:
    """100 MB of spaces in 100 kB, then the same as one endless person."""
    import tracemalloc

    header = gzip.decompress(file.read_bytes()).splitlines(keepends=True)[0]
    packed = zlib.compressobj(level=1, wbits=31)
    blob = packed.compress(header) + packed.compress(b" " * 100_000_000) + packed.flush()
    assert len(blob) < 1_000_000
    file.write_bytes(blob)
    tracemalloc.start()
    try:
        with pytest.raises(GalleryBroken, match="is no whole export"):
            entries(file)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_endless_person_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "LARGEST_PERSON", 5_000)
    assert len(entries(file)) == 2

    def endless(lines: list[dict[str, Any]]) -> None:
        lines[2:2] = [lines[2]] * 20

    with pytest.raises(GalleryBroken, match="out of place"):
        entries(rewritten(file, endless))
