"""``rtface train``: networks of your own, from folders of people to a model that rtface runs."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtface.cli import _train_harmonic
from rtface.cli._shared import (
    PATH,
    early_settings_options,
    open_system,
    print_json,
    progress,
    read_config,
    say,
    settings_options,
)

if TYPE_CHECKING:
    from rtface.models.spec import CropSpec
    from rtface.training.people import People
    from rtface.training.run import Cutter
    from rtface.training.settings import Settings

NETWORKS = ("nn1", "nn2", "nn3", "nn4", "nns1", "nns2", "inception_resnet_v1", "small")
FRACTION = click.FloatRange(0, 1)
COUNT = click.IntRange(min=0)
ABOVE_ZERO = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.group("train")
@early_settings_options
def command() -> None:
    """Train a network on pictures of people with the triplet loss, and export it as a model (FaceNet paper, section 3).

    Needs PyTorch: pip install 'rtface[train]'. On several GPUs: torchrun --nproc-per-node 4 -m rtface train run DIR.
    """


@command.command("run")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the checkpoints last.pt and best.pt.")
@click.option("--resume", is_flag=True, help="Go on from last.pt in --out, exactly as if it had not stopped.")
@click.option("--network", type=click.Choice(NETWORKS), default="nn2", show_default=True, help="What is trained.")
@click.option("--size", type=click.IntRange(64, 512), default=128, show_default=True, help="Numbers in an embedding.")
@click.option(
    "--norm",
    type=click.Choice(["batch", "paper", "none"]),
    default="batch",
    show_default=True,
    help="Batch normalisation, the paper's local response normalisation, or a bias alone.",
)
@click.option(
    "--from-shipped", is_flag=True, help="Begin with the weights of facenet (inception_resnet_v1, none, 512)."
)
@click.option("--cropped", is_flag=True, help="The pictures are crops of faces already; otherwise faces are cut out.")
@click.option(
    "--crop", type=click.Choice(["box", "warp"]), default="box", show_default=True, help="How faces are cut out."
)
@click.option(
    "--crop-margin",
    type=click.FloatRange(-0.5, 3),
    default=0.21,
    show_default=True,
    help="Box: how much longer each side is than the detector's box, as a part of it.",
)
@click.option("--cache", type=PATH, help="Where cut out faces are kept; a folder in --out unless given.")
@click.option("--validation", type=PATH, help="Folder of other people to check on.")
@click.option(
    "--validation-share",
    type=FRACTION,
    default=0.1,
    show_default=True,
    help="Share of the people held back to check on; 0: no checks.",
)
@click.option("--batch", type=ABOVE_ZERO, default=1800, show_default=True, help="Faces in a batch.")
@click.option("--faces", type=ABOVE_ZERO, default=40, show_default=True, help="Faces of one person in it, at most.")
@click.option("--negatives", type=COUNT, default=200, show_default=True, help="Strangers in it, one face each.")
@click.option("--piece", type=COUNT, default=0, help="Faces that go through the network at once, to save memory.")
@click.option(
    "--mining",
    type=click.Choice(["semi-hard", "hardest", "batch-hard"]),
    default="semi-hard",
    show_default=True,
    help="Which triplets of a batch are used.",
)
@click.option("--margin", type=POSITIVE, default=0.2, show_default=True, help="Of the triplet loss.")
@click.option("--offline-every", type=COUNT, default=0, help="Mine over more than a batch, every so many steps.")
@click.option("--offline-faces", type=ABOVE_ZERO, default=5000, show_default=True, help="Over how many faces.")
@click.option(
    "--optimizer", type=click.Choice(["adagrad", "sgd"]), default="adagrad", show_default=True, help="What steps."
)
@click.option("--rate", type=POSITIVE, default=0.05, show_default=True, help="The highest learning rate.")
@click.option(
    "--decay",
    type=click.Choice(["steps", "cosine", "constant"]),
    default="steps",
    show_default=True,
    help="How the rate falls; steps: to a tenth at a half and again at three quarters.",
)
@click.option("--warmup", type=COUNT, default=0, help="Steps over which the rate rises first.")
@click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, help="L2 penalty of the weights.")
@click.option("--steps", type=ABOVE_ZERO, default=10_000, show_default=True, help="Batches in all.")
@click.option("--no-augmentation", is_flag=True, help="Crops as they are: not mirrored, moved, recoloured, compressed.")
@click.option("--check-every", type=ABOVE_ZERO, default=500, show_default=True, help="Steps between checks.")
@click.option("--patience", type=COUNT, default=0, help="End after so many checks without a better VAL; 0: never.")
@click.option("--far", type=FRACTION, default=1e-3, show_default=True, help="False accept rate at which VAL is taken.")
@click.option("--mixed", is_flag=True, help="Compute in 16 bits where that serves; for a GPU.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--workers", type=ABOVE_ZERO, default=2, show_default=True, help="Threads that read crops.")
@click.option("--tensorboard", type=PATH, help="Folder for curves.")
@settings_options
def run(folder: Path, **options: Any) -> None:
    """Train on DIR, which holds a folder of pictures for each person.

    Each check on people not trained on is a line of JSON: step, VAL at FAR, AUC, loss. best.pt is the checkpoint with
    the best VAL.
    """
    require_torch()
    from rtface.training.run import Data, Run, train
    from rtface.training.trainer import Check, Step

    settings = _settings(**options)
    with _cutter(options) as cut, progress() as report:
        data = Data(folder, options["validation"], options["validation_share"], cut)
        where = Run(
            folder=options["out"],
            resume=options["resume"],
            weights=_shipped(options) if options["from_shipped"] else None,
            device=options["device"],
            workers=options["workers"],
            board=options["tensorboard"],
        )
        loss = math.nan
        for event in train(settings, data, where):
            if isinstance(event, Step):
                loss = event.outcome.loss
                report("Training", event.number, settings.steps)
            elif isinstance(event, Check):
                found = event.validation
                print_json(
                    {
                        "step": event.step,
                        "val": round(found.val, 5),
                        "far": settings.far,
                        "auc": round(found.auc, 5),
                        "loss": round(loss, 5),
                        "best": event.best,
                    }
                )
                if event.last:
                    say(f"VAL has not grown for {settings.patience} checks: ended at step {event.step}.")
    made = next((name for name in ("best.pt", "last.pt") if (options["out"] / name).is_file()), "last.pt")
    say(f"Done. rtface train export {options['out'] / made} FILE.onnx makes a model of it.")


@command.command("export")
@click.argument("checkpoint", type=PATH)
@click.argument("target", metavar="FILE.onnx", type=PATH)
@click.option("--name", default="mine", show_default=True, help="What the model is called in settings.")
@click.option("--licence", default="all rights reserved", show_default=True, help="Of the weights.")
@click.option("--add", "added", is_flag=True, help="Write the entry into models.toml in the setting engines_dir.")
@settings_options
def export(
    checkpoint: Path,
    target: Path,
    name: str,
    licence: str,
    added: bool,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Write the network of CHECKPOINT as FILE.onnx, for every engine that rtface has.

    Its entry for models.toml is printed; with it there, --set embedder=NAME uses the model.
    """
    require_torch()
    from rtface.training import export as exporting

    engines_dir = read_config(config, settings).engines_dir
    made = exporting.export(checkpoint, target, name=name, licence=licence)
    click.echo(made.entry, nl=False)
    if added:
        say(f"Added to {exporting.add(made.entry, engines_dir, name)}: --set embedder={name} uses it.")
    else:
        say(f"Put this into {engines_dir / 'models.toml'} (or give --add), then --set embedder={name} uses it.")


