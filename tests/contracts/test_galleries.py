"""What every gallery does, in a file or on a server, whatever index it searches with."""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from rtface.errors import BadName, UnknownPerson
from rtface.gallery.index import IndexKind
from rtface.gallery.store import Person, PersonGallery, Picture
from rtface.interfaces import Gallery
from rtface.server_url import ServerUrl
from tests import postgres
from tests.gallery.samples import SIZE, clusters, distances, enroll, gallery_at, units

Kind = IndexKind | Literal["database"]
PLACES: dict[str, tuple[str, Kind]] = {
    "file, exact": ("file", "exact"),
    "file, hnsw": ("file", "hnsw"),
    "server, searched here": ("server", "exact"),
    "server, searched there": ("server", "database"),
    "server, searched there by its graph": ("graph", "database"),
}
BY_GRAPH = "?options=-c%20enable_seqscan%3Doff%20-c%20enable_sort%3Doff"
"""The server's planner compares with every row of so small a gallery, unless told not to."""


@dataclass(frozen=True)
class Place:
    """Where a gallery is, and how it is searched."""

    at: Path | ServerUrl
    kind: Kind

    def open(self, kind: Kind | None = None) -> PersonGallery:
        return gallery_at(self.at, index=kind or self.kind, patience=5)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    where, kind = PLACES[request.param]
    if where == "file":
        return Place(tmp_path / "g.db", kind)
    server = postgres.shared_server()
    return Place(server.url(server.new_database(), parameters=BY_GRAPH if where == "graph" else ""), kind)


def family(place: Place) -> PersonGallery:
    """Four people with six pictures each."""
    gallery = place.open()
    rows = clusters(1, people=4, each=6)
    for number, name in enumerate(["Ada", "Bob", "김민수", "Zoë"]):
        enroll(gallery, name, rows[6 * number : 6 * number + 6])
    return gallery


def refreshed_within(gallery: PersonGallery, *, seconds: float) -> bool:
    """A server tells of changes a moment later; a file is looked into."""
    until = time.monotonic() + seconds
    while not gallery.refresh():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def test_it_fits_the_joint(place: Place) -> None:
    gallery: Gallery = place.open()
    gallery.close()
    gallery.close()


def test_search_gives_the_nearest_rows_of_each_query(place: Place) -> None:
    rows = clusters(1, people=4, each=6)
    names = np.repeat(["Ada", "Bob", "김민수", "Zoë"], 6)
    queries = clusters(1, people=4, each=6, spread=0.5)[::5] * 0.9 + units(9, 5) * 0.1
    queries = np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True), np.float32)
    with family(place) as gallery:
        found = gallery.search(queries, 5)
    truth = distances(queries, rows)
    for row, near in zip(truth, found, strict=True):
        order = np.argsort(row)[:5]
        assert [neighbor.person for neighbor in near] == names[order].tolist()
        assert [neighbor.distance for neighbor in near] == pytest.approx(row[order], abs=3e-6)


def test_search_before_and_after_additions_agrees_with_a_fresh_opening(place: Place) -> None:
    rows, queries = units(1, 60), units(2, 10)
    with place.open() as gallery:
        assert gallery.search(queries, 3) == [[]] * 10
        for number in range(60):
            enroll(gallery, f"person {number % 7}", rows[number : number + 1], tag=str(number))
            nearest = gallery.search(rows[number : number + 1], 1)[0][0]
            assert nearest.person == f"person {number % 7}"
            assert nearest.distance < 1e-5
        grown = gallery.search(queries, 60)
    with place.open("exact") as gallery:
        assert [[near.person for near in row] for row in gallery.search(queries, 60)] == [
            [near.person for near in row] for row in grown
        ]


def test_no_query_and_more_neighbours_than_rows(place: Place) -> None:
    with family(place) as gallery:
        assert gallery.search(units(1, 0), 5) == []
        assert len(gallery.search(units(1, 1), 1000)[0]) == len(gallery) == 24


def test_people_and_pictures_are_listed(place: Place) -> None:
    with family(place) as gallery:
        assert gallery.people() == [Person(name, 6, 1_700_000_000.0) for name in ["Ada", "Bob", "Zoë", "김민수"]]
        assert gallery.counts() == {"Ada": 6, "Bob": 6, "Zoë": 6, "김민수": 6}
        assert gallery.pictures("Ada")[1] == Picture("Ada-1", "/pictures/Ada-1.jpg", 1_700_000_000.0, 0.5, revision=2)
        assert gallery.has_picture("Bob-3") == "Bob"
        assert gallery.has_picture("Bob-99") is None


