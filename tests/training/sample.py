"""Made-up people for training in tests: a picture of each is its own pattern with noise over it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtface.training.augmentation import NOTHING
from rtface.training.batches import BatchShape
from rtface.training.people import CropReader, read_people
from rtface.training.settings import Decay, Rate, Settings

SIZE = 64
SETTINGS = Settings(
    network="small",
    embedding_size=64,
    batch=BatchShape(size=24, faces=4, negatives=4),
    augmentation=NOTHING,
    rate=Rate(highest=0.02, decay=Decay.COSINE, warmup=2),
    steps=6,
    check_every=4,
    far=0.1,
    seed=3,
)


def folder_of(place: Path, *, people: int = 8, pictures: int = 5, seed: int = 0) -> Path:
    """A folder of people; the last has one picture only."""
    rng = np.random.default_rng(seed)
    for person in range(people):
        (place / f"person {person:02}").mkdir(parents=True)
        pattern = cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (SIZE, SIZE))
        for picture in range(1 if person == people - 1 else pictures):
            noisy = np.clip(pattern + rng.normal(0, 25, pattern.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(place / f"person {person:02}" / f"{picture}.png"), noisy)
    return place


def reader_of(place: Path, **how: int) -> CropReader:
    """Crops of such a folder."""
    return CropReader(read_people(folder_of(place, **how)), SIZE)
