"""Parts by name: a folder of files, each with ``open``. Listing imports nothing."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType

from rtface.errors import MissingLibrary, UnknownPart

EXTRAS = {"tensorrt": "gpu", "pycuda": "gpu", "tensorrt_rtx": "rtx"}
"""Which extra of the package brings a library that is not always there."""


def names(kind: str) -> list[str]:
    """Parts of a kind ("detectors", "backends", ...), sorted; nothing is imported."""
    folder = Path(__file__).parent / kind
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """The module of a part.

    Raises:
        UnknownPart: no such file; names the known ones.
        MissingLibrary: the file needs a library that is not installed; prints the extra that brings it.
    """
    known = names(kind)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownPart(f"There is no {kind.removesuffix('s')} {name!r}.{hint} Known: {', '.join(known)}.")
    try:
        return importlib.import_module(f"rtface.{kind}.{name}")
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library == "rtface":
            raise
        extra = EXTRAS.get(library)
        cure = f"pip install 'rtface[{extra}]'" if extra else f"pip install {library}"
        raise MissingLibrary(
            f"The {kind.removesuffix('s')} {name!r} needs {library}, which is not installed: {cure}"
        ) from error
