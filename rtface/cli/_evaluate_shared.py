"""What the commands of ``rtface evaluate`` share: their options, the cache, and how results are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rtface.cli._shared import PATH, open_system, print_json, progress, say, settings_options

if TYPE_CHECKING:
    from rtface.evaluation.distances import Report
    from rtface.evaluation.page import Page
    from rtface.evaluation.pictures import FaceReader
    from rtface.evaluation.verification import Model, Verification
    from rtface.system import System
    from rtface.types import Image

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of every evaluation.

    Attributes:
        as_json: one JSON object on stdout instead of words.
        report: the HTML file to write, or None.
        cached: whether embeddings are kept for the next time.
        resamples: of people for intervals; 0 for none.
        subject: whose face counts in a picture of several.
        config, settings: of the system.
    """

    as_json: bool
    report: Path | None
    cached: bool
    resamples: int
    subject: str
    config: Path | None
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A system ready to evaluate."""

    system: System
    reader: FaceReader
    report: Report

    @property
    def model(self) -> Model:
        """What is evaluated."""
        from rtface.engines import VERIFY_FAR
        from rtface.evaluation.verification import Model

        system, embedder = self.system, self.reader.embedder
        limit = system.config.max_distance
        own = system.embedder_spec.limits.get(VERIFY_FAR) if limit == "auto" else limit
        return Model(embedder.name, embedder.fingerprint, embedder.backend, system.config.detector, own)


def evaluation_options(*, subject: str = "largest") -> Callable[[Command], Command]:
    """Adds what every evaluation takes, passed on as one ``wishes``; ``subject`` is whose face counts by default."""

    def add(command: Command) -> Command:
        for option in reversed(_options(subject)):
            command = option(command)
        return settings_options(command)

    return add


def _options(subject: str) -> list[Callable[[Command], Command]]:
    return [
        click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table."),
        click.option(
            "--report",
            metavar="FILE.html",
            type=PATH,
            help="Write a page with charts and the worst pairs of pictures, and the JSON beside it.",
        ),
        click.option(
            "--no-cache", is_flag=True, help="Neither use nor keep embeddings from one evaluation to the next."
        ),
        click.option(
            "--resamples",
            type=click.IntRange(0, 10_000),
            default=300,
            show_default=True,
            help="Draws of people for the 95 % intervals; 0 leaves them out.",
        ),
        click.option(
            "--face",
            "subject",
            type=click.Choice(["central", "largest"]),
            default=subject,
            show_default=True,
            help="Whose face counts in a picture of several.",
        ),
    ]


def wishes(
    as_json: bool,
    report: Path | None,
    no_cache: bool,
    resamples: int,
    subject: str,
    config: Path | None,
    settings: tuple[str, ...],
) -> Wishes:
    """The options as one; complains about the report's place before a long run.

    Raises:
        EvaluationError: the report cannot be written there.
        MissingLibrary: matplotlib is not installed.
    """
    if report is not None:
        from rtface.evaluation.charts import require_matplotlib
        from rtface.evaluation.page import check_place

        check_place(report)
        require_matplotlib()
    return Wishes(as_json, report, not no_cache, resamples, subject, config, settings)


@contextmanager
def opened(wanted: Wishes, *, mirror: bool = True) -> Iterator[Opened]:
    """The system of the settings with the cache of embeddings, and a progress bar on stderr."""
    from contextlib import ExitStack

    from rtface.evaluation.pictures import FaceReader, Subject
    from rtface.evaluation.template_cache import TemplateCache, cache_folder
    from rtface.sources.images import read_picture

    with ExitStack() as stack:
        system = stack.enter_context(open_system(wanted.config, wanted.settings))
        cache = stack.enter_context(TemplateCache(cache_folder())) if wanted.cached else None
        config = system.config
        recipe = (system.engines.detector_spec.fingerprint, f"{config.min_score}", f"{config.min_face_px}")
        reader = FaceReader(
            system.detector, system.embedder, read_picture, Subject(wanted.subject), recipe, cache, mirror
        )
        yield Opened(system, reader, stack.enter_context(progress()))


def tell(wanted: Wishes, found: Verification, title: str, face_of: Callable[[Path], Image | None]) -> None:
    """Prints a verification, and writes its page where one is wanted."""
    from rtface.evaluation.verification import in_words, page

    if wanted.report is not None:
        write_page(wanted.report, page(found, title, face_of))
    if wanted.as_json:
        print_json(found.as_json())
        return
    rows = in_words(found)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")
    list_failures(found.failed)


def write_page(path: Path, page: Page) -> None:
    """Writes it and says what it holds."""
    from rtface.evaluation.page import WARNING, write

    write(path, page)
    say(f"Written: {path} and {path.with_suffix('.json')}. {WARNING}")


def list_failures(failed: tuple[Path, ...], most: int = 20) -> None:
    """Names files without a face on stderr; all of them are in the JSON."""
    for path in failed[:most]:
        say(f"no face: {path}")
    if len(failed) > most:
        say(f"... and {len(failed) - most} more; --json and --report list them all.")
