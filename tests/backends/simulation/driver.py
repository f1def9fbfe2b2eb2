"""A simulation of ``pycuda.driver``: what rtface uses of it, by the same names, on a simulated card.

Checked against pycuda 2026.1's own sources; ``test_simulation.py`` compares the names with an installed pycuda.
"""

from __future__ import annotations

import builtins
import math
import threading
import weakref
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.backends.simulation.machine import GARBAGE, Block, Machine


class Error(Exception):
    """As pycuda's: the root of the driver's errors, here with the routine's name in front."""


class MemoryError(Error):
    """CUDA_ERROR_OUT_OF_MEMORY."""


class LogicError(Error):
    """Most others."""


class RuntimeError(Error):
    """CUDA_ERROR_NO_DEVICE among others."""


def driver_on(machine: Machine) -> ModuleType:
    """A module ``pycuda.driver`` for this card."""
    driver = ModuleType("pycuda.driver")
    for error in (Error, MemoryError, LogicError, RuntimeError):
        setattr(driver, error.__name__, error)
    parts = [*_contexts(machine), *_memory(machine), *_streams(machine)]
    for part in parts:
        setattr(driver, part.__name__, part)
    return driver


def _contexts(machine: Machine) -> list[Any]:
    def init(flags: int = 0) -> None:
        machine.calls.append("init")
        if machine.faults.no_card:
            raise RuntimeError(f"cuInit failed: {machine.faults.no_card}")

    def get_driver_version() -> int:
        return 12040

    class Device:
        def __init__(self, number: int) -> None:
            if "init" not in machine.calls:
                raise machine.misuse("a device before init")
            assert number == 0

        def name(self) -> str:
            return "Simulated card"

        def compute_capability(self) -> tuple[int, int]:
            return machine.capability

        def total_memory(self) -> int:
            return 8_000_000_000

        def retain_primary_context(self) -> Context:
            machine.calls.append("retain_primary_context")
            machine.retained += 1
            return Context()

    class Context:
        """Unlike others, a primary context that is not current is released only in the thread that retained it."""

        def __init__(self) -> None:
            self._thread = threading.get_ident()
            self._valid = True

        def push(self) -> None:
            machine.calls.append("push")
            if not self._valid:
                raise machine.misuse("push of a context that was released")
            machine.stack.append(self)
            machine.pushes += 1

        @staticmethod
        def pop() -> None:
            machine.call("pop")
            machine.stack.pop()
            machine.pops += 1

        def detach(self) -> None:
            machine.calls.append("detach")
            if not self._valid:
                raise LogicError("context::detach failed: invalid device context - cannot detach from invalid context")
            current = bool(machine.stack) and machine.stack[-1] is self
            if current or self._thread == threading.get_ident():
                machine.retained -= 1
            self._valid = False
            if current:
                machine.stack.pop()
                machine.pops += 1
            if not machine.retained and (left := machine.left_over()):
                raise machine.misuse(f"the context was released before {', '.join(left)}")

        @staticmethod
        def synchronize() -> None:
            machine.call("Context.synchronize")
            _alive(machine, "cuCtxSynchronize")

    return [init, get_driver_version, Device, Context]


