"""Videos compared as the paper compares those of YouTube Faces: by the mean over all pairs of their frames.

A video is one vector, the mean of its frames' (see ``distances``): it compares in the time of a picture.

Source: Schroff et al., *FaceNet*, 2015, section 5.7: the average similarity of all pairs of the first hundred frames in
which the detector finds a face.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.embedding.crops import best_crop
from rtface.errors import SourceError
from rtface.evaluation.distances import Report
from rtface.evaluation.pictures import BATCH, FaceReader, subject_of
from rtface.evaluation.template_cache import digest_of, key_of
from rtface.sources import PICTURE_SUFFIXES, open_source
from rtface.types import Image

log = logging.getLogger(__name__)

FRAMES = 100


def embed_videos(
    paths: Sequence[Path], reader: FaceReader, report: Report, *, frames: int = FRAMES
) -> dict[Path, NDArray[np.float32] | None]:
    """The mean (D,) of the unit vectors of each video's first ``frames`` faces; its norm is at most 1.

    None where no face is found or the video cannot be read: both are failures to acquire.
    """
    vectors: dict[Path, NDArray[np.float32] | None] = {}
    for done, path in enumerate(paths, 1):
        key = _key(path, reader, frames)
        known = reader.cache.get(key) if reader.cache and key else None
        vectors[path] = known.vector if known is not None else _mean(path, reader, frames)
        if known is None and reader.cache and key:
            reader.cache.put(key, vectors[path])
        report("videos", done, len(paths))
    return vectors


def crops_of(path: Path, reader: FaceReader, frames: int) -> Iterator[Image]:
    """What the network sees of the first ``frames`` frames in which a face is found."""
    found = 0
    with closing(open_source(str(path))) as source:
        for frame in source.frames():
            face = subject_of(reader.detector.detect(frame.image), frame.image, reader.subject)
            if face is not None:
                yield best_crop(reader.detector, reader.embedder, frame.image, face)
                found += 1
            if found == frames:
                return


def _mean(path: Path, reader: FaceReader, frames: int) -> NDArray[np.float32] | None:
    total, count = np.zeros(reader.embedder.size), 0
    waiting: list[Image] = []
    crops = crops_of(path, reader, frames)
    while True:
        try:
            crop = next(crops, None)
        except SourceError as error:
            log.warning("%s", error)
            crop = None
        if crop is not None:
            waiting.append(crop)
        if waiting and (crop is None or len(waiting) == BATCH):
            total += reader.embedder.embed(np.stack(waiting), mirror=reader.mirror).sum(axis=0, dtype=np.float64)
            count += len(waiting)
            waiting.clear()
        if crop is None:
            return (total / count).astype(np.float32) if count else None


def _key(path: Path, reader: FaceReader, frames: int) -> bytes | None:
    """Of the video's bytes, or of those of its frames where it is a folder."""
    if not reader.cache or not path.is_dir():
        return reader.key(path, f"first {frames} frames")
    pictures = sorted(picture for picture in path.iterdir() if picture.suffix.lower() in PICTURE_SUFFIXES)
    digests = [digest for picture in pictures if (digest := digest_of(picture)) is not None]
    return key_of(b"".join(digests), (*reader.settings(), f"first {frames} frames"))