def test_removed_person_is_found_nowhere(place: Place) -> None:
    with family(place) as gallery:
        gallery.search(units(1, 1), 5)
        gallery.remove("Bob")
        assert gallery.counts() == {"Ada": 6, "Zoë": 6, "김민수": 6}
        assert {near.person for near in gallery.search(units(1, 1), 100)[0]} == {"Ada", "Zoë", "김민수"}
        assert gallery.has_picture("Bob-3") is None
        assert gallery.check() == []
        with pytest.raises(UnknownPerson):
            gallery.pictures("Bob")
    with place.open() as gallery:
        assert len(gallery.search(units(1, 1), 100)[0]) == 18


def test_removed_person_can_be_enrolled_again(place: Place) -> None:
    with family(place) as gallery:
        gallery.search(units(1, 1), 5)
        gallery.remove("Zoë")
        enroll(gallery, "Zoë", units(50, 2))
        assert gallery.search(units(50, 1), 1)[0][0].person == "Zoë"
        assert gallery.counts()["Zoë"] == 2
        assert gallery.check() == []


def test_renamed_person_is_found_under_the_new_name(place: Place) -> None:
    with family(place) as gallery:
        before = gallery.search(units(1, 3), 24)
        gallery.rename("Bob", "  Robert ")
        after = gallery.search(units(1, 3), 24)
        assert [[near.person.replace("Robert", "Bob") for near in row] for row in after] == [
            [near.person for near in row] for row in before
        ]
        assert "Bob" not in gallery.counts()


def test_name_taken_by_somebody_else_is_refused(place: Place) -> None:
    with family(place) as gallery:
        with pytest.raises(BadName, match="already enrolled"):
            gallery.rename("Bob", "Ada")
        revision = gallery.revision
        gallery.rename("Bob", "Bob")
        assert gallery.revision == revision
        assert gallery.counts()["Bob"] == 6


def test_merged_people_are_one_with_the_pictures_and_words_of_both(place: Place) -> None:
    rows = clusters(1, people=4, each=6)
    with family(place) as gallery:
        gallery.search(rows[:1], 1)
        gallery.tag("Ada", ["night shift"])
        gallery.tag("Bob", ["gate", "night shift"])
        gallery.note("Bob", "came with the second film")
        gallery.merge("Bob", "Ada")
        assert gallery.counts() == {"Ada": 12, "Zoë": 6, "김민수": 6}
        assert [near.person for (near,) in gallery.search(rows, 1)] == ["Ada"] * 12 + ["김민수"] * 6 + ["Zoë"] * 6
        ada = gallery.person("Ada")
        assert ada.tags == ("gate", "night shift") and "came with the second film" in ada.note
        assert [picture.sha256 for picture in gallery.pictures("Ada")] == [
            f"{n}-{i}" for n in ("Ada", "Bob") for i in range(6)
        ]
        with pytest.raises(UnknownPerson):
            gallery.person("Bob")
        assert gallery.check() == []


def test_notes_and_tags_change_and_go(place: Place) -> None:
    with family(place) as gallery:
        gallery.note("Zoë", "rings twice")
        gallery.tag("Zoë", ["family", "key holder"])
        gallery.tag("Zoë", ["child"], remove=["key holder"])
        with place.open() as another:
            assert (another.person("Zoë").note, another.person("Zoë").tags) == ("rings twice", ("child", "family"))
        gallery.note("Zoë", "")
        gallery.tag("Zoë", remove=["child", "family"])
        assert gallery.person("Zoë") == Person("Zoë", 6, 1_700_000_000.0)


def test_whose_consent_has_ended_is_hidden_and_erased(place: Place) -> None:
    with family(place) as gallery:
        gallery.consent("Ada", "the front door", date(2200, 1, 1))
        consent = gallery.person("Ada").consent
        assert consent is not None and (consent.purpose, consent.until) == ("the front door", date(2200, 1, 1))
        assert gallery.expire() == []
        gallery.consent("Bob", "a test", date(2001, 1, 1))
        assert gallery.expire() == ["Bob"]
        assert gallery.counts() == {"Ada": 6, "Zoë": 6, "김민수": 6}
        assert {near.person for near in gallery.search(units(1, 1), 99)[0]} == set(gallery.counts())
        assert gallery.check() == []


