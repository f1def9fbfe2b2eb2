"""Heads cut out of the demonstration's photo, to be set into any picture: sixteen that look different."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from rtface.sources.demo import portrait
from rtface.types import Image

HEADS = (
    (61, 269, 167, 397),
    (267, 152, 372, 278),
    (466, 267, 568, 412),
    (748, 353, 847, 475),
    (906, 59, 1006, 202),
    (1126, 273, 1221, 397),
)
"""Faces of the photo, left, top, right, bottom in px: YuNet's boxes, from hair line to chin."""

UPRIGHT_DEG = (-14, 0, 0, 0, 0, 0)
"""Turns the first, who inclines her head, upright: small and inclined she is missed."""

WIDE, TALL = 1.9, 2.1
"""A cut-out's sides in widths of the face: room for hair and chin, little of the neighbours."""

HAIR = 0.06
"""How far the cut-out's middle is above the face's, in widths of the face; chosen by eye."""

SQUEEZE = (1.0, -1.0, 0.9, -1.08)
"""A head comes as in the photo, mirrored, narrower, and mirrored and wider: 6 x 4 that are no copies of each other."""

POSES = 12
"""Tilts and distances a head goes through, in a circle."""

TILT_DEG = 7.0
NEARER = 0.06
"""Half the swing of a head's tilt, and of its size; far within what any detector takes."""

FEATHER = 0.12
"""The soft part of a cut-out's rim, of its radius."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One person's cut-outs, to be laid over a picture as ``picture * keep / 255 + pose``.

    Attributes:
        poses: POSES pictures (h, w, 3) uint8, already faded out at the rim.
        keep: (h, w, 3) uint8, what remains of the picture below: 0 in the middle, 255 outside.
    """

    poses: tuple[Image, ...]
    keep: Image


@functools.lru_cache(maxsize=64)
def head(number: int, width: int) -> Head:
    """A person; the same numbers give the same person, whoever asks.

    Args:
        number: from 0; 24 different ones, then they repeat.
        width: of the face in px.
    """
    photo = portrait()
    squeeze = SQUEEZE[number // len(HEADS) % len(SQUEEZE)]
    size = round(WIDE * width), round(TALL * width)
    show = _rim(size)
    cuts = (_cut(photo, number % len(HEADS), squeeze, pose, width, size) for pose in range(POSES))
    poses = tuple(np.asarray(cv2.multiply(cut, show, scale=1 / 255), np.uint8) for cut in cuts)
    return Head(poses, np.asarray(255 - show))


def _cut(photo: Image, place: int, squeeze: float, pose: int, width: int, size: tuple[int, int]) -> Image:
    """One pose of one face, filling its cut-out."""
    left, top, right, bottom = HEADS[place]
    phase = 2 * np.pi * pose / POSES
    scale = width / (right - left) * (1 - NEARER + NEARER * np.cos(phase))
    tilt = cv2.getRotationMatrix2D((0, 0), UPRIGHT_DEG[place] + TILT_DEG * np.sin(phase), scale)
    tilt[0] *= squeeze
    middle = np.array([(left + right) / 2, (top + bottom) / 2 - HAIR * (right - left)])
    tilt[:, 2] = np.array(size) / 2 - tilt[:, :2] @ middle
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(photo, tilt, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _rim(size: tuple[int, int]) -> Image:
    """(h, w, 3) uint8: 255 in an oval's middle, fading to 0 at its rim."""
    across, down = (np.linspace(-1, 1, length) for length in size)
    radius = np.hypot(across[None], down[:, None])
    show = np.clip((1 - radius) / FEATHER, 0, 1)
    return np.repeat(np.rint(255 * show).astype(np.uint8)[..., None], 3, axis=2)
