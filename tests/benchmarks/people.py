"""Made-up people whose embeddings lie as those of real pictures do, as many as are wanted.

A picture is ``mean + identity + deviation``, scaled to norm 1: the identity is drawn with the covariance between the
people of a real set, the deviation with the covariance within them, times one of the sizes that real deviations have
(a Gaussian alone has too few bad pictures). The real set is embedded when the benchmark runs; nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
MODELS = {512: "facenet", 128: "sface"}
BLOCK = 10_000
"""People drawn at once, each block from seeds of its own: any block can be drawn again alone."""


@dataclass(frozen=True, slots=True)
class People:
    """Where pictures lie.

    Attributes:
        mean: (D,).
        between: (D, D) factor: standard normal numbers times this are identities.
        within: (D, D) factor of deviations.
        sizes: (K,) sizes of real deviations, their mean square 1; K may be 1.
    """

    mean: Rows
    between: Rows
    within: Rows
    sizes: Rows

    def block(self, number: int, picture: int, count: int = BLOCK) -> Rows:
        """(count, D) unit rows: one picture of each person of a block; ``picture`` tells theirs apart."""
        identity = np.random.default_rng((1, number)).standard_normal((BLOCK, len(self.mean)), np.float32)[:count]
        rng = np.random.default_rng((2, number, picture))
        deviation = rng.standard_normal((BLOCK, len(self.mean)), np.float32)[:count]
        size = rng.choice(self.sizes, BLOCK)[:count, None]
        return unit(self.mean + identity @ self.between + size * (deviation @ self.within))

    def gallery(self, rows: int) -> Iterator[tuple[int, Rows]]:
        """The first picture of so many people, in blocks: the number of the first, and its unit rows."""
        for start in range(0, rows, BLOCK):
            yield start, self.block(start // BLOCK, 0, min(BLOCK, rows - start))

    def queries(self, rows: int, count: int) -> Rows:
        """Second pictures of people of ``gallery(rows)``, evenly over it."""
        blocks = -(-rows // BLOCK)
        chosen = np.unique(np.linspace(0, blocks - 1, min(blocks, 10)).astype(int))
        share = -(-count // len(chosen))
        found = [self.block(int(number), 1, min(BLOCK, rows - int(number) * BLOCK))[-share:] for number in chosen]
        return np.concatenate(found)[:count]

    def strangers(self, count: int) -> Rows:
        """People of no gallery."""
        return self.block(10**6, 0, count)


def fitted(vectors: Rows, people: NDArray[np.str_]) -> People:
    """From (N, D) unit rows and (N,) who is on them; some people must be there more than once."""
    names, whose, counts = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), vectors.shape[1]))
    np.add.at(means, whose, vectors)
    means /= counts[:, None]
    several = counts[whose] > 1
    # The mean of n pictures lies nearer to each than the person does.
    deviations = (vectors - means[whose])[several] / np.sqrt(1 - 1 / counts[whose][several])[:, None]
    within = deviations.T @ deviations / len(deviations)
    between = np.cov(means.T) - within * np.mean(1 / counts)
    sizes = np.linalg.norm(deviations, axis=1)
    return People(
        means.mean(axis=0).astype(np.float32),
        _factor(between),
        _factor(within),
        np.asarray(sizes / np.sqrt(np.mean(sizes**2)), np.float32),
    )


def noise(size: int, distance: float = 0.8) -> People:
    """The worst case: identities evenly over the sphere, deviations of every direction, pictures this far apart."""
    eye = np.eye(size, dtype=np.float32) / np.sqrt(size)
    # Two pictures of one person have cosine 1 / (1 + w) with deviations of variance w.
    spread = np.float32(np.sqrt(1 / (1 - distance / 2) - 1))
    return People(np.zeros(size, np.float32), eye, eye * spread, np.ones(1, np.float32))


def embedded(shared: Path, keep: Path, size: int) -> Path:
    """A file in ``keep`` of LFW's embeddings by the model of this size; made when it is not there."""
    from rtface.config import load_config
    from rtface.evaluation.lfw import embed_pictures
    from rtface.sources.images import read_picture
    from rtface.system import System

    file = keep / f"{MODELS[size]}.npz"
    if not file.exists():
        pictures = sorted((shared / "data" / "lfw").glob("*/*.jpg"))
        with System(load_config(None, {"embedder": MODELS[size]})) as system:
            found = embed_pictures(
                pictures, system.detector, system.embedder, read_picture=read_picture, report=lambda *_: None
            )
        known = {picture: row for picture, row in found.items() if row is not None}
        np.savez(file, vectors=np.stack(list(known.values())), people=[picture.parent.name for picture in known])
    return file


def real(file: Path) -> tuple[Rows, NDArray[np.str_]]:
    """Rows and names that ``embedded`` has kept."""
    with np.load(file) as kept:
        return kept["vectors"], kept["people"]


def unit(rows: Rows) -> Rows:
    """Of norm 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _factor(covariance: NDArray[np.float64]) -> Rows:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))).T, np.float32)
