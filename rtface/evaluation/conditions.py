"""The conditions that pictures are put through, and what the paper measured under its own.

Source: Schroff et al., *FaceNet*, 2015: table 4 (JPEG quality and pixels, NN1, VAL at FAR 1e-3 on its hold-out set) and
table 5 (dimensions). Blur, darkness, rotation and occlusion are not in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rtface.evaluation import degrade
from rtface.evaluation.degrade import Thumbnail

PAPER_DIMENSIONS = {64: 0.868, 128: 0.879, 256: 0.877, 512: 0.856}
UNTOUCHED = "untouched"
JPEG = {10: 0.673, 20: 0.814, 30: 0.839, 50: 0.855, 70: 0.861, 90: 0.865}
SIZES = {40: 0.378, 80: 0.795, 120: 0.845, 160: 0.857, 256: 0.864}
BLURS = (1.0, 2.0, 4.0, 8.0)
LIGHTS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
ROTATIONS = (10.0, 20.0, 45.0, 90.0)
OCCLUSIONS = ("eyes", "mouth", "half")


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One thing done to every picture.

    Attributes:
        series: what kind of thing.
        label: which of it, for people.
        value: its place on a scale; None where it has none.
        paper: VAL at FAR 1e-3 in the paper; None where it has none.
        apply: from the native thumbnail to the degraded one.
    """

    series: str
    label: str
    value: float | None
    paper: float | None
    apply: Callable[[Thumbnail], Thumbnail]

    @property
    def name(self) -> str:
        """Unlike that of any other."""
        return f"{self.series} {self.label}"


def conditions(*, context: float = degrade.CLOSE) -> list[Condition]:
    """All of them, the untouched thumbnail first.

    Args:
        context: of the thumbnails they are for; the face has as many pixels in a wide one as in a close one.
    """
    scale = context / degrade.CLOSE
    side = round(degrade.SIDE * scale)

    def on_thumbnail(change: Callable[[Thumbnail], Thumbnail]) -> Callable[[Thumbnail], Thumbnail]:
        return lambda thumbnail: change(degrade.resized(thumbnail, side))

    def series(
        name: str, change: Callable[..., Thumbnail], values: dict[float, str], paper: dict[int, float] | None = None
    ) -> list[Condition]:
        return [
            Condition(name, label, value, (paper or {}).get(int(value)), on_thumbnail(partial(_with, change, value)))
            for value, label in values.items()
        ]

    sizes = [
        Condition("size", f"{pixels}x{pixels}", pixels**2, paper, _to_size(round(pixels * scale)))
        for pixels, paper in SIZES.items()
    ]
    occlusions = [
        Condition("occlusion", what, None, None, on_thumbnail(partial(_with, degrade.occluded, what)))
        for what in OCCLUSIONS
    ]
    return [
        Condition(UNTOUCHED, f"{degrade.SIDE}x{degrade.SIDE}", None, None, on_thumbnail(lambda same: same)),
        *series("jpeg", degrade.compressed, {quality: f"quality {quality}" for quality in JPEG}, JPEG),
        *sizes,
        *series("blur", degrade.blurred, {sigma: f"sigma {sigma:g} px" for sigma in BLURS}),
        *series("darkness", degrade.darkened, {light: f"1/{1 / light:.0f} of the light" for light in LIGHTS}),
        *series("rotation", degrade.rotated, {degrees: f"{degrees:g} degrees" for degrees in ROTATIONS}),
        *occlusions,
    ]


def _with(change: Callable[..., Thumbnail], value: object, thumbnail: Thumbnail) -> Thumbnail:
    return change(thumbnail, value)


def _to_size(side: int) -> Callable[[Thumbnail], Thumbnail]:
    return lambda thumbnail: degrade.resized(thumbnail, side)
