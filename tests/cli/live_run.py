"""``rtface`` in which every file is played over and over as a live camera: python -m tests.cli.live_run FPS WORDS..."""

from __future__ import annotations

import sys
from functools import partial

from rtface import sources
from rtface.cli import main
from rtface.interfaces import FrameSource
from rtface.sources.load.replay import PacedSource, RepeatedSource


def play_live(fps: float) -> None:
    """From now on, in this process."""
    opened = sources.open_source

    def open_live(uri: str) -> FrameSource:
        return PacedSource(RepeatedSource(opened(uri), partial(opened, uri)), fps)

    sources.open_source = open_live


if __name__ == "__main__":
    play_live(float(sys.argv.pop(1)))
    main()
