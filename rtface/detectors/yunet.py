"""YuNet, the default detector: small enough to look at every frame of a camera on a CPU.

Source: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023; decoding as OpenCV's ``FaceDetectorYN``
(modules/objdetect/src/face_detect.cpp) does it, which is also the test's truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.detectors._single_shot import Family, SingleShot
from rtface.interfaces import Backend, Detector

MIN_SCORE = 0.7
"""Measured with tests/benchmarks/detection.py: 42 of 43 group faces and 41 of 44 of at least 24 px, 3 of 60 animals
taken for people (2 at min_face_px 32). 0.85 takes none there, but loses 3 and 7 faces more; at 0.6 hands and ornaments
begin to be faces."""


def open(
    graphs: Mapping[str, Path],
    open_backend: Callable[[Path], Backend],
    *,
    min_score: float | None = None,
    min_face_px: int = 20,
) -> Detector:
    """A detector on the graph ``yunet``.

    Args:
        graphs: graph name to file.
        open_backend: makes an engine of a file.
        min_score: faces below it are not reported, 0..1; None is this network's own default.
        min_face_px: width of the smallest face that has to be found, in the picture's px. Larger is faster.

    Raises:
        ConfigError: a number is out of range.
    """
    score = MIN_SCORE if min_score is None else min_score
    return SingleShot(FAMILY, open_backend(graphs["yunet"]), min_score=score, min_face_px=min_face_px)


def corners(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, 4) centre and logarithm of the size to (K, 4) left, top, right, bottom, all in cell widths."""
    centre, half = raw[:, :2], np.exp(raw[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


FAMILY = Family("yunet", anchors=1, corners=corners, overlap=0.3, smallest_px=20, largest_px=400, roll_gain=2.2)
"""``overlap`` is FaceDetectorYN's default. Sizes measured on 60 LFW faces scaled to 6..700 px: at this score 98 %
are found at 20 px and all from 28 to 400, 88 % at 16 px, 95 % at 500 with boxes that no longer fit, 38 % at 600."""
