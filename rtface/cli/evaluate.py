"""``rtface evaluate``: recognition quality, measured."""

from __future__ import annotations

from pathlib import Path

import click

from rtface.cli._shared import PATH, early_settings_options, open_system, print_json, progress, settings_options


@click.group("evaluate")
@early_settings_options
def command() -> None:
    """Measure recognition quality on a benchmark."""


@command.command("lfw")
@click.option("--images", required=True, type=PATH, help="Folder of NAME/NAME_0001.jpg.")
@click.option("--pairs", required=True, type=PATH, help="The official pairs.txt, or part of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@settings_options
def lfw(images: Path, pairs: Path, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Labeled Faces in the Wild: accuracy over folds, and VAL at FAR over all pairs of the named pictures.

    Each fold's distance comes from the other folds. A picture without a face counts as an error.
    """
    from rtface.evaluation import lfw as protocol
    from rtface.sources.images import read_picture

    benchmark = protocol.read_protocol(pairs, images)
    with open_system(config, settings) as system, progress() as report:
        vectors = protocol.embed_pictures(
            benchmark.pictures, system.detector, system.embedder, read_picture=read_picture, report=report
        )
    result = protocol.evaluate(benchmark, vectors)
    if as_json:
        print_json(result.as_json())
        return
    click.echo(f"accuracy {result.accuracy:.4f} ± {result.accuracy_std:.4f} at distance {result.threshold:.3f}")
    for far, value in result.val_at_far.items():
        click.echo(f"VAL {value:.4f} at FAR {far}")
    click.echo(f"{result.pairs} pairs, {len(result.failed_to_acquire)} pictures without a face")
