"""A simulated card: memory, contexts, streams and what may go wrong. Nothing here ever runs on a GPU.

What a real card would answer with undefined behaviour - memory read before it is written, written past its end, used or
freed after it was freed, calls without a current context - is a ``Misuse`` here, at once and again at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
GARBAGE = 0xA5
"""What new memory holds."""


class Misuse(AssertionError):
    """Something a real card would not forgive."""


@dataclass(slots=True)
class Faults:
    """What goes wrong, and when.

    Attributes:
        no_library: the text of the ImportError of pycuda, as without a driver or with one that is too old.
        no_card: the error of cuInit.
        old_driver: TensorRT finds the driver too old.
        no_runtime: TensorRT gives no Runtime.
        full_at: allocations that succeed before the memory is full, on the card and pinned alike.
        full_for_engine: TensorRT has no memory for the "engine" or its "context".
        refuse_engine: what TensorRT says when it refuses an engine.
        refuse: what it says when it refuses to execute.
        unknown_sizes: TensorRT does not know the outputs' sizes beforehand.
        crash: the error with which the next wait fails, and everything after it.
    """

    no_library: str = ""
    no_card: str = ""
    old_driver: bool = False
    no_runtime: bool = False
    full_at: int | None = None
    full_for_engine: str = ""
    refuse_engine: str = ""
    refuse: str = ""
    unknown_sizes: bool = False
    crash: str = ""


@dataclass(slots=True)
class Block:
    """Memory on the card, and which of its bytes have been written."""

    address: int
    content: Bytes
    written: NDArray[np.bool_]
    freed: bool = False


@dataclass(slots=True)
class Machine:
    """The card and its driver. ``calls`` is everything that was asked of it, in order."""

    capability: tuple[int, int]
    free_bytes: int = 8_000_000_000
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    copied: list[tuple[str, int]] = field(default_factory=list)
    misuses: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    pinned: list[Any] = field(default_factory=list)
    queues: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    pushes: int = 0
    pops: int = 0
    retained: int = 0
    crashed: str = ""
    local: threading.local = field(default_factory=threading.local)

    @property
    def stack(self) -> list[Any]:
        """Contexts of this thread, the current one last."""
        if not hasattr(self.local, "stack"):
            self.local.stack = []
        found: list[Any] = self.local.stack
        return found

    def misuse(self, what: str) -> Misuse:
        """Notes it, so that it is told even if nobody lets it through."""
        self.misuses.append(what)
        return Misuse(what)

    def call(self, name: str) -> None:
        """Notes a call that wants a current context."""
        self.calls.append(name)
        if not self.stack:
            raise self.misuse(f"{name} without a current context")

    def allocate(self, size: int) -> Block:
        """New memory on the card, far from any other."""
        if size <= 0:
            raise self.misuse(f"{size} bytes cannot be allocated")
        last = self.blocks[-1] if self.blocks else None
        address = 0x7F00_0000_0000 if last is None else (last.address + len(last.content) + 0x1FFF) & ~0xFFF
        block = Block(address, np.full(size, GARBAGE, np.uint8), np.zeros(size, np.bool_))
        self.blocks.append(block)
        self.free_bytes -= size
        return block

    def free(self, block: Block) -> None:
        """Gives memory back, once."""
        if block.freed:
            raise self.misuse(f"{block.address:#x} freed twice")
        block.freed = True
        self.free_bytes += len(block.content)

    def find(self, address: int, size: int) -> tuple[Block, slice]:
        """The memory at an address, all of it inside one allocation that is still there."""
        for block in self.blocks:
            start = address - block.address
            if 0 <= start < len(block.content):
                if block.freed:
                    raise self.misuse(f"{address:#x} used after it was freed")
                if start + size > len(block.content):
                    raise self.misuse(f"{size} bytes at {address:#x} end behind the {len(block.content)} allocated")
                return block, slice(start, start + size)
        raise self.misuse(f"{address:#x} was never allocated")

    def read(self, address: int, size: int) -> Bytes:
        """A copy of memory that has been written."""
        block, part = self.find(address, size)
        if not block.written[part].all():
            raise self.misuse(f"{size} bytes at {address:#x} read before they were written")
        return block.content[part].copy()

    def write(self, address: int, values: Bytes) -> None:
        """Fills memory."""
        block, part = self.find(address, len(values))
        block.content[part], block.written[part] = values, True

    def has_room(self) -> bool:
        """Whether one more allocation succeeds."""
        if self.faults.full_at is None:
            return True
        self.faults.full_at -= 1
        return self.faults.full_at >= 0

    def left_over(self) -> list[str]:
        """What nobody has given back."""
        found = [f"{len(block.content)} bytes on the card" for block in self.blocks if not block.freed]
        found += [f"{pinned.size} pinned bytes" for pinned in self.pinned if not pinned.freed]
        found += [f"stream {handle:#x}" for handle in self.queues]
        found += [f"{self.retained} retained contexts"] if self.retained else []
        return found + ([f"{len(self.stack)} current contexts"] if self.stack else [])
