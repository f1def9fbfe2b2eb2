"""Rows, galleries and a slow search that is certainly right."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtface.gallery.index import IndexKind
from rtface.gallery.store import PersonGallery, open_gallery
from rtface.server_url import ServerUrl

SIZE = 32
PATIENCE = 0.05


def units(seed: int, count: int, size: int = SIZE) -> NDArray[np.float32]:
    """Random unit rows."""
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def clusters(seed: int, people: int, each: int, size: int = SIZE, spread: float = 0.5) -> NDArray[np.float32]:
    """Unit rows in bunches, as pictures of people lie; (people * each, size), person by person."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(people, each, size)) * spread / np.sqrt(size)
    rows = (units(seed + 1, people, size)[:, None] + noise).reshape(-1, size)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def flat(seed: int, count: int, size: int = 64, numbers: int = 12) -> NDArray[np.float32]:
    """Random unit rows in a subspace."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, numbers)) @ np.random.default_rng(0).normal(size=(numbers, size))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def distances(queries: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, M) squared L2 by subtraction in double precision: the definition itself."""
    difference = queries.astype(np.float64)[:, None] - rows.astype(np.float64)[None]
    return np.asarray((difference**2).sum(axis=2))


def gallery_at(
    path: Path | ServerUrl,
    *,
    model: str = "facenet",
    fingerprint: str = "1f2e",
    size: int = SIZE,
    create: bool = True,
    index: IndexKind | Literal["database"] = "auto",
    patience: float = PATIENCE,
    key: bytes | None = None,
) -> PersonGallery:
    return open_gallery(
        path,
        model=model,
        fingerprint=fingerprint,
        size=size,
        create=create,
        index=index,
        clock=lambda: 1_700_000_000.0,
        patience=patience,
        key=key,
    )


def enroll(gallery: PersonGallery, name: str, rows: NDArray[np.float32], tag: str = "") -> None:
    for place, row in enumerate(rows):
        key = f"{name}{tag}-{place}"
        gallery.add(name, row, sha256=key, file=f"/pictures/{key}.jpg", quality=0.5)


def bytes_on_disk(path: Path) -> bytes:
    """Everything in the gallery's folder."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


def traces(path: Path, row: NDArray[np.float32]) -> int:
    """How many pieces of a vector are anywhere in the gallery's folder."""
    data, vector = bytes_on_disk(path), row.astype("<f4").tobytes()
    return sum(vector[start : start + 16] in data for start in range(0, len(vector), 16))
