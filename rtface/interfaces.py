"""The joints: what a part has to offer to fit. Nothing inherits from these; whatever has the methods fits.

Adding a detector, backend, source or sink is adding one file with ``open(...)`` to its folder; ``registry`` finds it by
the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rtface.types import Detection, Frame, FrameResult, Image, Neighbor, Track


class FrameSource(Protocol):
    """Where frames come from.

    ``live`` tells a camera, whose frames are dropped when the loop is busy, from a file, which waits.
    ``status`` is ``streaming`` or, while a live source tries to come back, ``reconnecting``. ``stills`` tells pictures
    that have nothing to do with each other, each to be judged by itself, from the frames of one scene.
    """

    name: str
    live: bool
    stills: bool
    status: str

    def frames(self) -> Iterator[Frame]:
        """Frames until the source ends. No read blocks for longer than 2 s.

        Raises:
            SourceLost: it cannot go on.
        """

    def close(self) -> None:
        """Releases the device; may be called from another thread, which ends ``frames``."""


class Backend(Protocol):
    """One engine running one network. Knows nothing of faces."""

    name: str
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Every output for these inputs. The arrays returned belong to the caller."""

    def close(self) -> None:
        """Frees the engine."""


class Running(Protocol):
    """A run that has been launched."""

    def collect(self) -> dict[str, NDArray[np.float32]]:
        """Waits for the run's end and gives every output; the arrays belong to the caller. Called once."""


@runtime_checkable
class AsyncBackend(Backend, Protocol):
    """A backend that computes elsewhere while its caller goes on. One run is under way at a time."""

    def launch(self, arrays: Mapping[str, NDArray[np.generic]]) -> Running:
        """Begins what ``run`` does; the arrays given may be changed as soon as it returns."""


class Detector(Protocol):
    """Finds faces."""

    name: str

    def detect(self, image: Image) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR picture of any size, best score first; nobody is []."""

    def refine(self, image: Image, detection: Detection) -> Detection:
        """A closer look at a face it found, for embedding: the same face, told as well as this detector can."""

    def close(self) -> None:
        """Frees its engines."""


class PendingRows(Protocol):
    """Embeddings that have been asked for."""

    def collect(self) -> NDArray[np.float32]:
        """Waits for them: what ``embed`` would have given. Called once."""


class Embedder(Protocol):
    """Maps face crops to points on the unit sphere.

    ``by_landmarks`` tells whether its crop follows the landmarks, ``asynchronous`` whether it computes what has been
    launched while its caller goes on.
    """

    name: str
    fingerprint: str
    backend: str
    size: int
    crop_size: int
    by_landmarks: bool
    asynchronous: bool

    def crop(self, image: Image, detection: Detection) -> Image:
        """The (crop_size, crop_size, 3) uint8 BGR picture this model wants of a face."""

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        """(N, crop_size, crop_size, 3) uint8 BGR to (N, size) float32 unit rows; N may be 0.

        With ``mirror`` each row is the middle between the crop's and its mirror image's, for stills.
        """

    def launch(self, crops: NDArray[np.uint8]) -> PendingRows:
        """Begins what ``embed`` does; done when this returns where it is not ``asynchronous``.

        The crops must not change before ``collect``. One launch is collected before the next.
        """

    def close(self) -> None:
        """Frees its engine."""


@runtime_checkable
class FrameEmbedder(Embedder, Protocol):
    """An embedder whose network cuts the faces out itself, so that a frame is handed to it once for all its faces."""

    def launch_in(self, faces: Sequence[tuple[Image, Detection]]) -> PendingRows:
        """As ``launch``, for N faces each with the (H, W, 3) uint8 BGR frame it is in; rows come in their order."""


class Tracker(Protocol):
    """Follows faces from frame to frame, in seconds, never in frames."""

    def update(self, detections: Sequence[Detection], at: float) -> list[Track]:
        """Tracks alive at this moment, by id: tentative, confirmed and lost.

        Args:
            detections: faces of one frame.
            at: seconds, never smaller than in the call before.
        """

    def split(self, track_id: int) -> Track:
        """Gives the face now at this track an id of its own: it turned out to be somebody else.

        The old track ends here. Returns the new, confirmed track.
        """


class Gallery(Protocol):
    """Enrolled people and the search among them."""

    @property
    def revision(self) -> int:
        """Grows with every change, in whatever process it was made."""

    def counts(self) -> Mapping[str, int]:
        """Rows of each enrolled person."""

    def refresh(self) -> bool:
        """Takes in what other processes have changed; True when there was something. Cheap when there was not."""

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """For each of N unit rows its at most k nearest gallery rows, nearest first."""

    def close(self) -> None:
        """Releases the file."""


class Sink(Protocol):
    """Where results go."""

    def write(self, result: FrameResult) -> bool:
        """Takes one frame's result. False asks the loop to stop."""

    def close(self) -> None:
        """Finishes what was begun; files are whole afterwards."""
