"""Changes of the gallery, whoever made them: taken in between two frames, and every track judged by them again.

What a track was told rests on looks at its face, each with the rows found for it. When the gallery changes, the faces
are the same and the rows are not. So their embeddings are kept as long as the looks count, and are searched for again:
who has been before the camera for a minute is named as soon as somebody enrols them elsewhere, and not when new looks
outnumber the old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np

from rtface.errors import GalleryLost
from rtface.gallery.evidence import WINDOW
from rtface.pipeline.camera import Camera
from rtface.pipeline.judge import Judge
from rtface.pipeline.memory import TrackMemory
from rtface.types import Rules

LOOK_S = 0.2
"""How often a change made by another process is looked for; 0.1 ms when there is none."""
LOOKS_A_ROUND = WINDOW
"""At most so many looks, or one track's, are judged again in a round: some 15 ms in the largest galleries."""


class GalleryWatch:
    """Keeps tracks true to the gallery as it is now.

    ``notice`` says why the gallery is out of reach; "" while it is not.
    """

    def __init__(self, judge: Judge) -> None:
        """Args: ``judge`` asks the gallery that is watched."""
        self.notice = ""
        self._judge = judge
        self._looked_at = -np.inf
        self._more = False
        self._changes_wait = False

    def step(self, now: float, cameras: Collection[Camera], rules_of: Callable[[str], Rules]) -> None:
        """Once a round, before anybody is told a name.

        Args:
            now: seconds, never smaller than in the call before.
            cameras: all of them; they get the rules in force now.
            rules_of: gives those of a source.
        """
        if self._more or now - self._looked_at >= LOOK_S:
            self._looked_at, self._more = now, False
            with self.outage_told():
                self._take_in_changes(cameras, rules_of)
        if not self.notice:
            with self.outage_told():
                self._judge_again([memory for camera in cameras for memory in camera.memories.values()])

    @contextmanager
    def outage_told(self) -> Iterator[None]:
        """While the gallery's server is out of reach, video goes on: names stay as they are, and results say why."""
        try:
            yield
        except GalleryLost as error:
            self.notice = str(error)

    def _take_in_changes(self, cameras: Collection[Camera], rules_of: Callable[[str], Rules]) -> None:
        # Of very many new rows the gallery takes in some at a time: so there may be more, to be had in the next round.
        self._more = self._judge.gallery.refresh()
        self._changes_wait |= self._more
        if self._changes_wait:
            enrolled = self._judge.gallery.counts()
            for camera in cameras:
                camera.rules = rules_of(camera.source)
                for memory in camera.memories.values():
                    memory.evidence.follow(enrolled, camera.rules)
            self._changes_wait = False
        self.notice = ""

    def _judge_again(self, memories: Collection[TrackMemory]) -> None:
        """The tracks whose name is gone first, for they may have got another, then those that have waited longest."""
        revision = self._judge.gallery.revision
        stale = [memory for memory in memories if memory.embeddings and memory.revision < revision]
        if not stale:
            return
        enrolled, left = self._judge.gallery.counts(), LOOKS_A_ROUND
        stale.sort(key=lambda memory: (not _is_gone(memory.announced_as, enrolled), memory.revision))
        for memory in stale:
            if len(memory.embeddings) > left and left < LOOKS_A_ROUND:
                return
            memory.judge_again(self._judge.look(np.stack(memory.embeddings)))
            left -= len(memory.embeddings)


def _is_gone(name: str | None, enrolled: Collection[str]) -> bool:
    return name is not None and name not in enrolled