command.add_command(_train_harmonic.harmonic)


def require_torch() -> None:
    """Raises: MissingLibrary: PyTorch is not installed."""
    from rtface.errors import MissingLibrary

    if importlib.util.find_spec("torch") is None:
        raise MissingLibrary("Training needs PyTorch, which is not installed: pip install 'rtface[train]'")


def _settings(**options: Any) -> Settings:
    from rtface.models.spec import CropKind, CropSpec
    from rtface.training.augmentation import NOTHING, Augmentation
    from rtface.training.batches import BatchShape
    from rtface.training.networks.layers import Norm
    from rtface.training.settings import Decay, Offline, Optimizer, Rate, Settings
    from rtface.training.triplets import Mining

    kind = CropKind(options["crop"])
    margin, template = (options["crop_margin"], None) if kind is CropKind.BOX else (0.0, "arcface_112")
    return Settings(
        network=options["network"],
        embedding_size=options["size"],
        norm=Norm(options["norm"]),
        crop=CropSpec(kind, 0, margin, template),
        batch=BatchShape(options["batch"], options["faces"], options["negatives"]),
        mining=Mining(options["mining"]),
        margin=options["margin"],
        offline=Offline(options["offline_every"], options["offline_faces"]),
        optimizer=Optimizer(options["optimizer"]),
        weight_decay=options["weight_decay"],
        rate=Rate(options["rate"], Decay(options["decay"]), options["warmup"]),
        steps=options["steps"],
        augmentation=NOTHING if options["no_augmentation"] else Augmentation(),
        check_every=options["check_every"],
        patience=options["patience"],
        far=options["far"],
        piece=options["piece"],
        mixed=options["mixed"],
        seed=options["seed"],
    )


@contextmanager
def _cutter(options: dict[str, Any]) -> Iterator[Cutter | None]:
    """What cuts faces out with the detector of the settings; None where they are cut out already."""
    if options["cropped"]:
        yield None
        return
    from rtface.training.crops import cut_crops

    cache = options["cache"] or options["out"] / "crops"
    with open_system(options["config"], options["settings"]) as system, progress() as report:

        def cut(people: People, crop: CropSpec) -> Path:
            return cut_crops(people, cache, crop, system.detector, report=report)

        yield cut


def _shipped(options: dict[str, Any]) -> Path:
    """The file of the shipped FaceNet weights, fetched if need be."""
    from rtface.models.fetch import Fetcher
    from rtface.models.store import ModelStore

    config = read_config(options["config"], options["settings"])
    (weight,) = ModelStore(config.engines_dir).spec("facenet").weights
    with Fetcher(config.engines_dir / "weights", offline=config.offline) as fetcher:
        return fetcher.get(weight)
