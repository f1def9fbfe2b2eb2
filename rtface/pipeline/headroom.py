"""Whether a live frame's verdict has time for another frame's detection beside its own embedding."""

from __future__ import annotations


class Headroom:
    """Judged by the last detection and the last embedding, for one embedding under way at a time.

    Where detection takes longer than embedding, detecting first would hold every verdict back by the difference. Times
    are seconds of one clock, passed in.
    """

    def __init__(self) -> None:
        """Nothing fits before an embedding has been measured."""
        self._detection_s = 0.0
        self._embedding_s = 0.0
        self._launched_at = 0.0
        self._alone = True

    def detected(self, seconds: float) -> None:
        """A detection took so long."""
        self._detection_s = seconds
        self._alone = False

    def launched(self, at: float) -> None:
        """An embedding has been launched."""
        self._launched_at = at
        self._alone = True

    def collected(self, at: float) -> None:
        """Its rows are there. After a detection beside it they may have been there for long, so this is a bound."""
        elapsed = at - self._launched_at
        self._embedding_s = elapsed if self._alone else min(self._embedding_s, elapsed)

    def fits(self, now: float) -> bool:
        """Whether a detection begun now is likely to end before the embedding under way."""
        return now + self._detection_s <= self._launched_at + self._embedding_s
