"""TensorRT, whichever of its two kinds is installed: the one place that imports ``tensorrt`` or ``tensorrt_rtx``.

Both have the same interface. Neither is imported before ``load`` is called.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtface.engine_files import Flavour
from rtface.errors import MissingLibrary

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Library:
    """An imported TensorRT.

    Attributes:
        flavour: which of the two.
        version: all of its numbers; an engine serves this version only.
        trt: the module.
        logger: the ``ILogger`` for every builder and runtime of this process; TensorRT keeps the first it is given for
            good, so there is only one.
    """

    flavour: Flavour
    version: str
    trt: Any
    logger: Any

    @property
    def name(self) -> str:
        """The two as people write them, such as ``tensorrt-rtx 1.7.1.116``."""
        return f"{self.flavour} {self.version}"

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """A list that gets each warning and error the library tells while the block runs, the oldest first."""
        told: list[str] = []
        self.logger.listeners.append(told)
        try:
            yield told
        finally:
            # By identity: two lists may be equal.
            self.logger.listeners[:] = [other for other in self.logger.listeners if other is not told]


def load(flavour: Flavour | None = None) -> Library:
    """The library of a flavour; by default the full TensorRT, or TensorRT for RTX where that alone is installed.

    Raises:
        MissingLibrary: not installed, or it cannot be loaded.
    """
    here = [either for either in Flavour if importlib.util.find_spec(either.package)]
    if flavour is None and not here:
        raise MissingLibrary(
            "TensorRT is not installed: pip install 'rtface[gpu]', or for GeForce RTX and RTX PRO cards "
            "pip install 'rtface[rtx]'"
        )
    wanted = flavour or here[0]
    if wanted not in here:
        raise MissingLibrary(f"{wanted.package} is not installed: pip install 'rtface[{wanted.extra}]'")
    return _imported(wanted)


@functools.cache
def _imported(flavour: Flavour) -> Library:
    try:
        trt = importlib.import_module(flavour.package)
    except (ImportError, OSError) as error:
        raise MissingLibrary(
            f"{flavour.package} is installed but cannot be loaded ({error}). Its libraries come with "
            f"pip install --force-reinstall 'rtface[{flavour.extra}]'"
        ) from error
    return Library(flavour, str(trt.__version__), trt, _logger(trt))


def _logger(trt: Any) -> Any:
    """An ``ILogger`` that hands warnings and errors to its ``listeners`` and everything to this module's logger."""

    class Messages(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.listeners: list[list[str]] = []

        def log(self, severity: Any, msg: str) -> None:
            # What went wrong is told again by the error that follows from it, so here it is for --verbose alone.
            log.debug("%s", msg)
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING):
                for told in self.listeners:
                    told.append(msg)

    return Messages()
