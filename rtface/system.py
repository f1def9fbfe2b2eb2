"""A whole rtface from settings: what the commands stand on, and the Python API.

with rtface.open(gallery="family.db") as system:
    system.enroll("Ada", "pictures/ada")
    for result in system.stream(0):
        print([track.identity for track in result.tracks])
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from rtface.config import Config, load_config
from rtface.errors import PictureError
from rtface.types import Face, FrameResult, Identity, Image

if TYPE_CHECKING:
    from rtface.engines import Engines
    from rtface.enrollment import Enroller, PictureOutcome
    from rtface.gallery.store import PersonGallery
    from rtface.interfaces import Detector, Embedder, FrameSource, Tracker
    from rtface.models.fetch import Report
    from rtface.models.spec import ModelSpec
    from rtface.models.store import ModelStore
    from rtface.pipeline.judge import Judge
    from rtface.pipeline.recognizer import Recognizer

VERIFY_FAR = 1e-3
"""False accept rate at which two pictures count as one person. Source: FaceNet paper, section 4."""


@dataclass(frozen=True, slots=True, eq=False)
class IdentifiedFace:
    """A face of a still and who it is."""

    face: Face
    identity: Identity


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether two pictures show the same person: ``distance`` 0..4 against ``threshold``."""

    same: bool
    distance: float
    threshold: float


