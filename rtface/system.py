"""A whole rtface from settings: what the commands stand on, and the Python API.

with rtface.open(gallery="family.db") as system:
    system.enroll("Ada", "pictures/ada")
    for result in system.stream(0):
        print([track.identity for track in result.tracks])
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rtface.config import Config, load_config
from rtface.engines import CARD, VERIFY_FAR, Engines
from rtface.errors import PictureError
from rtface.types import Face, FrameResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rtface.enrollment import Enroller, PictureOutcome
    from rtface.gallery.store import PersonGallery
    from rtface.interfaces import Detector, Embedder, FrameSource, Tracker
    from rtface.models.fetch import Report
    from rtface.models.spec import ModelSpec
    from rtface.models.store import ModelStore
    from rtface.pipeline.judge import Judge
    from rtface.pipeline.recognizer import Recognizer
    from rtface.pipeline.upgrade import Parts, Upgrade
    from rtface.stills import IdentifiedFace, Picture, Verification


class System:
    """Detector, embedder and gallery as the settings want them, each loaded when first needed."""

    def __init__(self, config: Config, *, report: Report | None = None, at_once: bool = False) -> None:
        """Opens nothing yet.

        Args:
            config: the settings.
            report: is told how fetching and building models goes: (label, done, total).
            at_once: where a card is to serve whose engines are not there yet, a stream begins on the CPU and moves over
                when they have been built; otherwise they are built first.
        """
        self.config = config
        self._report = report
        self._at_once = at_once
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
        """The engines the settings want, whether they are there yet or not."""
        return Engines(self.config, self.models, report=self._report)

    @cached_property
    def _waits_for_card(self) -> bool:
        """Whether the CPU stands in for a card that has no engines yet; without ``at_once`` they are made now."""
        if self.engines.backend != CARD or self.engines.ready():
            return False
        if not self._at_once:
            self.engines.prepare()
        return self._at_once

    @cached_property
    def _parts(self) -> Parts:
        parts = (self.engines.on_cpu() if self._waits_for_card else self.engines).parts()
        self._stack.callback(parts.close)
        return parts

    @property
    def detector(self) -> Detector:
        """The detector named in the settings."""
        return self._parts.detector

    @property
    def embedder(self) -> Embedder:
        """The embedding model named in the settings."""
        return self._parts.embedder

    @property
    def embedder_spec(self) -> ModelSpec:
        """What models.toml says of the embedding model."""
        return self.engines.embedder_spec

    def open_gallery(self, *, create: bool = False) -> PersonGallery:
        """A gallery of this system's model at the configured path; the caller closes it."""
        from rtface.gallery.keys import read_key
        from rtface.gallery.store import open_gallery

        spec = self.embedder_spec
        return open_gallery(
            self.config.gallery,
            model=spec.name,
            fingerprint=spec.fingerprint,
            size=spec.size,
            create=create,
            index=self.config.index,
            recall=self.config.recall,
            key=read_key(self.config.gallery_key),
            basis=spec.basis,
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
        from rtface.gallery.calibration import kept_calibration
        from rtface.pipeline.judge import Judge, VoteRules

        database = self.gallery.database
        rules = VoteRules.of(self.config)
        return Judge(self.gallery, self._limits(), rules, calibration=lambda: kept_calibration(database))

    def _limits(self) -> Mapping[float, float]:
        """Rates and distances of the model's impostors; models.toml's where none are shipped."""
        from rtface.gallery.impostors import shipped_tail

        spec = self.embedder_spec
        tail = shipped_tail(spec.name, spec.fingerprint)
        return spec.limits if tail is None else tail.limits(cautious=True)

    def recognizer(self, *, stills: Collection[str] = ()) -> Recognizer:
        """A recogniser with no memory of any track yet; sources named in ``stills`` show pictures, not scenes."""
        from rtface.pipeline.recognizer import Recognizer, TrackRules

        config = self.config
        rules = TrackRules(config.min_votes, config.min_quality, config.confirm_s)
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

        rules = EnrollRules(self.config.enroll_min_face_px, self.config.enroll_min_quality, self.config.keep_crops)
        return Enroller(self.detector, self.embedder, self.gallery, self.judge, rules)

    def enroll(self, name: str, pictures: str | Path | Iterable[str | Path]) -> list[PictureOutcome]:
        """Enrols a person from a folder, a picture or several; gives what became of each picture.

        Raises:
            BadName, GalleryError, PictureError: nothing reported as accepted is lost.
        """
        from rtface.sources.images import pictures_at

        places = [pictures] if isinstance(pictures, (str, Path)) else pictures
        return list(self.enroller().enroll(name, pictures_at(Path(place) for place in places)))

    def faces(self, picture: Picture) -> list[Face]:
        """All faces of a picture, best detection first, embedded in one batch.

        Raises:
            PictureError: it cannot be read.
        """
        from rtface.stills import find_faces

        return find_faces(self.detector, self.embedder, picture)

    def identify(self, picture: Picture) -> list[IdentifiedFace]:
        """Who is in a still; one person is in a picture once.

        Raises:
            PictureError: it cannot be read.
        """
        from rtface.stills import name_faces

        return name_faces(self.faces(picture), self.judge)

    def verify(self, first: Picture, second: Picture) -> Verification:
        """Whether two pictures, folders of pictures or videos show the same person, by the largest face of each.

        Of folders and videos all faces of the one are compared with all of the other, up to 100 each.

        Raises:
            PictureError: one cannot be read or shows no face.
        """
        from rtface.stills import compare

        spec, fixed = self.embedder_spec, self.config.max_distance
        threshold = spec.limits[VERIFY_FAR] if fixed == "auto" else fixed
        return compare(self._template(first), self._template(second), threshold, spec.same_person)

    def _template(self, subject: Picture) -> NDArray[np.float32]:
        """(D,) the embedding of a picture's largest face, or the mean of those of a folder or video."""
        from rtface.evaluation.folders import VIDEO_SUFFIXES
        from rtface.evaluation.pictures import FaceReader, Subject
        from rtface.evaluation.videos import embed_videos
        from rtface.models.fetch import silent
        from rtface.sources.images import is_folder, read_picture
        from rtface.stills import largest_face

        path = Path(subject) if isinstance(subject, (str, Path)) else None
        moving = path is not None and path.suffix.lower() in VIDEO_SUFFIXES
        if path is None or not (is_folder(path) or moving):
            return largest_face(self.detector, self.embedder, subject).embedding
        if moving and not path.is_file():
            raise PictureError(f"{path} is not there.")
        reader = FaceReader(self.detector, self.embedder, read_picture, Subject.LARGEST)
        mean = embed_videos([path], reader, self._report or silent)[path]
        if mean is None:
            raise PictureError(f"No face was found in {path}, or it cannot be read as video.")
        return mean

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
            stream = results(sources, recognizer, max_frames=max_frames)
            stack.enter_context(closing(stream))
            if not self._waits_for_card:
                yield from stream
                return
            upgrade = self._upgrade(recognizer)
            stack.callback(upgrade.close)
            for result in stream:
                yield replace(result, notice=upgrade.notice or result.notice)
                upgrade.step()

    def _upgrade(self, recognizer: Recognizer) -> Upgrade:
        """The way of a stream from the CPU to the card."""
        from rtface.pipeline.background_build import BackgroundBuild, Order
        from rtface.pipeline.upgrade import Upgrade

        settings = self.config.model_copy(update={"backend": CARD}).model_dump(mode="json")

        def swap(parts: Parts) -> None:
            recognizer.serve_with(parts.detector, parts.embedder)
            self._parts.close()
            self._stack.callback(parts.close)
            self._parts, self._waits_for_card = parts, False

        return Upgrade(
            lambda reference: BackgroundBuild(Order(settings, None, reference)),
            self.engines.parts,
            self.engines.prove,
            swap,
        )


def open_system(
    config_file: Path | None = None, *, report: Callable[[str, int, int], None] | None = None, **settings: object
) -> System:
    """A system with the settings of config.toml and the environment, overridden by ``settings``.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    return System(load_config(config_file, settings), report=report)
