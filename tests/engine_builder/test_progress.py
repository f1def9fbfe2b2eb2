"""A build's progress never goes back and a build can be stopped."""

from __future__ import annotations

import os
import signal

import pytest

from rtface.engine_builder.progress import Fraction, Stop


def test_phase_inside_another_is_a_step_of_it() -> None:
    fraction = Fraction()
    fraction.start("all", None, 4)
    fraction.start("one", "all", 10)
    assert fraction.step("one", 4) == pytest.approx(0.5 / 4)
    fraction.finish("one")
    assert fraction.step("all", 0) == pytest.approx(1 / 4)
    fraction.start("two", "all", 2)
    fraction.start("inside two", "two", 2)
    assert fraction.step("inside two", 0) == pytest.approx(1 / 4 + 1 / 4 / 2 / 2)


def test_it_ends_at_one_and_never_goes_back() -> None:
    fraction = Fraction()
    fraction.start("all", None, 2)
    reached = [fraction.step("all", 0)]
    fraction.start("late", "all", 100)
    reached += [fraction.step("late", step) for step in range(100)]
    fraction.start("more than was told", "all", 3)
    reached += [fraction.step("more than was told", step) for step in range(3)]
    reached.append(fraction.step("all", 1))
    assert reached == sorted(reached)
    assert reached[-1] == 1


def test_of_phases_at_the_same_time_the_furthest_counts() -> None:
    fraction = Fraction()
    fraction.start("all", None, 1)
    fraction.start("slow", "all", 10)
    fraction.start("fast", "all", 10)
    assert fraction.step("fast", 7) == pytest.approx(0.8)
    assert fraction.step("slow", 0) == pytest.approx(0.8)


def test_steps_of_an_unknown_phase_change_nothing() -> None:
    fraction = Fraction()
    assert fraction.step("nobody began it", 3) == 0


def test_interrupt_is_kept_until_the_build_has_ended() -> None:
    before = signal.getsignal(signal.SIGINT)
    stop = Stop()
    with stop.on_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wanted
    assert isinstance(stop.error, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
