"""``rtface train harmonic``: what lets a new model serve a gallery that an old one has filled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import PATH, print_json, progress, read_config, say, settings_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rtface.models.spec import ModelSpec
    from rtface.training.people import People


@click.command("harmonic")
@click.option("--old", required=True, metavar="MODEL", help="The model that the gallery was enrolled with.")
@click.option("--new", required=True, metavar="MODEL", help="The model that is to serve it.")
@click.option("--pictures", required=True, metavar="DIR", type=PATH, help="A folder of pictures for each person.")
@click.option("-o", "--out", type=PATH, metavar="FOLDER", help="Where the map goes; by default a folder NAME.")
@click.option("--name", help="What the new model with its last layer is called; by default MODEL-harmonic.")
@click.option(
    "--share",
    type=click.FloatRange(0.05, 0.9),
    default=0.2,
    show_default=True,
    help="Share of the people that are measured and not learned from.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    default=400,
    show_default=True,
    help="Of the triplet loss, at most; it ends when other people gain no more. 0: correlation alone.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option("--add", "added", is_flag=True, help="Write the entry into models.toml in the setting engines_dir.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep embeddings from one run to the next.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table and the entry.")
@settings_options
def harmonic(
    old: str,
    new: str,
    pictures: Path,
    out: Path | None,
    name: str | None,
    share: float,
    steps: int,
    seed: int,
    added: bool,
    no_cache: bool,
    as_json: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Learn to compare embeddings of two models (FaceNet paper, harmonic embeddings).

    From pictures of people, whoever they are, comes FOLDER/harmonic.npz: a map for the old model's embeddings, and a
    last layer for the new model, trained with triplets of both. With its entry in models.toml (printed; --add writes
    it), rtface gallery migrate --map FILE moves a gallery without its pictures, and --set embedder=NAME serves it.

    The table is of people nothing was learned from: what the move costs. It holds for people and pictures of this kind,
    so give pictures of the kind the cameras see, of many people.
    """
    from dataclasses import asdict

    from rtface.cli._harmonic import tell_costs
    from rtface.cli.train import require_torch

    require_torch()
    from rtface.training import export, harmonic_file
    from rtface.training.harmonic import Twice, learn
    from rtface.training.people import read_people

    name = harmonic_file.checked_name(name or f"{new}-harmonic")
    people, cached = read_people(pictures), not no_cache
    engines_dir = read_config(config, settings).engines_dir
    embedded = [_embedded(people, model, cached, config, settings) for model in (old, new)]
    (old_spec, old_rows), (new_spec, new_rows) = embedded
    harmonic_file.refuse_pair(old_spec, new_spec)
    seen = [row for row in range(len(people.owners)) if all(len(rows[row]) for rows in (old_rows, new_rows))]
    say(f"{len(seen)} of {len(people.owners)} pictures show a face to both models.")
    with progress() as report:
        twice = Twice.from_rows([old_rows[row] for row in seen], [new_rows[row] for row in seen], people.owners[seen])
        learned = learn(twice, share=share, seed=seed, steps=steps, report=report)
    made = harmonic_file.write(out or Path(name), name, old_spec, new_spec, learned)
    if added:
        say(f"Added to {export.add(made.entry, engines_dir, name)}.")
    if as_json:
        told = {"file": str(made.file), "name": name, "steps": learned.steps, "limits": learned.limits}
        print_json(told | {"costs": asdict(made.harmonic.costs)})
        return
    tell_costs(made.harmonic)
    if not added:
        click.echo(made.entry, nl=False)
        say(f"Put this into {engines_dir / 'models.toml'}, or give --add.")
    say(
        f"{made.file} holds both maps. rtface gallery migrate --map {made.file} moves a gallery of {old}; then "
        f"--set embedder={name} serves it."
    )


def _embedded(
    people: People, model: str, cached: bool, config: Path | None, settings: tuple[str, ...]
) -> tuple[ModelSpec, list[NDArray[np.float32]]]:
    """A model and its vectors of these pictures; an empty one where it finds no face."""
    import numpy as np

    from rtface.cli._evaluate_shared import Wishes, opened

    wanted = Wishes(False, None, cached, 0, "largest", config, (*settings, f"embedder={model}"))
    with opened(wanted) as run:
        found = run.reader.embed(people.pictures, run.report)
        nothing = np.zeros(0, np.float32)
        rows = [nothing if row is None else row for row in (found[path] for path in people.pictures)]
        return run.system.embedder_spec, rows