def test_counter_examples_speak_against_their_person_and_go_with_them(place: Place) -> None:
    row = units(60, 1)[0]
    with family(place) as gallery:
        with pytest.raises(UnknownPerson):
            gallery.add("Nobody", row, sha256="no", file="x", quality=0.5, against=True)
        gallery.add("Ada", row, sha256="not-ada", file="x", quality=0.5, against=True)
        assert gallery.has_counter_example("Ada", "not-ada") and not gallery.has_counter_example("Bob", "not-ada")
        assert gallery.has_picture("not-ada") is None
        assert (gallery.person("Ada").pictures, gallery.person("Ada").counter_examples) == (6, 1)
        near = gallery.search(row[None], 1)[0][0]
        assert (near.person, near.against) == ("Ada", True)
        gallery.remove("Ada")
        assert gallery.search(row[None], 1)[0][0].person != "Ada"
        assert gallery.check() == []


def test_unknown_person_is_told_with_a_suggestion(place: Place) -> None:
    with family(place) as gallery:
        for act in (gallery.remove, gallery.pictures, lambda name: gallery.rename(name, "Eve")):
            with pytest.raises(UnknownPerson, match="Did you mean 'Zoë'"):
                act("zoë")


def test_revision_grows_with_every_change_and_only_then(place: Place) -> None:
    with family(place) as gallery:
        revisions = [gallery.revision]
        enroll(gallery, "Ada", units(7, 1), tag="new")
        revisions.append(gallery.revision)
        gallery.rename("Ada", "Eve")
        revisions.append(gallery.revision)
        gallery.remove("Eve")
        revisions.append(gallery.revision)
        assert sorted(set(revisions)) == revisions
        enroll(gallery, "Bob", clusters(1, 4, 6)[6:12])
        gallery.search(units(1, 1), 5)
        gallery.check()
        assert gallery.revision == revisions[-1]
    with place.open() as gallery:
        assert gallery.revision == revisions[-1]


def test_changes_of_another_program_are_taken_in_by_refresh(place: Place) -> None:
    with family(place) as reader, place.open() as writer:
        reader.search(units(1, 1), 5)
        assert not reader.refresh()
        enroll(writer, "Eve", units(77, 3))
        writer.rename("Ada", "Augusta")
        writer.remove("Bob")
        if place.kind != "database":  # where everything is seen at once
            assert reader.counts()["Bob"] == 6
        assert refreshed_within(reader, seconds=1)
        assert reader.counts() == {"Augusta": 6, "Zoë": 6, "김민수": 6, "Eve": 3} == writer.counts()
        assert reader.revision == writer.revision
        assert reader.search(units(77, 1), 1)[0][0].person == "Eve"
        assert {near.person for near in reader.search(units(1, 1), 99)[0]} == set(reader.counts())
        assert not reader.refresh()
        assert reader.check() == []


def test_random_life_agrees_with_brute_force(place: Place) -> None:
    rng = np.random.default_rng(11)
    truth: dict[str, list[np.ndarray[tuple[int], np.dtype[np.float32]]]] = {}
    gallery = place.open()
    rows = iter(units(12, 400))
    for step in range(150):
        act = rng.choice(["add", "add", "add", "add", "remove", "rename", "reopen"])
        name = f"person {rng.integers(8)}"
        if act == "add":
            row = next(rows)
            gallery.add(name, row, sha256=str(step), file="x", quality=0.1)
            truth.setdefault(name, []).append(row)
        elif act == "remove" and name in truth:
            gallery.remove(name)
            del truth[name]
        elif act == "rename" and name in truth:
            gallery.rename(name, f"renamed {step}")
            truth[f"renamed {step}"] = truth.pop(name)
        elif act == "reopen":
            gallery.close()
            gallery = place.open()
        people = [person for person, kept in truth.items() for _ in kept]
        if people:
            query = units(1000 + step, 1)
            at = distances(query, np.stack([row for kept in truth.values() for row in kept]))[0]
            order = np.argsort(at)[:4]
            found = gallery.search(query, 4)[0]
            assert [near.person for near in found] == [people[row] for row in order]
            assert [near.distance for near in found] == pytest.approx(at[order], abs=3e-6)
    assert gallery.counts() == {name: len(kept) for name, kept in truth.items()}
    assert gallery.check() == []
    gallery.close()


def test_row_that_is_no_embedding_is_refused_and_leaves_nothing(place: Place) -> None:
    with place.open() as gallery:
        bad = [
            units(1, 1)[0] * 2,
            units(1, 1, SIZE + 1)[0],
            np.full(SIZE, np.nan, np.float32),
            np.zeros(SIZE, np.float32),
        ]
        for row in bad:
            with pytest.raises(ValueError, match="norm 1"):
                gallery.add("Ada", row, sha256="x", file="x", quality=0.5)
        assert (gallery.people(), len(gallery), gallery.revision) == ([], 0, 0)
