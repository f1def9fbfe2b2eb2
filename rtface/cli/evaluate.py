"""``rtface evaluate``: recognition quality, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtface.cli._evaluate_pairs import folders, pairs
from rtface.cli._evaluate_sensitivity import sensitivity
from rtface.cli._evaluate_shared import evaluation_options, list_failures, opened, wishes, write_page
from rtface.cli._evaluate_videos import videos
from rtface.cli._shared import PATH, early_settings_options, print_json, read_config, say, settings_options

if TYPE_CHECKING:
    from rtface.evaluation.lfw import LfwProtocol, LfwReport
    from rtface.evaluation.page import Page


@click.group("evaluate")
@early_settings_options
def command() -> None:
    """Measure recognition quality on a benchmark or on pictures of your own.

    VAL is the share of pairs of one person that are accepted, FAR that of pairs of two people, distance is squared L2
    (FaceNet paper, section 4). Pictures without a face count as errors. Brackets are 95 % intervals over people.

    Embeddings are kept in your cache folder (see `rtface evaluate cache`), readable by you alone, so that a second
    evaluation of the same pictures takes seconds. They are personal data: --no-cache keeps none.
    """


for inner in (pairs, folders, videos, sensitivity):
    command.add_command(inner)


@command.command("lfw")
@click.option("--images", required=True, type=PATH, help="Folder of NAME/NAME_0001.jpg.")
@click.option("--pairs", required=True, type=PATH, help="The official pairs.txt, or part of it; pairsDevTrain.txt.")
@click.option("--test", type=PATH, help="View 1: pairsDevTest.txt, judged at the distance that --pairs gives.")
@evaluation_options(subject="central")
def lfw(images: Path, pairs: Path, test: Path | None, **options: Any) -> None:
    """Labeled Faces in the Wild: accuracy over folds, and VAL at FAR over all pairs of the named pictures.

    View 2: each fold's distance comes from the other folds. View 1: the test pairs are judged at the distance of the
    training pairs. A picture without a face counts as an error.
    """
    wanted = wishes(**options)
    from rtface.evaluation import lfw as protocol

    benchmark = protocol.read_view1(pairs, test, images) if test else protocol.read_protocol(pairs, images)
    with opened(wanted) as run:
        vectors = run.reader.embed(benchmark.pictures, run.report)
        result = protocol.evaluate(benchmark, vectors, resamples=wanted.resamples)
        if wanted.report is not None:
            write_page(wanted.report, _page(run, benchmark, vectors, result))
    if wanted.as_json:
        print_json(result.as_json())
        return
    _tell(result)


def _tell(result: LfwReport) -> None:
    from rtface.evaluation.verification import between

    error, interval = result.accuracy_error, between(result.accuracy_interval)
    click.echo(f"accuracy {result.accuracy:.4f} ± {result.accuracy_std:.4f} at distance {result.threshold:.3f}")
    click.echo(f"standard error of it {error:.4f}{interval}")
    for far, value in result.val_at_far.items():
        click.echo(f"VAL {value:.4f}{between(result.all_pairs.val_interval.get(far))} at FAR {far}")
    for name, counted in (("all pairs", result.all_pairs), ("the file's pairs", result.file_pairs)):
        rate, auc = counted.equal_error_rate, counted.auc
        click.echo(
            f"{name}: equal error rate {rate:.4f}{between(counted.equal_error_interval)}, "
            f"AUC {auc:.5f}{between(counted.auc_interval, 5)}"
        )
    click.echo(f"{result.pairs} pairs, {len(result.failed_to_acquire)} pictures without a face")
    list_failures(result.failed_to_acquire)


def _page(run: Any, benchmark: LfwProtocol, vectors: Any, result: LfwReport) -> Page:
    from dataclasses import replace

    import numpy as np

    from rtface.evaluation.folds import Accuracy
    from rtface.evaluation.verification import of_people, page

    pictures = benchmark.pictures
    people = np.unique([picture.parent.name for picture in pictures], return_inverse=True)[1]
    found = of_people("lfw", run.model, pictures, people, vectors, resamples=0)
    accuracy = Accuracy(
        result.accuracy,
        result.accuracy_std,
        result.accuracy_error,
        result.accuracy_interval,
        result.threshold,
        len(benchmark.folds),
    )
    made = page(
        replace(found, figures=result.all_pairs, accuracy=accuracy), "Labeled Faces in the Wild", run.reader.crop
    )
    return replace(made, record=result.as_json())


@command.command("cache")
@click.option("--clear", is_flag=True, help="Remove all of it.")
@settings_options
def cache(clear: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Say where embeddings of evaluated pictures are kept, and how many; or remove them.

    They are embeddings of faces, which are personal data: the folder is readable by you alone, no pictures are in it,
    and what has not been asked for longest goes first when it is full.
    """
    from rtface.evaluation import template_cache

    read_config(config, settings)  # a wrong one is told here as everywhere
    folder = template_cache.cache_folder()
    if clear:
        say("Removed." if template_cache.clear(folder) else f"There is nothing in {folder}.")
        return
    size = None
    if (folder / template_cache.FILE).exists():
        with template_cache.TemplateCache(folder) as kept:
            size = kept.size()
    print_json(
        {
            "folder": str(folder),
            "templates": size.templates if size else 0,
            "bytes": size.bytes if size else 0,
            "most_bytes": template_cache.MOST_BYTES,
        }
    )
