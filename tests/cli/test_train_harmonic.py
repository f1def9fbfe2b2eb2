"""``rtface train harmonic``: from embeddings of two models to a gallery that moves from one to the other."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

from rtface.cli import _train_harmonic
from rtface.gallery.store import PersonGallery, open_gallery
from rtface.models import catalogue
from rtface.models.spec import ModelSpec
from rtface.training.harmonic import Twice
from rtface.training.people import People
from tests.cli.calls import Outcome, Rtface
from tests.gallery.samples import enroll
from tests.training.test_harmonic import pictures

Vectors = list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]
SPECS = catalogue.load(Path("nowhere"))
WHOLE = {"facenet": SPECS["facenet"].embedding_size, "sface": SPECS["sface"].embedding_size}


def widened(rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]], size: int) -> Vectors:
    """The same rows with zeros behind."""
    return list(np.pad(rows, ((0, 0), (0, size - rows.shape[1]))))


@pytest.fixture
def seen() -> Twice:
    return pictures()


@pytest.fixture
def folder(tmp_path: Path, seen: Twice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """240 people with four pictures each; both networks are played by made-up rows, the old one missing a face."""
    for place, owner in enumerate(seen.owners):
        file = tmp_path / "people" / f"{owner:03}" / f"{place:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    import torch

    torch.set_num_threads(1)

    def embedded(people: People, model: str, *_: object) -> tuple[ModelSpec, Vectors]:
        assert len(people.pictures) == len(seen.owners)
        rows = widened(seen.old if model == "facenet" else seen.new, WHOLE[model])
        if model == "facenet":
            rows[0] = np.zeros(0, np.float32)
        return SPECS[model], rows

    monkeypatch.setattr(_train_harmonic, "_embedded", embedded)
    return tmp_path / "people"


def train(rtface: Rtface, folder: Path, out: Path, *more: str) -> Outcome:
    words = ("--old", "facenet", "--new", "sface", "--pictures", str(folder), "-o", str(out), "--steps", "2")
    return rtface("train", "harmonic", *words, "--share", "0.3", "--set", f"engines_dir={out}", *more)


def gallery_of(path: Path, spec: ModelSpec) -> PersonGallery:
    return open_gallery(
        path, model=spec.name, fingerprint=spec.fingerprint, size=spec.size, basis=spec.basis, create=True
    )


def test_the_new_model_finds_who_the_old_one_enrolled(
    rtface: Rtface, folder: Path, tmp_path: Path, seen: Twice
) -> None:
    out = tmp_path / "out"
    done = train(rtface, folder, out, "--add", "--json")
    assert done.code == 0, done.err
    assert "959 of 960 pictures show a face to both models" in done.err
    (record,) = done.records
    costs = record["costs"]
    assert isinstance(costs, dict)
    assert costs["old"]["1e-3"] < costs["crossed"]["1e-3"] < costs["new"]["1e-3"]
    with gallery_of(rtface.gallery, SPECS["facenet"]) as gallery:
        for owner in range(20):
            enroll(gallery, f"Person {owner}", np.stack(widened(seen.old, WHOLE["facenet"])[4 * owner : 4 * owner + 2]))
    moved = rtface("gallery", "migrate", "--map", out / "harmonic.npz", "--set", f"engines_dir={out}")
    assert moved.code == 0, moved.err
    spec = catalogue.load(out)["sface-harmonic"]
    assert spec.layer is not None
    queries = spec.layer(np.stack(widened(seen.new, WHOLE["sface"]))[2:80:4])
    with gallery_of(rtface.gallery, spec) as gallery:
        found = [row[0].person for row in gallery.search(queries, 1)]
    right = sum(name == f"Person {owner}" for owner, name in enumerate(found))
    assert right >= 18, found


def test_the_table_and_the_entry_are_printed(rtface: Rtface, folder: Path, tmp_path: Path) -> None:
    done = train(rtface, folder, tmp_path / "out", "--name", "both")
    assert done.code == 0, done.err
    table, entry = done.out.split("[both]", 1)
    assert table.startswith("VAL, 72 people, 287 pictures")
    assert tomllib.loads("[both]" + entry)["both"]["like"] == "sface"
    assert "or give --add" in done.err


def test_what_cannot_be_learned_is_told(rtface: Rtface, folder: Path, tmp_path: Path) -> None:
    same = train(rtface, folder, tmp_path / "out", "--new", "facenet")
    assert same.code == 1
    assert "the same embeddings" in same.err
    named = train(rtface, folder, tmp_path / "out", "--name", "Both Of Them")
    assert named.code == 1
    assert "small letters" in named.err
    assert not (tmp_path / "out").exists()
