"""``rtface evaluate videos``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtface.cli._evaluate_shared import evaluation_options, opened, tell, wishes
from rtface.cli._shared import PATH, say


@click.command("videos")
@click.argument("folder", type=PATH, required=False)
@click.option("--pairs", "pairs_file", type=PATH, help="A list of pairs of videos, such as YouTube Faces' splits.txt.")
@click.option("--root", type=PATH, help="Folder that the list's paths are relative to; else the list's own.")
@click.option("--labels", type=PATH, help="A CSV of videos with a column person; all pairs of them are compared.")
@click.option(
    "--frames",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="The first so many frames with a face stand for a video.",
)
@evaluation_options()
def videos(
    folder: Path | None,
    pairs_file: Path | None,
    root: Path | None,
    labels: Path | None,
    frames: int,
    **options: Any,
) -> None:
    """Videos, as the paper compares those of YouTube Faces: by the mean over all pairs of their frames.

    FOLDER has one folder a person with video files or folders of frames, of which all pairs are compared; --pairs or
    --labels name videos otherwise. A video without a face counts as an error. Faces are embedded once, not mirrored.
    """
    if sum(place is not None for place in (folder, pairs_file, labels)) != 1:
        raise click.UsageError("Give one of FOLDER, --pairs and --labels.")
    wanted = wishes(**options)
    from rtface.evaluation.folders import clips_of, flat, labelled
    from rtface.evaluation.pair_list import read_pairs
    from rtface.evaluation.pictures import require
    from rtface.evaluation.verification import of_list, of_people
    from rtface.evaluation.videos import crops_of, embed_videos

    with opened(wanted, mirror=False) as run:

        def face_of(path: Path) -> Any:
            return next(crops_of(path, run.reader, 1), None)

        if pairs_file is not None:
            listed = read_pairs(pairs_file, root)
            require(listed.files, root or pairs_file.parent, form="Give the folder of the videos with --root.")
            if listed.contradictions:
                say(f"{listed.contradictions} pairs are called different, though other lines make them one person's.")
            vectors = embed_videos(listed.files, run.reader, run.report, frames=frames)
            found = of_list("videos", run.model, listed, vectors, resamples=wanted.resamples)
        else:
            files, people = flat(labelled(labels) if labels is not None else clips_of(folder or Path()))
            vectors = embed_videos(files, run.reader, run.report, frames=frames)
            found = of_people("videos", run.model, files, people, vectors, resamples=wanted.resamples)
        tell(wanted, found, "Videos", face_of)
