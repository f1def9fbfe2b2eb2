"""Two made-up networks that see the same faces differently: maps that make them comparable, judged on other people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

from rtface.errors import ModelBroken, TrainingError
from rtface.models import catalogue
from rtface.models.harmonic import Layer, read_harmonic
from rtface.models.spec import ModelSpec
from rtface.training import harmonic_file
from rtface.training.harmonic import Learned, Twice, correlated, distances, held_out, learn, measured, refined
from tests.gallery.samples import distances as by_definition
from tests.gallery.samples import units

Rows = NDArray[np.float32]
LATENT, OLD, NEW = 16, 40, 24


def seen_by(seed: int, faces: NDArray[np.float64], size: int, noise: float) -> Rows:
    """(N, size) unit rows: faces turned into a space of this size, with noise of the network's own and off centre."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(size, faces.shape[1])))[0].T
    centre = rng.normal(size=size) * 0.5 / np.sqrt(size)
    rows = faces @ turn + rng.normal(size=(len(faces), size)) * noise / np.sqrt(size) + centre
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def pictures(people: int = 240, each: int = 4) -> Twice:
    """Of common faces; the old network sees them with twice the noise of the new one."""
    rng = np.random.default_rng(0)
    identities = np.repeat(rng.normal(size=(people, LATENT)) / np.sqrt(LATENT), each, axis=0)
    faces = identities + rng.normal(size=identities.shape) * 0.35 / np.sqrt(LATENT)
    owners = np.repeat(np.arange(people), each)
    return Twice(seen_by(1, faces, OLD, 0.5), seen_by(2, faces, NEW, 0.25), owners)


@pytest.fixture(scope="module")
def learned() -> Learned:
    import torch

    torch.set_num_threads(1)  # conftest's way comes after fixtures of a module
    return learn(pictures(), share=0.3, seed=0, steps=20)


def test_crossed_lies_between_the_old_and_the_new_model_as_in_the_paper(learned: Learned) -> None:
    costs = learned.costs
    assert (costs.people, costs.pictures) == (72, 288)
    assert costs.old["1e-3"] < costs.crossed["1e-3"] < costs.new["1e-3"]
    assert costs.harmonic["1e-3"] > costs.crossed["1e-3"]


def test_without_a_map_they_cannot_be_compared() -> None:
    one = pictures()
    narrow = replace(one, old=np.ascontiguousarray(one.old[:, :NEW]))
    same, different = distances(narrow.old, narrow.new, narrow.owners)
    assert abs(float(np.median(same)) - float(np.median(different))) < 0.1


def test_two_turns_of_one_space_are_undone(learned: Learned) -> None:
    faces = np.random.default_rng(5).normal(size=(600, LATENT))
    twice = Twice(seen_by(1, faces, OLD, 0), seen_by(2, faces, NEW, 0), np.arange(600))
    old, new = correlated(twice, 0.03)
    # Rows scaled to norm 1 off centre are no exact turn of each other, but a picture is by far its own nearest.
    table = old(twice.old) @ new(twice.new).T
    assert (table.argmax(axis=1) == np.arange(600)).all()
    assert float(np.diag(table).min()) > 0.9


def test_nobody_is_measured_who_was_learned_from() -> None:
    everybody = pictures()
    judged, rest = held_out(everybody, 0.3, 7)
    assert not set(judged.owners) & set(rest.owners)
    assert len(judged.owners) + len(rest.owners) == len(everybody.owners)


def test_the_triplet_loss_mends_a_bad_start_and_leaves_what_it_does_not_better() -> None:
    watched, taught = held_out(pictures(), 0.3, 0)
    old, new = correlated(taught, 0.03)
    rng = np.random.default_rng(3)

    def worse(layer: Layer) -> Layer:
        noise = rng.normal(size=layer.matrix.shape) * layer.matrix.std() * 0.7
        return Layer(layer.centre, np.asarray(layer.matrix + noise, np.float32))

    bad = worse(old), worse(new)
    (mended_old, mended_new), steps = refined(bad, taught, watched, steps=40, seed=0, report=lambda *_: None)
    before, after = (measured(*pair, watched)[0] for pair in (bad, (mended_old, mended_new)))
    assert steps > 0
    assert after.crossed["1e-3"] > before.crossed["1e-3"] + 0.02
    kept, none = refined((old, new), taught, watched, steps=0, seed=0, report=lambda *_: None)
    assert none == 0
    assert kept == (old, new)