class System:
    """Detector, embedder and gallery as the settings want them, each loaded when first needed."""

    def __init__(self, config: Config, *, report: Report | None = None) -> None:
        """Args: ``report`` is told how fetching and building models goes: (label, done, total)."""
        self.config = config
        self._report = report
        self._stack = ExitStack()

    def __enter__(self) -> System:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees engines and gallery."""
        self._stack.close()

    @cached_property
    def models(self) -> ModelStore:
        """The networks on this machine."""
        from rtface.models.store import ModelStore

        return ModelStore(self.config.engines_dir, report=self._report, offline=self.config.offline)

    @cached_property
    def engines(self) -> Engines:
        """What runs the networks."""
        from rtface.engines import Engines

        return Engines(self.config, self.models, report=self._report)

    @cached_property
    def detector(self) -> Detector:
        """The detector named in the settings."""
        detector = self.engines.detector()
        self._stack.callback(detector.close)
        return detector

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model named in the settings."""
        embedder = self.engines.embedder()
        self._stack.callback(embedder.close)
        return embedder

    @property
    def embedder_spec(self) -> ModelSpec:
        """What models.toml says of the embedding model."""
        return self.engines.embedder_spec

    def open_gallery(self, *, create: bool = False) -> PersonGallery:
        """A gallery of this system's model at the configured path; the caller closes it."""
        from rtface.gallery.store import open_gallery

        spec = self.embedder_spec
        return open_gallery(
            self.config.gallery,
            model=spec.name,
            fingerprint=spec.fingerprint,
            size=spec.embedding_size,
            create=create,
            index=self.config.index,
        )

    @cached_property
    def gallery(self) -> PersonGallery:
        """The gallery, made empty if there is none yet."""
        gallery = self.open_gallery(create=True)
        self._stack.callback(gallery.close)
        return gallery

    @cached_property
    def judge(self) -> Judge:
        """The gallery with the rules for asking it."""
        from rtface.pipeline.judge import Judge, VoteRules

        config = self.config
        rules = VoteRules(config.k, config.min_share, config.max_distance, config.false_identification_rate)
        return Judge(self.gallery, self.embedder_spec.limits, rules)

    def recognizer(self, *, stills: Collection[str] = ()) -> Recognizer:
        """A recogniser with no memory of any track yet; sources named in ``stills`` show pictures, not scenes."""
        from rtface.pipeline.recognizer import Recognizer, TrackRules

        config = self.config
        rules = TrackRules(config.min_votes, config.min_share, config.min_quality, config.confirm_s)
        return Recognizer(
            self.detector,
            self.embedder,
            self.judge,
            rules,
            self._make_tracker,
            stills=stills,
            full_look_s=config.full_look_s,
            new_face_s=config.new_face_s,
        )

    def _make_tracker(self, stills: bool) -> Tracker:
        from rtface.tracking.tracker import FaceTracker

        return FaceTracker(patience_s=self.config.patience_s, confirm_hits=1 if stills else 2)

    def enroller(self) -> Enroller:
        """What adds people to the gallery."""
        from rtface.enrollment import Enroller, EnrollRules

        rules = EnrollRules(self.config.enroll_min_face_px, self.config.enroll_min_quality)
        return Enroller(self.detector, self.embedder, self.gallery, self.judge, rules)

    def enroll(self, name: str, pictures: str | Path | Iterable[str | Path]) -> list[PictureOutcome]:
        """Enrols a person from a folder, a picture or several; gives what became of each picture.

        Raises:
            BadName, GalleryError, PictureError: nothing reported as accepted is lost.
        """
        from rtface.sources.images import pictures_at

        places = [pictures] if isinstance(pictures, (str, Path)) else pictures
        return list(self.enroller().enroll(name, pictures_at(Path(place) for place in places)))

    def faces(self, image: Image) -> list[Face]:
        """All faces of a (H, W, 3) uint8 BGR picture, best detection first, embedded in one batch."""
        from rtface.embedding.crops import best_crop
        from rtface.embedding.quality import judge

        detections = self.detector.detect(image)
        if not detections:
            return []
        crops = np.stack([best_crop(self.detector, self.embedder, image, detection) for detection in detections])
        return [
            Face(detection, crop, embedding, judge(detection, crop).score)
            for detection, crop, embedding in zip(
                detections, crops, self.embedder.embed(crops, mirror=True), strict=True
            )
        ]

    def identify(self, picture: str | Path | Image) -> list[IdentifiedFace]:
        """Who is in a still; one person is in a picture once.

        Raises:
            PictureError: it cannot be read.
        """
        from rtface.gallery.voting import settle

        faces = self.faces(_image(picture))
        votes = self.judge.vote(np.stack([face.embedding for face in faces])) if faces else []
        settled = settle(dict(enumerate(votes)))
        return [IdentifiedFace(face, settled[place]) for place, face in enumerate(faces)]

    def verify(self, first: str | Path | Image, second: str | Path | Image) -> Verification:
        """Whether two stills show the same person, judged by the largest face of each.

        Raises:
            PictureError: a picture cannot be read or shows no face.
        """
        a, b = (self._largest_face(picture).embedding for picture in (first, second))
        distance = float(np.clip(np.sum((a - b) ** 2), 0, 4))
        fixed = self.config.max_distance
        threshold = self.embedder_spec.limits[VERIFY_FAR] if fixed == "auto" else fixed
        return Verification(distance <= threshold, distance, threshold)

    def _largest_face(self, picture: str | Path | Image) -> Face:
        faces = self.faces(_image(picture))
        if not faces:
            where = picture if isinstance(picture, (str, Path)) else "the picture"
            raise PictureError(f"No face was found in {where}. Use a picture in which the face is larger or frontal.")

        def width(face: Face) -> float:
            return float(face.detection.box[2] - face.detection.box[0])

        return max(faces, key=width)

    def open_sources(self, *uris: str | int | Path) -> list[FrameSource]:
        """Opens cameras, streams or files; the caller closes them, or hands them to ``stream_from``.

        Raises:
            SourceUnavailable: one cannot be opened, or is named twice.
        """
        from rtface.sources import open_source, open_together

        return open_together([partial(open_source, str(uri)) for uri in uris])

    def stream(self, *uris: str | int | Path, max_frames: int | None = None) -> Generator[FrameResult, None, None]:
        """Results of cameras, streams or files as they come; ends with them.

        Raises:
            SourceUnavailable: one cannot be opened, or is named twice.
            SourceLost: one cannot go on.
        """
        yield from self.stream_from(self.open_sources(*uris), max_frames=max_frames)

    def stream_from(
        self, sources: Sequence[FrameSource], *, max_frames: int | None = None
    ) -> Generator[FrameResult, None, None]:
        """As ``stream``, from sources opened before; closes them."""
        from rtface.pipeline.loop import results

        with ExitStack() as stack:
            for source in sources:
                stack.callback(source.close)
            recognizer = self.recognizer(stills=[source.name for source in sources if source.stills])
            yield from results(sources, recognizer, max_frames=max_frames)


def _image(picture: str | Path | Image) -> Image:
    if isinstance(picture, np.ndarray):
        return picture
    from rtface.sources.images import read_picture

    return read_picture(Path(picture))


def open_system(
    config_file: Path | None = None, *, report: Callable[[str, int, int], None] | None = None, **settings: object
) -> System:
    """A system with the settings of config.toml and the environment, overridden by ``settings``.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    return System(load_config(config_file, settings), report=report)
