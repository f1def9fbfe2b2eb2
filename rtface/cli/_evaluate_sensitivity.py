"""``rtface evaluate sensitivity``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtface.cli._evaluate_shared import Opened, evaluation_options, opened, wishes, write_page
from rtface.cli._shared import PATH, print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtface.evaluation.sensitivity import Pairing, Project


MOST_ROWS = 200_000
"""Pairs of a kind held for each condition: the nearest 100,000 tell FAR 1e-3 of up to 14,000 pictures exactly."""
LEARNED_FROM = 2
"""Pictures of others for each dimension of a model without a basis."""


@click.command("sensitivity")
@click.argument("folder", type=PATH, required=False)
@click.option("--pairs", "pairs_file", type=PATH, help="A list of pairs instead, as for `rtface evaluate pairs`.")
@click.option("--root", type=PATH, help="Folder that the list's paths are relative to; else the list's own.")
@click.option(
    "--most-pictures",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Take so many pictures of FOLDER at most, whole people drawn by lot; each is embedded some thirty times.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn by lot.")
@click.option(
    "--detect-again",
    is_flag=True,
    help="Find faces anew in what was degraded; where none is found is told, and is an error.",
)
@evaluation_options()
def sensitivity(
    folder: Path | None,
    pairs_file: Path | None,
    root: Path | None,
    most_pictures: int,
    seed: int,
    detect_again: bool,
    **options: Any,
) -> None:
    """What is left of recognition when pictures get worse, beside the FaceNet paper's tables 4 and 5.

    FOLDER has one folder a person, of which all pairs are compared; --pairs names pairs otherwise. VAL at FAR 1e-3 is
    told by JPEG quality, size, dimensions, blur, darkness, rotation and occlusion. What is degraded is a thumbnail
    around each face, as in the paper, so that failures to find the face do not mix in; see --detect-again.
    """
    if (folder is None) == (pairs_file is None):
        raise click.UsageError("Give either FOLDER or --pairs.")
    wanted = wishes(**options)
    from rtface.evaluation import sensitivity_page
    from rtface.evaluation.sensitivity import measure

    others: Sequence[Path] = ()
    if pairs_file is not None:
        files, pairing = _of_list(pairs_file, root)
    else:
        files, pairing, others = _of_folder(folder or Path(), most_pictures, seed)
    with opened(wanted, mirror=False) as run:
        found = measure(
            files,
            pairing,
            run.reader,
            run.report,
            detect_again=detect_again,
            project=_projection(run, others),
            resamples=wanted.resamples,
        )
        if wanted.report is not None:
            write_page(wanted.report, sensitivity_page.page(found, run.model))
        if wanted.as_json:
            print_json(sensitivity_page.record(found, run.model))
            return
        _tell([sensitivity_page.head(found), *sensitivity_page.rows(found.points)])
        for note in sensitivity_page.notes(found, run.model):
            say(note)


def _projection(run: Opened, others: Sequence[Path]) -> Project | None:
    """To fewer dimensions: along the model's own basis, or along what pictures of others vary most in."""
    import numpy as np

    from rtface.embedding.projection import projection
    from rtface.models.head import unit_rows

    spec = run.system.embedder_spec
    learned = None
    if spec.basis is None:
        found = run.reader.embed(others[: LEARNED_FROM * spec.size], run.report).values()
        known = [vector for vector in found if vector is not None]
        if len(known) < spec.size:
            say(
                f"Fewer dimensions are left out: {spec.name} has no basis for them, and of people who are not measured "
                f"there are {len(known)} pictures; {spec.size} would do."
            )
            return None
        learned = np.stack(known)
    return lambda rows, size: unit_rows(rows @ projection(spec, size, learned))


def _of_folder(folder: Path, most: int, seed: int) -> tuple[Sequence[Path], Pairing, Sequence[Path]]:
    """All pairs of whole people; and the pictures of those who were not drawn."""
    from rtface.evaluation.distances import among
    from rtface.evaluation.folders import drawn, flat, pictures_of

    tree = pictures_of(folder)
    people = drawn(tree, most, seed=seed)
    if len(people) < len(tree):
        say(f"{len(people)} of {len(tree)} people drawn by lot; --most-pictures takes more.")
    files, numbers = flat(people)
    others = [path for name, paths in tree.items() if name not in people for path in paths]
    return files, lambda vectors: among(vectors, numbers, most_rows=MOST_ROWS), others


def _of_list(file: Path, root: Path | None) -> tuple[Sequence[Path], Pairing]:
    """The pairs of a list."""
    from rtface.evaluation.distances import listed
    from rtface.evaluation.pair_list import read_pairs
    from rtface.evaluation.pictures import require

    named = read_pairs(file, root)
    require(named.files, root or file.parent, form="Give the folder the list is relative to with --root.")
    return named.files, lambda vectors: listed(vectors, named.people, named.pairs, named.same)


def _tell(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
