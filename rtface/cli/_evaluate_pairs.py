"""``rtface evaluate pairs`` and ``rtface evaluate folders``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rtface.cli._evaluate_shared import evaluation_options, opened, tell, wishes
from rtface.cli._shared import PATH, say


@click.command("pairs")
@click.argument("file", type=PATH)
@click.option("--root", type=PATH, help="Folder that the list's paths are relative to; else the list's own.")
@evaluation_options()
def pairs(file: Path, root: Path | None, **options: Any) -> None:
    """Any list of pairs: FILE has a line FIRST SECOND same|different for each.

    Fields are separated by commas, semicolons, tabs or spaces, labels may be 1 and 0, and a first line may name the
    columns, among them a fold. Accuracy is that of each fold at the best distance of the others; without folds the
    pairs are dealt out to ten.
    """
    wanted = wishes(**options)
    from rtface.evaluation.pair_list import read_pairs
    from rtface.evaluation.pictures import require
    from rtface.evaluation.verification import of_list

    listed = read_pairs(file, root)
    require(listed.files, root or file.parent, form="Give the folder the list is relative to with --root.")
    if listed.contradictions:
        say(f"{listed.contradictions} pairs are called different, though other lines make them one person's.")
    with opened(wanted) as run:
        vectors = run.reader.embed(listed.files, run.report)
        found = of_list("pairs", run.model, listed, vectors, resamples=wanted.resamples)
        tell(wanted, found, f"Pairs of {file.name}", run.reader.crop)


@click.command("folders")
@click.argument("folder", type=PATH)
@click.option(
    "--most-pictures",
    type=click.IntRange(min=2),
    help="Take so many pictures at most, whole people drawn by lot; all without it.",
)
@click.option(
    "--enrolled",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="1:N: pictures of each enrolled person in the gallery; the others are searched for.",
)
@click.option(
    "--strangers",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="1:N: share of the people who are in no gallery.",
)
@click.option(
    "--gallery-sizes",
    metavar="N,N,...",
    default="10,100,1000,10000",
    show_default=True,
    help="1:N: people in the galleries that are measured on the way to everybody.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn by lot.")
@evaluation_options()
def folders(
    folder: Path,
    most_pictures: int | None,
    enrolled: int,
    strangers: float,
    gallery_sizes: str,
    seed: int,
    **options: Any,
) -> None:
    """A tree of people: FOLDER has one folder a person with pictures, at any depth, of that person.

    1:1 compares all pairs. 1:N enrolls some people and searches for their other pictures and for strangers: FNIR is how
    often somebody enrolled is not found, FPIR how often a stranger finds anybody (NIST FRTE).
    """
    wanted = wishes(**options)
    sizes = _sizes(gallery_sizes)
    from rtface.errors import EvaluationError
    from rtface.evaluation.folders import drawn, flat, pictures_of
    from rtface.evaluation.identification import identify, roles
    from rtface.evaluation.pictures import matrix
    from rtface.evaluation.verification import of_people

    tree = pictures_of(folder)
    people = drawn(tree, most_pictures, seed=seed) if most_pictures else tree
    if len(people) < len(tree):
        say(f"{len(people)} of {len(tree)} people drawn by lot.")
    files, numbers = flat(people)
    with opened(wanted) as run:
        vectors = run.reader.embed(files, run.report)
        found = of_people("folders", run.model, files, numbers, vectors, resamples=wanted.resamples, report=run.report)
        try:
            lots = roles(numbers, pictures=enrolled, strangers=strangers, seed=seed)
        except EvaluationError as error:
            say(f"No 1:N: {error}")
        else:
            one_to_many = identify(matrix(files, vectors), numbers, lots, sizes=sizes, resamples=wanted.resamples)
            found = replace(found, identification=tuple(one_to_many))
        tell(wanted, found, f"People of {folder.name}", run.reader.crop)


def _sizes(text: str) -> list[int]:
    fields = [field.strip() for field in text.split(",") if field.strip()]
    if not all(field.isascii() and field.isdigit() for field in fields):
        raise click.BadParameter(
            f"{text!r} is not a list of numbers, such as 10,100,1000.", param_hint="--gallery-sizes"
        )
    return [int(field) for field in fields]
