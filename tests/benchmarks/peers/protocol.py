"""What runner and adapters say to each other: a job as JSON in, a report as JSON out.

This file is imported in every peer's own environment: the standard library, numpy and OpenCV are all it may need.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8 BGR, as OpenCV reads it."""

FACENET_LIMIT = 1.1
"""Squared L2 distance up to which FaceNet users take two faces for one person; figure 1 of the FaceNet paper."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video to watch."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Job:
    """All an adapter is told.

    Attributes:
        people: pictures of each person to enrol.
        clips: videos, each watched from its beginning as a stream of its own.
        frames: at most so many of each clip; None: all.
        files: networks and weights by name, see ``weights.prepare``.
        settings: rtface's own settings, for its adapters only.
        folder: where an adapter may leave files; it is empty and removed afterwards.
    """

    people: dict[str, list[str]]
    clips: list[Clip]
    frames: int | None
    files: dict[str, str]
    settings: dict[str, str]
    folder: str


@dataclass(frozen=True, slots=True)
class SeenFace:
    """A face in a frame: left, top, right, bottom in px, and who it is said to be, None for nobody known."""

    box: tuple[float, float, float, float]
    name: str | None


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """What a peer says of one frame; ``index`` counts from 0 in the clip."""

    index: int
    faces: list[SeenFace]


@dataclass(frozen=True, slots=True)
class Watched:
    """One clip as a peer saw it.

    Attributes:
        name: of the clip.
        frames: that got a result.
        seconds: from before the clip is opened to its last result; decoding is in it.
        cpu_seconds: processor time of all threads in that time.
        gaps_ms: time from one result to the next, the first from the opening.
        faces: (frame, box, name or None), all frames.
    """

    name: str
    frames: int
    seconds: float
    cpu_seconds: float
    gaps_ms: list[float]
    faces: list[tuple[int, tuple[float, float, float, float], str | None]]


@dataclass(frozen=True, slots=True)
class Report:
    """What an adapter hands back.

    Attributes:
        load_seconds: until the networks are ready; enrol_seconds: for all pictures.
        enrolled: pictures taken of each person.
        peak_mb: largest resident memory of the process, enrolment included.
        notes: what a reader of the table has to know.
        versions: of the libraries.
        clips: one entry a clip, in the job's order.
    """

    load_seconds: float
    enrol_seconds: float
    enrolled: dict[str, int]
    peak_mb: float
    notes: list[str]
    versions: dict[str, str]
    clips: list[Watched] = field(default_factory=list)


class Peer(Protocol):
    """A face recogniser as its users run it."""

    notes: list[str]

    def enrol(self, name: str, pictures: Sequence[Path]) -> int:
        """Learns a person; how many of the pictures were of use."""

    def watch(self, clip: Path, frames: int | None) -> Iterator[SeenFrame]:
        """Results of the clip's frames, flat out."""


class StillPeer(ABC):
    """A peer that knows no video: every frame is a picture, every face in it is embedded and compared anew."""

    def __init__(self, limit: float) -> None:
        """Args: ``limit`` is the distance up to which the nearest enrolled picture gives its name."""
        self.notes: list[str] = []
        self._limit = limit
        self._names: list[str] = []
        self._rows: list[NDArray[np.float32]] = []

    @abstractmethod
    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        """Box and embedding of every face."""

    def distances(self, rows: NDArray[np.float32], row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of (N, D) enrolled rows to one: squared L2, FaceNet's D(x, y), unless the peer measures otherwise."""
        return np.asarray(np.sum((rows - row) ** 2, axis=1), np.float32)

    def enrol(self, name: str, pictures: Sequence[Path]) -> int:
        """The largest face of each picture."""
        before = len(self._rows)
        for picture in pictures:
            image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError(f"{picture} is no picture OpenCV can read.")
            found = self.look(np.asarray(image, np.uint8))
            if found:
                _, row = max(found, key=lambda face: (face[0][2] - face[0][0]) * (face[0][3] - face[0][1]))
                self._rows.append(row)
                self._names.append(name)
        return len(self._rows) - before

    def watch(self, clip: Path, frames: int | None) -> Iterator[SeenFrame]:
        """Reads, looks, compares; one frame after the other."""
        capture = cv2.VideoCapture(str(clip))
        rows = np.stack(self._rows)
        index = 0
        try:
            while frames is None or index < frames:
                there, image = capture.read()
                if not there:
                    return
                found = self.look(np.asarray(image, np.uint8))
                yield SeenFrame(index, [SeenFace(box, self._nearest(rows, row)) for box, row in found])
                index += 1
        finally:
            capture.release()

    def _nearest(self, rows: NDArray[np.float32], row: NDArray[np.float32]) -> str | None:
        distances = self.distances(rows, row)
        nearest = int(np.argmin(distances))
        return self._names[nearest] if distances[nearest] <= self._limit else None


def rgb(image: Image) -> Image:
    """The same picture in the other colour order."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def watch(peer: Peer, clip: Clip, frames: int | None) -> Watched:
    """Runs one clip and takes the time."""
    seen: list[SeenFrame] = []
    begun, cpu_begun = time.perf_counter(), time.process_time()
    marks = [begun]
    for frame in peer.watch(Path(clip.path), frames):
        seen.append(frame)
        marks.append(time.perf_counter())
    return Watched(
        clip.name,
        len(seen),
        marks[-1] - begun,
        time.process_time() - cpu_begun,
        [round(float(gap), 3) for gap in np.diff(marks) * 1000],
        [
            (frame.index, (float(box[0]), float(box[1]), float(box[2]), float(box[3])), face.name)
            for frame in seen
            for face in frame.faces
            for box in [face.box]
        ],
    )


def perform(job: Job, open_peer: Callable[[Job], Peer], libraries: Sequence[str]) -> Report:
    """Loads, enrols and watches."""
    begun = time.perf_counter()
    peer = open_peer(job)
    loaded = time.perf_counter()
    enrolled = {name: peer.enrol(name, [Path(place) for place in places]) for name, places in job.people.items()}
    ready = time.perf_counter()
    clips = [watch(peer, clip, job.frames) for clip in job.clips]
    return Report(loaded - begun, ready - loaded, enrolled, peak_mb(), peer.notes, versions(libraries), clips)


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Of the distributions that are installed; OpenCV, for one, has several names."""
    found = {}
    for library in libraries:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB of 2^20 bytes.

    Linux's own mark where there is one: ``getrusage`` counts what the parent had before this program began.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_job(text: str) -> Job:
    """A job from its JSON."""
    fields = json.loads(text)
    return Job(**{**fields, "clips": [Clip(**clip) for clip in fields["clips"]]})


def read_report(text: str) -> Report:
    """A report from its JSON."""
    fields = json.loads(text)
    clips = [Watched(**{**clip, "faces": [_face(face) for face in clip["faces"]]}) for clip in fields["clips"]]
    return Report(**{**fields, "clips": clips})


def _face(face: Sequence[object]) -> tuple[object, ...]:
    index, box, name = face
    assert isinstance(box, list)
    return index, tuple(box), name


def serve(open_peer: Callable[[Job], Peer], libraries: Sequence[str], arguments: Sequence[str] | None = None) -> None:
    """An adapter's ``main``: reads the job named first, writes the report named second."""
    job_file, report_file = (Path(place) for place in (sys.argv[1:] if arguments is None else arguments))
    report = perform(read_job(job_file.read_text(encoding="utf-8")), open_peer, libraries)
    report_file.write_text(json.dumps(asdict(report)), encoding="utf-8")
