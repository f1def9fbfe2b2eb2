"""rtface as a user runs it from Python: enrol, then stream a file, flat out, a result for every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.protocol import Job, SeenFace, SeenFrame, serve

TITLE = "rtface, FaceNet"
RULE = "k-NN vote over a track inside the calibrated distance, one person once a frame; the shipped defaults"
REQUIREMENTS: tuple[str, ...] = ()
WITHOUT_DEPENDENCIES: tuple[str, ...] = ()


class Rtface:
    """The Python API; fulfils ``protocol.Peer``."""

    def __init__(self, job: Job, embedder: str) -> None:
        import rtface

        settings: dict[str, Any] = {"gallery": Path(job.folder) / "gallery.db", "embedder": embedder, **job.settings}
        self._system = rtface.open(**settings)
        _ = self._system.detector, self._system.embedder  # loaded now, so that enrolment is not charged with it
        self.notes = [f"precision {self._system.config.precision}"]
        self.notes += [f"settings {job.settings}"] if job.settings else []

    def enrol(self, name: str, pictures: Sequence[Path]) -> int:
        return sum(outcome.accepted for outcome in self._system.enroll(name, pictures))

    def watch(self, clip: Path, frames: int | None) -> Iterator[SeenFrame]:
        for result in self._system.stream(clip, max_frames=frames):
            if not result.repeated:
                yield SeenFrame(
                    result.frame.index,
                    [
                        SeenFace(
                            (float(track.box[0]), float(track.box[1]), float(track.box[2]), float(track.box[3])),
                            track.identity.person if track.identity else None,
                        )
                        for track in result.tracks
                    ],
                )


def open_peer(job: Job) -> Rtface:
    return Rtface(job, "facenet")


if __name__ == "__main__":
    serve(open_peer, ["onnxruntime", "opencv-python", "numpy"])
