"""The filter against the textbook's matrices, and what a hidden box may do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtface.tracking.motion import JITTER, MEMORY_S, TOP_SPEED, USUAL_SPEED, Motion

REPEATABLE = settings(derandomize=True, deadline=None)
Matrix = NDArray[np.float64]


def exponential(matrix: Matrix) -> Matrix:
    """By Taylor's series of the matrix halved 20 times, squared as often."""
    small, term = matrix / 2**20, np.eye(len(matrix))
    total = term.copy()
    for order in range(1, 8):
        term = term @ small / order
        total += term
    for _ in range(20):
        total = total @ total
    return total


def step(seconds: float) -> tuple[Matrix, Matrix]:
    """Transition and process noise of place and speed under dv = -v / memory dt + noise (Van Loan 1978)."""
    drift = np.array([[0, 1], [0, -1 / MEMORY_S]])
    noise = np.array([[0, 0], [0, 2 * USUAL_SPEED**2 / MEMORY_S]])
    block = exponential(np.block([[-drift, noise], [np.zeros((2, 2)), drift.T]]) * seconds)
    transition = block[2:, 2:].T
    return transition, transition @ block[:2, 2:]


def textbook(places: list[float], times: list[float]) -> list[float]:
    """A Kalman filter over one coordinate in face sizes, by matrices."""
    state, covariance = np.array([places[0], 0.0]), np.diag([JITTER**2, USUAL_SPEED**2])
    filtered = [places[0]]
    for place, elapsed in zip(places[1:], np.diff(times), strict=True):
        transition, noise = step(float(elapsed))
        state, covariance = transition @ state, transition @ covariance @ transition.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + JITTER**2)
        state = state + gain * (place - state[0])
        covariance = (np.eye(2) - np.outer(gain, [1, 0])) @ covariance
        filtered.append(float(state[0]))
    return filtered


def box_at(x: float, y: float = 0.0, side: float = 100.0) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def test_agrees_with_a_kalman_filter_written_in_matrices() -> None:
    rng = np.random.default_rng(7)
    times = np.cumsum(rng.uniform(0.01, 0.3, 60)).tolist()
    places = [0.8 * math.sin(2 * time) + rng.normal(0, JITTER) for time in times]
    motion = Motion(box_at(100 * places[0]), times[0])
    found = [motion.x / 100]
    for place, time in zip(places[1:], times[1:], strict=True):
        motion.advance(time)
        motion.correct(box_at(100 * place))
        found.append(motion.x / 100)
    assert found == pytest.approx(textbook(places, times), abs=1e-6)


def moving(speed: float, *, fps: float = 30, frames: int = 30, side: float = 100.0) -> Motion:
    """A face that has gone to the right at so many face sizes a second, last seen at x = 0."""
    start = -(frames - 1) / fps
    motion = Motion(box_at(speed * side * start, side=side), start)
    for frame in range(1, frames):
        time = start + frame / fps
        motion.advance(time)
        motion.correct(box_at(speed * side * time, side=side))
    return motion


@pytest.mark.parametrize("fps", [5, 15, 60])
def test_a_steady_speed_is_learned_at_any_frame_rate(fps: float) -> None:
    motion = moving(2.0, fps=fps)
    motion.advance(1 / fps)
    assert motion.x / 100 == pytest.approx(2.0 / fps, rel=0.25)


@REPEATABLE
@given(st.floats(0.001, 2), st.floats(0.001, 2))
def test_two_steps_predict_what_one_step_does(first: float, second: float) -> None:
    halting, direct = moving(1.5), moving(1.5)
    halting.advance(first)
    halting.advance(first + second)
    direct.advance(first + second)
    assert halting.x == pytest.approx(direct.x, abs=1e-6)
    halting.correct(box_at(60.0))
    direct.correct(box_at(60.0))
    assert halting.x == pytest.approx(direct.x, abs=1e-6)


def test_a_hidden_face_comes_to_rest() -> None:
    motion = moving(2.0)
    motion.advance(30)
    at_rest = motion.x
    motion.advance(3600)
    assert motion.x == pytest.approx(at_rest, abs=1e-3)
    assert 0 < at_rest <= 100 * TOP_SPEED * MEMORY_S


@REPEATABLE
@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(0, 0.2), st.floats(0, 500)), min_size=1, max_size=20))
def test_no_jumping_detector_throws_a_hidden_box_far_away(jumps: list[tuple[float, float, float]]) -> None:
    motion, time = Motion(box_at(0.0), 0.0), 0.0
    for x, elapsed, side in jumps:
        time += elapsed
        motion.advance(time)
        motion.correct(box_at(x, side=side))
    start = motion.x
    motion.advance(time + 1000)
    assert np.isfinite(motion.box).all()
    assert abs(motion.x - start) <= motion.side * TOP_SPEED * MEMORY_S * 1.001
    assert (motion.width, motion.height) == pytest.approx((max(jumps[-1][2], 1),) * 2, abs=1e-6)


def test_the_same_moment_twice_moves_nothing() -> None:
    motion = moving(2.0)
    motion.advance(0.0)
    assert motion.x == pytest.approx(0.0, abs=1.0)


def test_box_is_left_top_right_bottom_and_a_flat_one_gets_a_pixel() -> None:
    np.testing.assert_allclose(Motion([10, 20, 40, 60], 0.0).box, [10, 20, 40, 60])
    np.testing.assert_allclose(Motion([10, 20, 10, 60], 0.0).box, [9.5, 20, 10.5, 60])
