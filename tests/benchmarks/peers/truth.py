"""Who is where in a clip, and how a peer's names compare with it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture in which one person is, or only people nobody enrolled.

    Attributes:
        box: a face belongs here when its middle is inside.
        name: who is here; None: strangers, however many.
        first, end: frames it holds for, ``end`` excluded; None: to the clip's end.
        judged: False where nobody knows who it is; faces there count neither way.
    """

    box: Box
    name: str | None
    first: int = 0
    end: int | None = None
    judged: bool = True

    def holds(self, frame: int) -> bool:
        """Whether it says anything of a frame."""
        return self.first <= frame and (self.end is None or frame < self.end)

    def contains(self, box: Box) -> bool:
        """Whether the middle of a box is inside."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return self.box[0] <= x < self.box[2] and self.box[1] <= y < self.box[3]


@dataclass(frozen=True, slots=True)
class Names:
    """A peer's names in a clip, or in several.

    Attributes:
        known: appearances of enrolled people, one a person and frame: ``right + unknown + unseen + confused``.
        right: of these, with the right name.
        unknown: with a face found and no name.
        unseen: with no face found.
        confused: with another's name and not the right one.
        wrong: faces with a name that is not theirs, strangers' included, one a face and frame.
        mistakes: different such errors: a clip, a region of it and the name given.
    """

    known: int = 0
    right: int = 0
    unknown: int = 0
    unseen: int = 0
    confused: int = 0
    wrong: int = 0
    mistakes: int = 0

    def __add__(self, other: Names) -> Names:
        return Names(
            self.known + other.known,
            self.right + other.right,
            self.unknown + other.unknown,
            self.unseen + other.unseen,
            self.confused + other.confused,
            self.wrong + other.wrong,
            self.mistakes + other.mistakes,
        )


def judge(regions: Sequence[Region], frames: int, faces: Iterable[tuple[int, Box, str | None]]) -> Names:
    """Compares faces told with the truth.

    Args:
        regions: who is where; a face belongs to the first that contains it, a face in none is a stranger's.
        frames: of the clip that were watched.
        faces: (frame, box, name or None).
    """
    told: dict[tuple[int, int], list[str | None]] = defaultdict(list)
    for frame, box, name in faces:
        place = next((n for n, region in enumerate(regions) if region.holds(frame) and region.contains(box)), -1)
        told[frame, place].append(name)
    mistakes: set[tuple[int, str]] = set()
    wrong = 0
    for (_, place), names in told.items():
        if place >= 0 and not regions[place].judged:
            continue
        truth = regions[place].name if place >= 0 else None
        false = [name for name in names if name is not None and name != truth]
        wrong += len(false)
        mistakes |= {(place, name) for name in false}
    total = Names(wrong=wrong, mistakes=len(mistakes))
    for place, region in enumerate(regions):
        if region.name is not None and region.judged:
            for frame in range(frames):
                if region.holds(frame):
                    total += _appearance(region.name, told.get((frame, place), []))
    return total


def _appearance(person: str, names: Sequence[str | None]) -> Names:
    if person in names:
        return Names(known=1, right=1)
    if not names:
        return Names(known=1, unseen=1)
    if all(name is None for name in names):
        return Names(known=1, unknown=1)
    return Names(known=1, confused=1)
