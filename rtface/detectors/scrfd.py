"""SCRFD, InsightFace's detector: weights for non-commercial research only.

Source: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022; decoding as
InsightFace's ``model_zoo.SCRFD`` does it, which is also the test's truth. InsightFace fits every picture into one
square of 640 px; here only as much is looked at as ``min_face_px`` asks for, and the network sees no empty margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.detectors._single_shot import Family, SingleShot
from rtface.interfaces import Backend, Detector

MIN_SCORE = 0.6
"""Measured with tests/benchmarks/detection.py: 43 of 43 group faces and 40 of 44 of at least 24 px, 3 of 60 animals
taken for people (none at min_face_px 32, where InsightFace's 0.5 takes three for one face more)."""


def open(
    graphs: Mapping[str, Path],
    open_backend: Callable[[Path], Backend],
    *,
    min_score: float | None = None,
    min_face_px: int = 20,
) -> Detector:
    """A detector on the graph ``scrfd``.

    Args:
        graphs: graph name to file.
        open_backend: makes an engine of a file.
        min_score: faces below it are not reported, 0..1; None is this network's own default.
        min_face_px: width of the smallest face that has to be found, in the picture's px. Larger is faster.

    Raises:
        ConfigError: a number is out of range.
    """
    score = MIN_SCORE if min_score is None else min_score
    return SingleShot(FAMILY, open_backend(graphs["scrfd"]), min_score=score, min_face_px=min_face_px)


def corners(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, 4) distances to the left, top, right and bottom edges to (K, 4) edges, all in cell widths."""
    return raw * np.array([-1, -1, 1, 1], np.float32)


FAMILY = Family("scrfd", anchors=2, corners=corners, overlap=0.4, smallest_px=20, largest_px=300)
"""``overlap`` is InsightFace's default. Sizes measured on 60 LFW faces scaled to 6..700 px: at this score 98 % are
found at 20 px and all from 24 to 280, 88 % at 16 px, 90 % at 320, none at 360."""
