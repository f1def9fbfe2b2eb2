"""Engines built in a process of its own, so that a video goes on meanwhile.

``python -m rtface.pipeline.background_build`` reads an ``Order`` as one JSON object on stdin and tells its progress as
JSON lines on stdout: ``{"label", "done", "total"}`` as often as there is news, then ``{"finished": true}`` or
``{"error": "..."}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from rtface.errors import BackendError, RtfaceError

NICE = 10
"""The video's process goes first."""
STOP_S = 5.0


class Order(NamedTuple):
    """What is to be done.

    Attributes:
        settings: all of ``Config``.
        capability: compute capability to build for, such as ``8.6``; None is the card in this machine.
        reference: where to write what the networks give in float32 (``parity.Reference``).
    """

    settings: Mapping[str, Any]
    capability: str | None
    reference: Path


class BackgroundBuild:
    """A build under way."""

    def __init__(self, order: Order) -> None:
        """Starts it."""
        command = [sys.executable, "-m", "rtface.pipeline.background_build"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._news: dict[str, Any] = {}
        self._last_words = ""
        text = json.dumps({**order._asdict(), "reference": str(order.reference)})
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:
            stream.write(text)
        self._readers = [
            threading.Thread(target=read, args=(stream,), daemon=True)
            for read, stream in ((self._listen, self._process.stdout), (self._overhear, self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            with contextlib.suppress(ValueError):
                self._news = json.loads(line)

    def _overhear(self, stream: IO[str]) -> None:
        for line in stream:
            self._last_words = line.strip() or self._last_words

    @property
    def progress(self) -> str:
        """What is being done and how much of it is, such as ``Building facenet.fp16 for sm86 43 %``."""
        news = self._news
        if not news.get("total"):
            return "Building engines"
        return f"{news['label']} {100 * news['done'] // news['total']} %"

    def finished(self) -> bool:
        """Whether it is done; never waits.

        Raises:
            BackendError: it failed; says why.
        """
        code = self._process.poll()
        if code is None or any(reader.is_alive() for reader in self._readers):
            return False
        if self._news.get("finished"):
            return True
        raise BackendError(self._news.get("error") or f"The build ended with code {code}: {self._last_words}")

    def close(self) -> None:
        """Stops it if it still goes on; the builder leaves nothing half-made behind."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for reader in self._readers:
            reader.join(STOP_S)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream
            stream.close()


def main() -> None:
    """The process's own side: carries out the order on stdin."""
    os.nice(NICE)
    order = Order(**json.load(sys.stdin))
    try:
        _carry_out(order)
        _tell(finished=True)
    except RtfaceError as error:
        _tell(error=str(error))
        sys.exit(1)


def _carry_out(order: Order) -> None:
    from rtface.config import Config
    from rtface.pipeline.parity import refer
    from rtface.system import System

    config = Config(**order.settings)
    told: dict[str, int] = {}

    def report(label: str, done: int, total: int) -> None:
        share = 100 * done // max(total, 1)
        if told.get(label) != share:  # a download reports every block
            told[label] = share
            _tell(label=label, done=done, total=total)

    with System(config, report=report) as system:
        system.engines.build(capability=order.capability)
    plain = config.model_copy(update={"backend": "onnxruntime", "precision": "fp32"})
    with System(plain, report=report) as system:
        refer(system.detector, system.embedder).save(Path(order.reference))


def _tell(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
