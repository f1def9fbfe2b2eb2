"""A whole gallery moves between a file and a server, both ways, and nothing of it is lost or changed."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import GalleryBroken, GalleryMismatch, KeyRefused
from rtface.gallery.copy_ends import Place
from rtface.gallery.copying import copy_gallery
from rtface.gallery.people import Provenance
from rtface.gallery.portable import export_gallery
from rtface.gallery.store import PersonGallery
from tests import postgres
from tests.gallery.samples import clusters, enroll, gallery_at, units

KEY = bytes(range(32))


def new_file(folder: Path, name: str) -> Place:
    return folder / f"{name}.db"


def new_database(folder: Path, name: str) -> Place:
    server = postgres.shared_server()
    return server.url(server.new_database())


MAKERS: dict[str, Callable[[Path, str], Place]] = {"file": new_file, "server": new_database}
WAYS = [("file", "server"), ("server", "file"), ("server", "server"), ("file", "file")]


def fill(gallery: PersonGallery) -> None:
    """Everything a gallery can hold, and ids that are gone."""
    rows = clusters(3, people=3, each=4)
    for number, name in enumerate(["Ada", "김민수", "Gone"]):
        enroll(gallery, name, rows[4 * number : 4 * number + 4])
    how = Provenance("camera", "yunet", "onnxruntime int8", (1.5, 2.25, 3.0, 4.0))
    gallery.add(
        "Ada", units(9, 1)[0], sha256="x", file="odd\udcff name", quality=0.1, provenance=how, crop=b"\xff\xd8jpeg\0"
    )
    gallery.add("Ada", units(10, 1)[0], sha256="not her", file="y", quality=1 / 3, against=True)
    gallery.note("Ada", "first\nsecond")
    gallery.tag("Ada", ["staff", "Zürich"])
    gallery.consent("김민수", "door", date(2999, 12, 31))
    gallery.rename("김민수", "김철수")
    gallery.remove("Gone")


def state(gallery: PersonGallery) -> object:
    """All that can be asked of a gallery."""
    people = gallery.people()
    ids = gallery.database.rows("SELECT id, person_id, sha256 FROM pictures ORDER BY id")
    crops = gallery.database.rows("SELECT picture_id FROM crops")
    found = gallery.search(units(4, 5), 9)
    return people, [gallery.pictures(person.name) for person in people], ids, crops, gallery.revision, found


@pytest.mark.parametrize(("start", "end"), WAYS)
def test_copy_is_the_gallery_under_the_same_numbers(tmp_path: Path, start: str, end: str) -> None:
    source, target = MAKERS[start](tmp_path, "a"), MAKERS[end](tmp_path, "b")
    with gallery_at(source) as gallery:
        fill(gallery)
        before = state(gallery)
    done = copy_gallery(source, target)
    assert done.rows == {"people": 2, "tags": 2, "pictures": 10, "embeddings": 10, "crops": 1, "changes": 3}
    with gallery_at(target, create=False, index="exact") as gallery:
        assert state(gallery) == before
        assert gallery.check() == []
        gallery.add("New", units(50, 1)[0], sha256="new", file="n", quality=0.5)
        ((last,),) = gallery.database.rows("SELECT max(id) FROM pictures")
    assert last == 15, "a number that somebody removed had is given again"


def test_there_and_back_is_the_same_to_the_byte(tmp_path: Path) -> None:
    first, middle, last = tmp_path / "a.db", new_database(tmp_path, "m"), tmp_path / "z.db"
    with gallery_at(first) as gallery:
        fill(gallery)
        export_gallery(gallery, tmp_path / "a.gz", crops=True)
    assert copy_gallery(first, middle).sha256 == copy_gallery(middle, last).sha256
    with gallery_at(last) as gallery:
        export_gallery(gallery, tmp_path / "z.gz", crops=True)
        ours = dict(gallery.database.rows("SELECT picture_id, vector FROM embeddings"))
    with gallery_at(first) as gallery:
        assert ours == dict(gallery.database.rows("SELECT picture_id, vector FROM embeddings"))


def test_copy_on_a_server_is_searched_there(tmp_path: Path) -> None:
    source, target = tmp_path / "a.db", new_database(tmp_path, "b")
    with gallery_at(source) as gallery:
        fill(gallery)
        truth = gallery.search(units(4, 5), 3)
    copy_gallery(source, target)
    with gallery_at(target, index="database") as gallery:
        found = gallery.search(units(4, 5), 3)
        assert gallery.check() == []
        assert gallery.searcher.saved_bytes() > 0
    assert [[near.picture for near in row] for row in found] == [[near.picture for near in row] for row in truth]


@pytest.mark.parametrize("end", MAKERS)
def test_gallery_that_was_used_is_not_written_over(tmp_path: Path, end: str) -> None:
    source, target = tmp_path / "a.db", MAKERS[end](tmp_path, "b")
    for place, name in ((source, "Ada"), (target, "Bob")):
        with gallery_at(place) as gallery:
            enroll(gallery, name, units(1, 2))
    with pytest.raises(GalleryMismatch, match="used before"):
        copy_gallery(source, target)
    with gallery_at(target) as gallery:
        assert gallery.counts() == {"Bob": 2}


@pytest.mark.parametrize("end", MAKERS)
def test_copy_that_fails_leaves_nothing(tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a.db", MAKERS[end](tmp_path, "b")
    with gallery_at(source) as gallery:
        fill(gallery)
    monkeypatch.setattr("rtface.gallery.copying._digest", lambda *given: "another")
    with pytest.raises(GalleryBroken, match="came out otherwise"):
        copy_gallery(source, target)
    assert not (isinstance(target, Path) and target.exists())
    monkeypatch.undo()
    assert copy_gallery(source, target).rows["people"] == 2


@pytest.mark.parametrize(("start", "end"), WAYS[:2])
def test_encrypted_gallery_s_copy_is_encrypted_with_the_same_key(tmp_path: Path, start: str, end: str) -> None:
    pytest.importorskip("cryptography")
    source, target = MAKERS[start](tmp_path, "a"), MAKERS[end](tmp_path, "b")
    with gallery_at(source, key=KEY) as gallery:
        fill(gallery)
        before = state(gallery)
    with pytest.raises(KeyRefused):
        copy_gallery(source, target)
    copy_gallery(source, target, key=lambda: KEY)
    with pytest.raises(KeyRefused):
        gallery_at(target)
    with gallery_at(target, key=KEY) as gallery:
        assert state(gallery) == before
        assert gallery.check() == []
        plain = units(9, 1)[0].tobytes()
        stored = [vector for (vector,) in gallery.database.rows("SELECT vector FROM embeddings")]
    assert all(isinstance(vector, bytes) and len(vector) > len(plain) for vector in stored)
    assert not any(plain[:8] in vector for vector in stored)


def test_every_float_comes_through_as_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times, qualities = rng.random(200) * 2e9, rng.random(200)
    source, target = tmp_path / "a.db", new_database(tmp_path, "b")
    with gallery_at(source) as gallery:
        for number, row in enumerate(units(1, 200)):
            gallery.add("Ada", row, sha256=str(number), file="f", quality=qualities[number])
        with gallery.database.writing():
            gallery.database.execute_many(
                "UPDATE pictures SET added_at = ? WHERE id = ?",
                [(float(at), number) for number, at in enumerate(times, 1)],
            )
    copy_gallery(source, target)
    with gallery_at(target) as gallery:
        kept = gallery.pictures("Ada")
    assert [picture.added_at for picture in kept] == times.tolist()
    assert [picture.quality for picture in kept] == qualities.tolist()
