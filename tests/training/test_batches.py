"""What a batch is made up of, and that a source goes on from a position as if it had never stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

from rtface.errors import PictureError, TrainingError
from rtface.training.augmentation import NOTHING, Augmentation, augment
from rtface.training.batches import BatchShape, PeopleBatches, TripletBatches
from rtface.training.loading import Loader
from rtface.training.offline import subset
from rtface.training.people import CropReader, read_people, split
from tests.models.given import noise
from tests.training.sample import folder_of, reader_of


def owners(*counts: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.repeat(np.arange(len(counts)), counts).astype(np.int64)


def test_the_papers_batch_is_people_of_forty_and_strangers() -> None:
    people = owners(*[60] * 80, *[1] * 400)
    batch = PeopleBatches(people, BatchShape(), seed=0).take().rows
    counts = np.unique(people[batch], return_counts=True)[1]
    assert len(batch) == len(set(batch)) == 1800
    assert sorted(counts) == [1] * 200 + [40] * 40


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=30).filter(lambda counts: max(counts) > 1),
    st.integers(2, 6),
    st.integers(0, 8),
    st.integers(0, 20),
)
def test_whatever_the_people_a_batch_holds_pairs_and_nobody_too_often(
    counts: list[int], faces: int, negatives: int, more: int
) -> None:
    people, shape = owners(*counts), BatchShape(faces + negatives + more, faces, negatives)
    source = PeopleBatches(people, shape, seed=1)
    for _ in range(4):
        rows = source.take().rows
        per_person = np.bincount(people[rows], minlength=len(counts))
        assert len(rows) == len(set(rows.tolist())) <= shape.size
        assert per_person.max() >= 2, "no anchor-positive pair in it"
        assert per_person.max() <= faces


def test_everybody_with_several_faces_comes_before_anybody_comes_again() -> None:
    people = owners(*[4] * 12, 1, 1)
    source = PeopleBatches(people, BatchShape(size=9, faces=4, negatives=1), seed=5)
    seen = [{int(person) for person in people[source.take().rows] if person < 12} for _ in range(6)]
    together = [person for some in seen for person in some if np.sum(people == person) > 1]
    assert set(together) == set(range(12))


@pytest.mark.parametrize("kind", ["people", "triplets"])
def test_a_source_goes_on_from_its_position(kind: str) -> None:
    def source() -> PeopleBatches | TripletBatches:
        if kind == "people":
            return PeopleBatches(owners(*[5] * 7, 1, 1, 1), BatchShape(12, 4, 3), seed=2)
        return TripletBatches(np.random.default_rng(0).integers(0, 40, (25, 3)), 12, seed=2)

    first, second = source(), source()
    for _ in range(5):
        first.take()
    second.seek(first.position())
    for _ in range(12):
        a, b = first.take(), second.take()
        np.testing.assert_array_equal(a.rows, b.rows)
        if a.triplets is not None and b.triplets is not None:
            np.testing.assert_array_equal(a.triplets, b.triplets)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_batches_part_evenly(processes: int) -> None:
    people = PeopleBatches(
        owners(3, 3, 1, 1, 1), BatchShape(size=9, faces=3, negatives=2), seed=0, multiple_of=processes
    )
    triplets = TripletBatches(np.arange(21).reshape(7, 3), 9, seed=0, multiple_of=processes)
    assert all(len(source.take().rows) % processes == 0 for source in (people, triplets) for _ in range(5))


def test_batches_of_triplets_name_the_triplets_they_were_given() -> None:
    mined = np.random.default_rng(4).integers(0, 50, (20, 3))
    source = TripletBatches(mined, 12, seed=0, multiple_of=2)
    found = []
    for _ in range(5):
        batch = source.take()
        assert batch.triplets is not None
        found += [tuple(row) for row in batch.rows[batch.triplets].tolist()]
    assert sorted(found) == sorted(tuple(row) for row in mined.tolist()), "each once before any again"


@pytest.mark.parametrize("shape", [BatchShape(10, 1, 0), BatchShape(10, 8, 3), BatchShape(1, 2, 0)])
def test_a_batch_without_room_for_a_pair_is_refused(shape: BatchShape) -> None:
    with pytest.raises(TrainingError, match="at least two faces"):
        PeopleBatches(owners(4, 4), shape, seed=0)


def test_the_offline_subset_is_whole_people() -> None:
    people = owners(*[3, 5, 1, 2, 8, 4] * 5)
    rows = subset(people, 40, seed=0, step=10)
    assert 20 < len(rows) <= 40
    assert all(np.isin(np.flatnonzero(people == person), rows).all() for person in np.unique(people[rows]))
    assert set(rows) != set(subset(people, 40, seed=0, step=20)), "others each time"


def test_people_are_read_and_parted_by_person(tmp_path: Path) -> None:
    people = read_people(folder_of(tmp_path, people=12))
    assert people.names[0] == "person 00"
    assert len(people.pictures) == 11 * 5 + 1
    training, held = split(people, 0.25, 0)
    assert set(training.names).isdisjoint(held.names)
    assert sorted(training.names + held.names) == list(people.names)
    for part in (training, held):
        assert [part.names[owner] for owner in part.owners] == [picture.parent.name for picture in part.pictures]


def test_too_few_people_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder"):
        read_people(tmp_path / "nothing")
    (tmp_path / "one").mkdir()
    with pytest.raises(TrainingError, match="at least two"):
        read_people(tmp_path)
    with pytest.raises(TrainingError, match="--validation DIR"):
        split(read_people(folder_of(tmp_path / "few", people=3)), 0.1, 0)


def test_a_crop_of_another_size_is_brought_to_the_networks(tmp_path: Path) -> None:
    people = read_people(folder_of(tmp_path))
    assert CropReader(people, 96)(0).shape == (96, 96, 3)
    without_memory = CropReader(people, 64, memory_bytes=0)
    np.testing.assert_array_equal(without_memory(3), without_memory(3))


def test_a_damaged_crop_is_told_by_name(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    reader.people.pictures[2].write_bytes(b"no picture")
    loader = Loader(PeopleBatches(reader.people.owners, BatchShape(36, 5, 1), seed=0), reader, NOTHING, seed=0)
    with pytest.raises(PictureError, match=r"2\.png"):
        loader.take(0)
    loader.close()


def test_augmentation_is_the_same_for_the_same_draw_and_keeps_the_form() -> None:
    crop = noise(64, 64, 3)
    drawn = [augment(crop, Augmentation(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    assert all(one.shape == crop.shape and one.dtype == np.uint8 for one in drawn)


def test_no_augmentation_changes_nothing() -> None:
    crop = noise(64, 64, 3)
    np.testing.assert_array_equal(augment(crop, NOTHING, np.random.default_rng(0)), crop)


@pytest.mark.parametrize(
    "how", [{"mirror": 1.0}, {"zoom": 0.3}, {"shift": 0.2}, {"brightness": 0.5}, {"grey": 1.0}, {"jpeg": 1.0}]
)
def test_each_way_of_augmentation_changes_something(how: dict[str, float]) -> None:
    crop = noise(64, 64, 3)
    changed = augment(crop, replace(NOTHING, **how, worst_quality=30), np.random.default_rng(3))
    assert (changed != crop).any()
    if "mirror" in how:
        np.testing.assert_array_equal(changed, crop[:, ::-1])
    if "grey" in how:
        assert np.ptp(changed.astype(int), axis=2).max() == 0


def test_each_process_reads_its_part_of_the_same_batch(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)

    def crops(rank: int, world: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        source = PeopleBatches(reader.people.owners, BatchShape(12, 4, 2), seed=0, multiple_of=2)
        loader = Loader(source, reader, Augmentation(), seed=9, rank=rank, world=world)
        taken = [loader.take(step).crops for step in range(2)]
        loader.close()
        return taken[1]

    np.testing.assert_array_equal(np.concatenate([crops(0, 2), crops(1, 2)]), crops(0, 1))
