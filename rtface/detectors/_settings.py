"""What every detector checks in its settings, and the picture size at which they all stop."""

from __future__ import annotations

from rtface.errors import ConfigError

MAX_INPUT_PX = 3840 * 2160
"""The largest input any network here is given, px: a whole 4K frame. Measured on ONNX Runtime, it takes 0.3 GB in YuNet
and SCRFD and 1.6 GB in MTCNN; a 20000x20000 picture would take fifty times as much."""


def checked_score(min_score: float) -> float:
    """The score itself.

    Raises:
        ConfigError: it is not within 0..1.
    """
    if not 0 <= min_score <= 1:
        raise ConfigError(f"A detector's min_score is a number from 0 to 1, not {min_score}.")
    return min_score


def checked_face_px(min_face_px: int) -> int:
    """The size itself.

    Raises:
        ConfigError: it is not positive.
    """
    if min_face_px < 1:
        raise ConfigError(f"A detector's min_face_px is a positive number of pixels, not {min_face_px}.")
    return min_face_px