def _memory(machine: Machine) -> list[Any]:
    class DeviceAllocation:
        def __init__(self, block: Block) -> None:
            self._block = block

        def __int__(self) -> int:
            return self._block.address

        def free(self) -> None:
            machine.call("DeviceAllocation.free")
            machine.free(self._block)

    class PagelockedHostAllocation:
        """Owns pinned memory; arrays in it have it as their ``base``."""

        def __init__(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
            self.size = math.prod(shape) * dtype.itemsize
            self.freed = False
            self._content = np.full(self.size, GARBAGE, np.uint8)
            place = (self._content.ctypes.data, False)
            self.__array_interface__ = {"shape": shape, "typestr": dtype.str, "data": place, "version": 3}

        def free(self) -> None:
            machine.call("PagelockedHostAllocation.free")
            if self.freed:
                raise machine.misuse("pinned memory freed twice")
            self.freed = True
            self._content[:] = GARBAGE

    def mem_alloc(size: int) -> DeviceAllocation:
        machine.call("mem_alloc")
        _alive(machine, "cuMemAlloc")
        if not machine.has_room():
            raise MemoryError("cuMemAlloc failed: out of memory")
        return DeviceAllocation(machine.allocate(size))

    def mem_get_info() -> tuple[int, int]:
        machine.call("mem_get_info")
        return machine.free_bytes, 8_000_000_000

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> NDArray[np.generic]:
        machine.call("pagelocked_empty")
        if not machine.has_room():
            raise MemoryError("cuMemHostAlloc failed: out of memory")
        sides = (shape,) if isinstance(shape, int) else tuple(shape)
        if not math.prod(sides):
            raise machine.misuse("0 pinned bytes cannot be allocated")
        made = PagelockedHostAllocation(sides, np.dtype(dtype))
        machine.pinned.append(made)
        return np.asarray(made)

    return [DeviceAllocation, PagelockedHostAllocation, mem_alloc, mem_get_info, pagelocked_empty]


def _streams(machine: Machine) -> list[Any]:
    class Stream:
        """Does nothing before it is waited for."""

        def __init__(self, flags: int = 0) -> None:
            machine.call("Stream")
            self.handle = 0x5000 + len(machine.calls)
            machine.queues[self.handle] = []
            weakref.finalize(self, self._destroy, self.handle)

        @staticmethod
        def _destroy(handle: int) -> None:
            machine.calls.append("stream destroyed")
            if not machine.stack:
                machine.misuses.append("a stream destroyed without a current context")
            if machine.queues.pop(handle):
                machine.misuses.append("a stream destroyed with work in it")

        def synchronize(self) -> None:
            machine.call("synchronize")
            queue = machine.queues[self.handle]
            del self  # the real one is no Python function: its errors hold no frame that holds the stream
            if machine.faults.crash:
                machine.crashed, machine.faults.crash = machine.faults.crash, ""
                queue.clear()
            _alive(machine, "cuStreamSynchronize")
            while queue:
                queue.pop(0)()

    def memcpy_htod_async(dest: Any, src: Any, stream: Any = None) -> None:
        queue = machine.queues[stream.handle]
        del stream
        source, size = _pinned(machine, "memcpy_htod_async", src), src.nbytes
        machine.find(int(dest), size)

        def copy() -> None:
            _check_pinned(machine, source)
            machine.write(int(dest), np.frombuffer(src.tobytes(), np.uint8))
            machine.copied.append(("to the card", size))

        queue.append(copy)

    def memcpy_dtoh_async(dest: Any, src: Any, stream: Any = None) -> None:
        queue = machine.queues[stream.handle]
        del stream
        target, size = _pinned(machine, "memcpy_dtoh_async", dest), dest.nbytes
        machine.find(int(src), size)

        def copy() -> None:
            _check_pinned(machine, target)
            dest.view(np.uint8)[:] = machine.read(int(src), size)
            machine.copied.append(("from the card", size))

        queue.append(copy)

    return [Stream, memcpy_htod_async, memcpy_dtoh_async]


def _alive(machine: Machine, routine: str) -> None:
    if machine.crashed:
        raise LogicError(f"{routine} failed: {machine.crashed}")


def _pinned(machine: Machine, routine: str, array: Any) -> Any:
    """What owns an array's memory, which has to be pinned for a copy to happen later."""
    machine.call(routine)
    _alive(machine, "cuMemcpyAsync")
    if not array.flags.c_contiguous:
        raise machine.misuse(f"{routine} of an array that is not contiguous")
    owner = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not builtins.any(owner is known for known in machine.pinned):
        raise machine.misuse(f"{routine} of memory that is not pinned")
    _check_pinned(machine, owner)
    return owner


def _check_pinned(machine: Machine, owner: Any) -> None:
    if owner.freed:
        raise machine.misuse("pinned memory used after it was freed")
