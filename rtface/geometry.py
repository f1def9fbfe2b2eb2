"""Boxes: overlap and suppression. Pure functions over (N, 4) arrays of left, top, right, bottom in px."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) px squared; boxes turned inside out have none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def intersection(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) px squared that each box of a (N, 4) shares with each of b (M, 4)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) intersection over union, 0..1."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], limit: float, *, over_smaller: bool = False
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4).
        scores: (N,).
        limit: a box goes when it overlaps a better one by more than this.
        over_smaller: measure the overlap against the smaller box instead of the union (MTCNN's last stage).

    Returns:
        Indices of the boxes that stay, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    areas = area(boxes)
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        shared = intersection(boxes[best : best + 1], boxes[rest])[0]
        smaller = np.minimum(areas[best], areas[rest])
        whole = smaller if over_smaller else areas[best] + areas[rest] - shared
        order = rest[shared <= limit * np.maximum(whole, 1e-9)]
    return np.asarray(kept, np.intp)
