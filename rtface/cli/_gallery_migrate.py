"""``rtface gallery migrate``: a gallery served by another model, without enrolling anybody again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._harmonic import tell_costs
from rtface.cli._shared import PATH, print_json, read_config, say, settings_options

if TYPE_CHECKING:
    from rtface.config import Config
    from rtface.gallery.model import GalleryModel
    from rtface.models.harmonic import Harmonic


@click.command("migrate")
@click.option("--map", "file", required=True, type=PATH, metavar="FILE", help="From rtface train harmonic.")
@click.option("--dry-run", is_flag=True, help="Change nothing: say whether the map fits, and what it costs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line: rows, bytes before and after, costs.")
@settings_options
def migrate(file: Path, dry_run: bool, as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Move the gallery to the new model of a map, without its pictures.

    Every vector goes through the map; all of it happens, or nothing. Programs that have the gallery open stop using it.
    Afterwards --set embedder=NAME serves it, and people enrolled from then on are compared with those of before; a row
    keeps the name of the model it was mapped from. There is no way back: keep a copy (rtface gallery copy) until it has
    shown its worth. A calibration is forgotten: rtface gallery calibrate makes a new one.

    The costs are VAL on people the map was not learned from.
    """
    from rtface.errors import ConfigError
    from rtface.gallery.cache import GraphCache
    from rtface.gallery.keys import read_key
    from rtface.gallery.migrating import migrate as move
    from rtface.gallery.migrating import refuse
    from rtface.gallery.sqlite import open_database

    wanted = read_config(config, settings)
    place = wanted.gallery
    if not isinstance(place, Path):
        raise ConfigError(
            "A gallery on a server cannot be migrated there: rtface gallery copy brings it into a file, which can, and "
            "another empty server takes that."
        )
    harmonic, before, after = _models(file, wanted)
    database = open_database(place, create=False, key=read_key(wanted.gallery_key))
    try:
        rows = refuse(database, before, after)
        told = {"gallery": str(place), "embedder": after.name, "rows": rows, "costs": asdict(harmonic.costs)}
        if not dry_run:
            done = move(database, before, after, harmonic.old_layer, GraphCache(place, "", 0).forget)
            told |= asdict(done)
    finally:
        database.close()
    if as_json:
        print_json(told | {"dry_run": dry_run})
    else:
        tell_costs(harmonic)
    if dry_run:
        say(f"{place}: {rows:,} rows of {before.name} would be mapped. Nothing was changed.")
    else:
        say(
            f"{place}: {done.rows:,} rows mapped from {before.name}, {done.bytes_after:,} bytes a face (before "
            f"{done.bytes_before:,}). Set embedder = {after.name!r}, and calibrate anew."
        )


def _models(file: Path, config: Config) -> tuple[Harmonic, GalleryModel, GalleryModel]:
    """The map, whose gallery it is for, and whose that becomes.

    Raises:
        ModelBroken: the file cannot be read, or models.toml has not the model that it belongs to.
    """
    from rtface.errors import ModelBroken
    from rtface.gallery.model import GalleryModel
    from rtface.models import catalogue
    from rtface.models.harmonic import read_harmonic

    try:
        harmonic = read_harmonic(file)
    except (OSError, ValueError) as error:
        raise ModelBroken(f"The map {file} cannot be read: {error}. rtface train harmonic makes one.") from error
    models = catalogue.load(config.engines_dir)
    after, before = models.get(harmonic.name), models.get(harmonic.old.name)
    if after is None or after.layer is None or after.layer.digest != harmonic.new_layer.digest:
        raise ModelBroken(
            f"{config.engines_dir / catalogue.FILE} lacks the model {harmonic.name} with the last layer of {file}: "
            "nothing could use the gallery afterwards. Put in the entry that rtface train harmonic printed."
        )
    if before is None or before.fingerprint != harmonic.old.fingerprint:
        raise ModelBroken(
            f"The map {file} is of the model {harmonic.old.name} ({harmonic.old.fingerprint}), which models.toml no "
            "longer has as it was then. Learn the map anew: rtface train harmonic."
        )
    return (
        harmonic,
        GalleryModel(before.name, before.fingerprint, before.size, before.basis),
        GalleryModel(after.name, after.fingerprint, after.size, after.basis),
    )
