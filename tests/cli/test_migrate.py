"""``rtface gallery migrate``: from a map to a gallery that the new model finds people in."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.config import load_config
from rtface.models import catalogue
from rtface.models.harmonic import Costs, Harmonic, Layer, Maker, write_harmonic
from rtface.system import System
from tests.cli import people
from tests.cli.calls import Outcome, Rtface
from tests.gallery.samples import units

VALS = [{"1e-3": val / 100, "1e-4": (val - 10) / 100} for val in (91, 92, 93, 95, 96)]
COSTS = Costs(397, 933, *VALS)
NAME = "sface-harmonic"


def made_up(old: str = "facenet") -> Harmonic:
    """A map from FaceNet to SFace behind a last layer of 24 numbers, learned from nothing."""
    models = catalogue.load(Path("nowhere"))
    one, other = (Maker(name, models[name].fingerprint, models[name].size) for name in (old, "sface"))
    layers = [
        Layer(np.zeros(size, np.float32), np.random.default_rng(size).normal(size=(size, 24)).astype(np.float32))
        for size in (one.size, other.size)
    ]
    return Harmonic(NAME, one, other, layers[0], layers[1], COSTS)


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A folder with the map and its entry."""
    folder = tmp_path / "engines"
    folder.mkdir()
    write_harmonic(folder / "harmonic.npz", made_up())
    (folder / "models.toml").write_text(f'[{NAME}]\nlike = "sface"\ntitle = "both"\nharmonic = "harmonic.npz"\n')
    return folder


def migrate(rtface: Rtface, engines: Path, *more: str) -> Outcome:
    return rtface("gallery", "migrate", "--map", engines / "harmonic.npz", "--set", f"engines_dir={engines}", *more)


def search(path: Path, engines: Path, queries: NDArray[np.float32]) -> list[tuple[str, float]]:
    settings = {"gallery": path, "engines_dir": engines, "embedder": NAME, "offline": True}
    with System(load_config(None, settings)) as system, system.open_gallery() as gallery:
        return [(row[0].person, row[0].distance) for row in gallery.search(queries, 1)]


def test_it_says_what_it_costs_and_the_new_model_finds_everybody(rtface: Rtface, engines: Path) -> None:
    people.enroll(rtface.gallery, "Ada", 3, seed=1)
    people.enroll(rtface.gallery, "Bob", 2, seed=2)
    told = migrate(rtface, engines)
    assert told.code == 0, told.err
    assert "VAL, 397 people, 933 pictures" in told.out
    lines = {" ".join(words[:-2]): words[-2:] for words in map(str.split, told.out.splitlines())}
    assert lines["facenet alone, as it is now"] == ["91.0%", "81.0%"]
    assert lines[f"facenet mapped, against {NAME}"] == ["93.0%", "83.0%"]
    assert lines["sface alone, everybody enrolled again"] == ["96.0%", "86.0%"]
    assert "5 rows mapped from facenet, 96 bytes a face (before 2,048)" in told.err
    queries = made_up().old_layer(np.concatenate([units(1, 3, people.SIZE), units(2, 2, people.SIZE)]))
    found = search(rtface.gallery, engines, queries)
    assert [name for name, _ in found] == ["Ada"] * 3 + ["Bob"] * 2
    assert max(distance for _, distance in found) < 1e-4


def test_show_and_stats_tell_where_rows_come_from(rtface: Rtface, engines: Path) -> None:
    people.enroll(rtface.gallery, "Ada", 3, seed=1)
    assert migrate(rtface, engines, "--json").records[0]["rows"] == 3
    served = ("--set", f"engines_dir={engines}", "--set", f"embedder={NAME}")
    (stats,) = rtface("gallery", "stats", "--json", *served).records
    assert (stats["model"], stats["size"], stats["mapped"], stats["pictures"]) == (NAME, 24, 3, 3)
    (shown,) = rtface("gallery", "show", "Ada", "--json", *served).records
    pictures = shown["pictures"]
    assert isinstance(pictures, list)
    assert {picture["mapped_from"] for picture in pictures} == {"facenet"}
    assert {picture["embedder"] for picture in pictures} == {"mapped from facenet, onnxruntime"}


def test_a_dry_run_changes_nothing(rtface: Rtface, engines: Path) -> None:
    people.enroll(rtface.gallery, "Ada", 3, seed=1)
    before = rtface("gallery", "stats", "--json").out
    told = migrate(rtface, engines, "--dry-run", "--json")
    (record,) = told.records
    assert (record["rows"], record["dry_run"], record["embedder"]) == (3, True, NAME)
    costs = record["costs"]
    assert isinstance(costs, dict)
    assert costs["crossed"] == {"1e-3": 0.93, "1e-4": 0.83}
    assert "Nothing was changed" in told.err
    assert rtface("gallery", "stats", "--json").out == before


def test_refusals_say_what_to_do(rtface: Rtface, engines: Path, tmp_path: Path) -> None:
    people.enroll(rtface.gallery, "Ada", 1, seed=1)
    assert migrate(rtface, engines).code == 0
    again = migrate(rtface, engines)
    assert again.code == 1
    assert f"migrated already: --set embedder={NAME}" in again.err
    server = migrate(rtface, engines, "--set", "gallery=postgresql://nobody@localhost/faces")
    assert server.code == 1
    assert "rtface gallery copy" in server.err
    empty = tmp_path / "empty"
    absent = rtface(
        "gallery", "migrate", "--map", engines / "harmonic.npz", "--set", f"engines_dir={empty}", "--dry-run"
    )
    assert absent.code == 1
    assert "Put in the entry" in absent.err
    (engines / "broken.npz").write_bytes(b"no map")
    broken = rtface("gallery", "migrate", "--map", engines / "broken.npz", "--set", f"engines_dir={engines}")
    assert broken.code == 1
    assert "rtface train harmonic makes one" in broken.err
