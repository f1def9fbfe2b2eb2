"""Finds the faces in one camera's frames by looking only where the picture has changed.

A detector's answer for a part of the picture holds until that part looks different. So the whole picture is searched
every ``full_look_s`` seconds. In between, known faces that move are followed in every frame, and whatever else has
changed is searched every ``new_face_s``, or at once when a known face is no longer where it was. What that saves and
what it misses: tests/benchmarks/lookout.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtface.interfaces import Detector
from rtface.tracking.changes import CELL_PX, ChangeMap, Region
from rtface.types import Detection, Image

LOOK_PRICE_PX = 40_000
"""What a look costs beyond its pixels, in px: YuNet takes 0.45 ms for next to nothing and 3.5 ms for 640x480."""
WORTH_WHILE = 0.8
"""Parts are looked at alone when they cost less than this share of the whole picture."""
AROUND_FACE = 0.25
"""A face that is looked at again is looked at with this share of its sides around it, and with a cell at least: at the
edge of what it sees a network sees worse."""
CUT_PX = 2.0
"""What comes closer to the edge of a part than this is the part of a face that has not changed."""


class Lookout:
    """The faces of one camera; one frame after the other."""

    def __init__(self, detector: Detector, *, full_look_s: float, new_face_s: float) -> None:
        """Args: with ``full_look_s`` 0 every frame is searched whole, with ``new_face_s`` 0 wherever it has changed."""
        self.detector = detector
        self._full_look_s = full_look_s
        self._new_face_s = new_face_s
        self._changes = ChangeMap()
        self._faces: list[Detection] = []
        self._looked_whole = -np.inf
        self._looked_for_new = -np.inf

    def detect(self, image: Image, at: float) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR frame taken at ``at`` seconds, best first."""
        if not self._full_look_s:
            return self.detector.detect(image)
        changed = self._changes.changed(image)
        if changed is not None and at - self._looked_whole < self._full_look_s:
            if at - self._looked_for_new < self._new_face_s and self._followed(image, changed):
                return list(self._faces)
            if self._looked_at(image, changed):
                self._looked_for_new = at
                return list(self._faces)
        self._faces = self.detector.detect(image)
        self._looked_whole = self._looked_for_new = at
        self._changes.looked_at(None)
        return list(self._faces)

    def _followed(self, image: Image, changed: Sequence[Region]) -> bool:
        """Looks at the known faces where something has changed; False when one of them is not found there again."""
        height, width = image.shape[:2]
        moved = [face for face in self._faces if any(region.meets(face.box) for region in changed)]
        before = len(self._faces)
        looked = self._looked_at(image, [_around(face, height, width) for face in moved])
        return looked and len(self._faces) >= before

    def _looked_at(self, image: Image, regions: Sequence[Region]) -> bool:
        """Looks at regions and the faces in them; False, without a look, where the whole picture costs no more."""
        height, width = image.shape[:2]
        regions = _with_faces(regions, self._faces, height, width)
        if _price(regions) >= WORTH_WHILE * _price([Region(0, 0, width, height)]):
            return False
        faces = [face for face in self._faces if not any(region.meets(face.box) for region in regions)]
        for region in regions:
            faces += self._search(image, region)
            self._changes.looked_at(region)
        self._faces = sorted(faces, key=lambda face: -face.score)
        return True

    def _search(self, image: Image, region: Region) -> list[Detection]:
        height, width = image.shape[:2]
        part = image[region.top : region.bottom, region.left : region.right]
        whole = np.array(
            [
                CUT_PX if region.left else -np.inf,
                CUT_PX if region.top else -np.inf,
                part.shape[1] - CUT_PX if region.right < width else np.inf,
                part.shape[0] - CUT_PX if region.bottom < height else np.inf,
            ]
        )
        corner = np.array([region.left, region.top], np.float32)
        return [
            Detection(face.box + np.tile(corner, 2), face.landmarks + corner, face.score)
            for face in self.detector.detect(part)
            if (face.box[:2] >= whole[:2]).all() and (face.box[2:] <= whole[2:]).all()
        ]


def _with_faces(regions: Sequence[Region], faces: Sequence[Detection], height: int, width: int) -> list[Region]:
    """Regions that hold every face they meet whole, joined where that is cheaper or they overlap."""
    around = [_around(face, height, width) for face in faces]
    regions = list(regions)
    while True:
        grown = [_grown(region, faces, around) for region in regions]
        grown = _joined(grown)
        if grown == regions:
            return regions
        regions = grown


def _grown(region: Region, faces: Sequence[Detection], around: Sequence[Region]) -> Region:
    for face, whole in zip(faces, around, strict=True):
        if region.meets(face.box):
            region = region.joined(whole)
    return region


def _around(face: Detection, height: int, width: int) -> Region:
    margin = np.maximum(AROUND_FACE * (face.box[2:] - face.box[:2]), CELL_PX)
    left, top = np.floor((face.box[:2] - margin) / CELL_PX).astype(int) * CELL_PX
    right, bottom = np.ceil((face.box[2:] + margin) / CELL_PX).astype(int) * CELL_PX
    return Region(max(int(left), 0), max(int(top), 0), min(int(right), width), min(int(bottom), height))


def _joined(regions: Sequence[Region]) -> list[Region]:
    """The same cells in regions that do not overlap and are not dearer one by one than together."""
    result: list[Region] = []
    for region in regions:
        merged = region
        for other in list(result):
            both = merged.joined(other)
            if merged.meets(other) or _price([both]) <= _price([merged, other]):
                result.remove(other)
                merged = both
        result.append(merged)
    return result


def _price(regions: Sequence[Region]) -> int:
    return sum(region.area + LOOK_PRICE_PX for region in regions)
