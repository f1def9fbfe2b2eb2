"""A virtual environment a peer, made at first use and kept."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface.errors import MissingLibrary, UnknownPart

ADAPTERS = Path(__file__).parent / "adapters"
PACKAGE = "tests.benchmarks.peers.adapters"
INSTALL_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """What an adapter's file says of itself; see ``adapters/__init__.py``."""

    name: str
    title: str
    rule: str
    requirements: tuple[str, ...]
    without_dependencies: tuple[str, ...]


def names() -> list[str]:
    """All peers, rtface first: the others are told relative to it."""
    found = (path.stem for path in ADAPTERS.glob("*.py") if not path.stem.startswith("_"))
    return sorted(found, key=lambda name: (not name.startswith("rtface"), name))


def adapter(name: str) -> Adapter:
    """One peer's description; its libraries are not imported.

    Raises:
        UnknownPart: there is no such file.
    """
    if name not in names():
        raise UnknownPart(f"There is no peer {name!r}. Known: {', '.join(names())}.")
    module = importlib.import_module(f"{PACKAGE}.{name}")
    return Adapter(name, module.TITLE, module.RULE, module.REQUIREMENTS, module.WITHOUT_DEPENDENCIES)


def python_of(peer: Adapter, folder: Path) -> Path:
    """The interpreter that has what a peer needs: this one when it needs nothing, else one under ``folder``.

    Raises:
        MissingLibrary: the environment cannot be made; what pip said is in the message.
    """
    if not peer.requirements:
        return Path(sys.executable)
    wanted = "\n".join((sys.version, *peer.requirements, "--no-deps", *peer.without_dependencies))
    place = folder / f"{peer.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    python, finished = place / "bin" / "python", place / "finished"
    if finished.is_file():
        return python
    shutil.rmtree(place, ignore_errors=True)
    _run(peer, [sys.executable, "-m", "venv", str(place)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(peer, [*install, *peer.requirements])
    if peer.without_dependencies:
        _run(peer, [*install, "--no-deps", *peer.without_dependencies])
    finished.touch()
    return python


def _run(peer: Adapter, command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise MissingLibrary(
            f"The environment of {peer.name} cannot be made: {' / '.join(said[-3:])} "
            "Mend that, or leave the peer out with --peers."
        ) from error
