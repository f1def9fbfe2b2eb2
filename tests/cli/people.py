"""Galleries for the commands that look after people: made-up rows of the default model, so no network is needed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from rtface.config import load_config
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.people import Provenance
from rtface.system import System
from tests.gallery.samples import units

SIZE = 512
"""Numbers in an embedding of the default model."""


def opened(path: Path, **settings: object) -> PersonGallery:
    """A gallery of the default settings at this path."""
    with System(load_config(None, {"gallery": path, "offline": True, **settings})) as system:
        return system.open_gallery(create=True)


def picture(colour: tuple[int, int, int], kind: str = "JPEG") -> bytes:
    """A plain picture of 80x80 pixels in this red, green and blue."""
    stream = io.BytesIO()
    Image.fromarray(np.full((80, 80, 3), colour, np.uint8)).save(stream, kind)
    return stream.getvalue()


def enroll(path: Path, name: str, count: int, *, seed: int, against: int = 0, crops: bool = False) -> None:
    """Adds a person with invented pictures, the last ones as counter-examples."""
    with opened(path) as gallery:
        for place, row in enumerate(units(seed, count + against, SIZE)):
            gallery.add(
                name,
                row,
                sha256=f"{seed}-{place}",
                file=f"/pictures/{seed}/{place}.jpg",
                quality=0.5 + place / 100,
                against=place >= count,
                provenance=Provenance("picture", "yunet", "onnxruntime", (10.0, 20.0, 90.0, 100.0)),
                crop=picture((20 * place + 40, 160, 80)) if crops else None,
            )