def test_limits_are_the_distances_that_neither_comparison_passes_more_often_than_asked(learned: Learned) -> None:
    judged, _ = held_out(pictures(), 0.3, 0)
    mapped, harmonic = learned.old(judged.old), learned.new(judged.new)
    assert list(learned.limits) == ["1e-2", "1e-3"]
    for label, limit in learned.limits.items():
        rates = []
        for first in (mapped, harmonic):
            apart = judged.owners[:, None] != judged.owners[None]
            rates.append(float((by_definition(first, harmonic)[apart] <= limit).mean()))
        assert 0.7 * float(label) < max(rates) <= 1.05 * float(label)


def test_too_few_people_are_told() -> None:
    with pytest.raises(TrainingError, match="30 have two pictures or more"):
        learn(pictures(people=30), share=0.3, seed=0)


def spec(name: str) -> ModelSpec:
    return catalogue.load(Path("nowhere"))[name]


def invented(seed: int = 1) -> Learned:
    """Maps of FaceNet and SFace into 16 numbers, learned from nothing."""
    rng = np.random.default_rng(seed)
    old, new = (
        Layer(rng.normal(size=size).astype(np.float32), rng.normal(size=(size, 16)).astype(np.float32))
        for size in (512, 128)
    )
    costs = measured(old, new, Twice(units(1, 400, 512), units(2, 400, 128), np.repeat(np.arange(100), 4)))[0]
    return Learned(old, new, costs, {"1e-2": 1.2, "1e-3": 1.1}, 0)


def test_what_is_written_is_read_and_is_a_model_of_its_own(tmp_path: Path) -> None:
    old, new, learned = spec("facenet"), spec("sface"), invented()
    made = harmonic_file.write(tmp_path / "map", "sface-harmonic", old, new, learned)
    kept = read_harmonic(made.file)
    assert (kept.old.fingerprint, kept.new.fingerprint) == (old.fingerprint, new.fingerprint)
    assert kept.costs == learned.costs
    assert np.array_equal(kept.old_layer(units(3, 5, 512)), learned.old(units(3, 5, 512)))
    (tmp_path / "models.toml").write_text(made.entry)
    model = catalogue.load(tmp_path)["sface-harmonic"]
    assert (model.size, model.embedding_size, model.limits) == (16, 128, {1e-3: 1.1, 1e-2: 1.2})
    assert model.same_person is None
    assert len({model.fingerprint, new.fingerprint, replace(model, layer=invented(2).new).fingerprint}) == 3


def test_maps_for_other_weights_are_refused_by_the_catalogue(tmp_path: Path) -> None:
    new = replace(spec("sface"), centre=units(1, 1, 128)[0])
    made = harmonic_file.write(tmp_path / "map", "sface-harmonic", spec("facenet"), new, invented())
    (tmp_path / "models.toml").write_text(made.entry)
    with pytest.raises(ModelBroken, match="learned for other weights of sface"):
        catalogue.load(tmp_path)
    made.file.write_bytes(made.file.read_bytes()[:500])
    with pytest.raises(ModelBroken, match="take the table"):
        catalogue.load(tmp_path)


def test_a_model_needs_another_one_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the same embeddings"):
        harmonic_file.refuse_pair(spec("sface"), spec("sface"))
    with pytest.raises(TrainingError, match="last layer already"):
        harmonic_file.refuse_pair(spec("facenet"), replace(spec("sface"), layer=invented().new))
    with pytest.raises(TrainingError, match="small letters"):
        harmonic_file.checked_name("New Model")
