"""Looks for what should be gone in the bytes of files, wherever in them it may lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIECE = 8
"""Bytes of a piece: any 15 bytes in a row that are left of a vector or face hold a whole one."""
SHORTEST_TEXT = 8
"""Bytes: a shorter text is found in any large file by chance."""
BLOCK = 1 << 24


class Remains:
    """What to look for: binary values piece by piece, texts as a whole."""

    def __init__(self, values: Iterable[bytes], texts: Iterable[str]) -> None:
        """Args: ``values`` are of random-looking bytes, as vectors, sealed values and the later part of a JPEG are."""
        pieces = [value[at : at + PIECE] for value in values for at in range(0, len(value) - PIECE + 1, PIECE)]
        self._pieces = np.unique(np.frombuffer(b"".join(pieces), "<u8"))
        self._pieces = self._pieces[self._pieces != 0]
        encoded = {text.encode() for text in texts}
        self._texts = sorted(text for text in encoded if len(text) >= SHORTEST_TEXT)
        self._first = np.zeros(1 << 20, np.bool_)
        self._first[_low(self._pieces)] = True

    @property
    def pieces(self) -> int:
        """How many pieces of binary values are looked for."""
        return len(self._pieces)

    @property
    def texts(self) -> int:
        """How many texts are looked for."""
        return len(self._texts)

    def count_in(self, file: Path) -> int:
        """How often any of it is in the file.

        Raises:
            OSError: the file cannot be read.
        """
        return sum(
            self._count(block, overlap) for block, overlap in _blocks(file, max(PIECE, *map(len, [*self._texts, b""])))
        )

    def _count(self, block: bytes, overlap: int) -> int:
        """In a block; what ends within its first ``overlap`` bytes was counted in the one before."""
        found = 0
        for text in self._texts:
            at = block.find(text, max(0, overlap - len(text) + 1))
            while at >= 0:
                found += 1
                at = block.find(text, at + 1)
        for shift in range(PIECE):
            windows = np.frombuffer(block, "<u8", count=max(0, len(block) - shift) // PIECE, offset=shift)
            likely = np.flatnonzero(self._first[_low(windows)])
            ends = PIECE * (likely + 1) + shift
            found += int(np.count_nonzero(np.isin(windows[likely], self._pieces) & (ends > overlap)))
        return found


def _low(numbers: NDArray[np.uint64]) -> NDArray[np.intp]:
    return np.asarray(numbers & np.uint64((1 << 20) - 1), np.intp)


def _blocks(file: Path, longest: int) -> Iterator[tuple[bytes, int]]:
    """The file in blocks that overlap by what the longest thing sought needs, each with its overlap."""
    kept = b""
    with file.open("rb") as stream:
        while fresh := stream.read(BLOCK):
            yield kept + fresh, len(kept)
            kept = (kept + fresh)[-(longest - 1) :]
