"""The command line called from tests: in this process, or in one of its own where signals and pipes matter."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rtface.cli import main

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, object]]:
        """stdout as JSON lines; fails when there is anything else on it."""
        return [json.loads(line) for line in self.out.splitlines()]


class Rtface:
    """Calls ``rtface`` on a gallery of its own."""

    def __init__(self, gallery: Path) -> None:
        self.gallery = gallery

    def __call__(self, *words: str | Path, gallery: Path | None = None) -> Outcome:
        """In this process; whatever is no exit is the test's failure, as it would be a traceback for the user."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        code: object = 0
        argv = ["rtface", "--set", f"gallery={gallery or self.gallery}", *map(str, words)]
        with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
        assert isinstance(code, int)
        return Outcome(code, *(_text(stream) for stream in (out, err)))

    def spawn(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """In a process of its own, without a display."""
        calm = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return subprocess.Popen(
            [sys.executable, "-m", "rtface", "--set", f"gallery={self.gallery}", *map(str, words)],
            env={**calm, "PYTHONPATH": str(CHECKOUT), **(environment or {})},
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def apart(self, *words: str | Path, environment: Mapping[str, str] | None = None) -> Outcome:
        """In a process of its own, to its end."""
        process = self.spawn(*words, environment=environment)
        out, err = process.communicate(timeout=60)
        return Outcome(process.returncode, out.decode(), err.decode())


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")
