"""A model with a last layer gives rows of the space it shares with another, from whatever the network gives."""

from dataclasses import replace

import numpy as np

from rtface.embedding.embedder import ModelEmbedder
from rtface.models.harmonic import Layer
from tests.embedding.test_embedder import SIZE, SPEC, Flat

LAYER = Layer(
    (np.random.default_rng(1).normal(size=SIZE) / 20).astype(np.float32),
    np.random.default_rng(2).normal(size=(SIZE, 7)).astype(np.float32),
)


def test_rows_are_those_of_the_network_through_the_layer() -> None:
    crops = np.random.default_rng(3).integers(0, 256, (5, 160, 160, 3), np.uint8)
    bare, layered = ModelEmbedder(SPEC, Flat()), ModelEmbedder(replace(SPEC, layer=LAYER), Flat())
    for mirror in (False, True):
        for row, given in zip(layered.embed(crops, mirror=mirror), bare.embed(crops, mirror=mirror), strict=True):
            moved = [
                sum((given[i] - LAYER.centre[i]) * LAYER.matrix[i, j] for i in range(SIZE)) for j in range(LAYER.size)
            ]
            assert np.abs(row - np.array(moved) / np.linalg.norm(moved)).max() < 1e-4
    assert (layered.size, layered.embed(crops[:0]).shape) == (7, (0, 7))
    assert np.array_equal(layered.launch(crops).collect(), layered.embed(crops))
    assert layered.fingerprint != bare.fingerprint
