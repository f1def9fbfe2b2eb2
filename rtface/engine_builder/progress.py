"""How far a build is, from TensorRT's own phases, and the way to stop one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Fraction:
    """The share of a build that is done, from phases that lie in one another and may run at the same time.

    A phase inside another is a step of it. What is told never goes back: where a phase turns out to have more inside
    than its steps had shown, the share stands still.
    """

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._reached = 0.0

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps begins inside ``parent``, or as the whole build where that is None."""
        self._phases[phase] = _Phase(parent, max(steps, 1))

    def step(self, phase: str, step: int) -> float:
        """A phase has done its step of this number, from 0; gives the whole build's share, 0..1."""
        if phase in self._phases:
            self._phases[phase].done = step + 1
        whole = max((self._share(name) for name, one in self._phases.items() if one.parent is None), default=0.0)
        self._reached = max(self._reached, min(whole, 1.0))
        return self._reached

    def finish(self, phase: str) -> None:
        """A phase has ended."""
        self._phases.pop(phase, None)

    def _share(self, name: str) -> float:
        phase = self._phases[name]
        inside = [self._share(child) for child, one in self._phases.items() if one.parent == name]
        return min(1.0, (phase.done + max(inside, default=0.0)) / phase.steps)


class Stop:
    """Whether a build shall end early, and for which error."""

    def __init__(self) -> None:
        self.wanted = False
        self.error: BaseException | None = None

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Ctrl-C ends the build at its next step, as a ``KeyboardInterrupt`` raised when the block ends.

        Raised where it strikes it would have to pass through TensorRT, which knows nothing of it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, *_: object) -> None:
        self.wanted, self.error = True, KeyboardInterrupt()


def monitor(trt: Any, told: Callable[[float], None], stop: Stop) -> Any:
    """An ``IProgressMonitor`` that tells the share done, each hundredth once, and ends the build when ``stop`` says so.

    An error that ``told`` raises ends the build too and is kept in ``stop``.
    """
    fraction, lock, last = Fraction(), threading.Lock(), [-1]

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with lock:
                fraction.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with lock:  # several of TensorRT's threads may tell at once
                share = fraction.step(phase_name, step)
                if int(share * 100) > last[0] and not stop.wanted:
                    last[0] = int(share * 100)
                    try:
                        told(share)
                    except BaseException as error:
                        stop.wanted, stop.error = True, error
            return not stop.wanted

        def phase_finish(self, phase_name: str) -> None:
            with lock:
                fraction.finish(phase_name)

    return Monitor()
