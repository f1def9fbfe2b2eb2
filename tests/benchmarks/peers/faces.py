"""The crop FaceNet's weights want, for the peers that have none of their own; numpy and OpenCV are all it needs.

The same rule as ``rtface.embedding.align.crop_box`` without the turning of tilted heads: the box, each side wider by
``MARGIN`` of itself in all, stretched to a square.
"""

from __future__ import annotations

import cv2
import numpy as np

from tests.benchmarks.peers.protocol import Image

SIZE = 160
MARGIN = 0.21
"""Source: ``crop`` of facenet in engines/models.toml, the best of 22 crops on LFW."""


def box_crop(image: Image, box: tuple[float, float, float, float]) -> Image:
    """(160, 160, 3) of a box, left, top, right, bottom; over the picture's edge the edge repeats."""
    left, top, right, bottom = box
    grow_x, grow_y = (right - left) * MARGIN / 2, (bottom - top) * MARGIN / 2
    x0, y0 = int(np.floor(left - grow_x)), int(np.floor(top - grow_y))
    x1, y1 = max(int(np.ceil(right + grow_x)), x0 + 1), max(int(np.ceil(bottom + grow_y)), y0 + 1)
    height, width = image.shape[:2]
    inside = image[max(y0, 0) : max(min(y1, height), 1), max(x0, 0) : max(min(x1, width), 1)]
    if inside.size == 0:
        inside = image[:1, :1]
    pads = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    whole = cv2.copyMakeBorder(inside, *pads, cv2.BORDER_REPLICATE) if any(pads) else inside
    way = cv2.INTER_AREA if min(whole.shape[:2]) > SIZE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(whole, (SIZE, SIZE), interpolation=way), np.uint8)
