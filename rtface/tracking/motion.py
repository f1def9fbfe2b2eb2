"""Where a face will be: a centre with a speed that dies away, and a size that is held."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MEMORY_S = 0.6
"""Seconds in which a speed falls to 1/e. Measured on 21 webcam clips with YuNet, one step ahead at 30, 10 and 5 fps and
half a second ahead: 0.3 to 0.6 is best at 5 fps; longer memories overshoot once a face stops."""
USUAL_SPEED = 2.0
"""Face sizes a second, standard deviation of a speed nobody has measured yet. Somebody walking past a camera does up to
9 (1.4 m/s over a face 0.16 m wide), somebody at a webcam 0.6."""
TOP_SPEED = 9.0
"""Face sizes a second, see above; what looks faster is a jump of the detector and must not throw the box away."""
JITTER = 0.02
"""Face sizes, standard deviation of a detected centre. YuNet at rest measures 0.003 to 0.005; turning heads wobble."""


class Motion:
    """A Kalman filter over the centre, in seconds, so that dropped frames cost nothing but certainty.

    The speed is an Ornstein-Uhlenbeck process: it decays towards zero, so the prediction for a hidden face comes to
    rest at most ``TOP_SPEED * MEMORY_S`` face sizes away. Noise is counted in face sizes and the same in x and y, hence
    one 2x2 covariance serves both: variance of the place, place with speed, variance of the speed. The size is that of
    the last detection: predicting it as well was measured on the same clips and was no better at any frame rate.

    Attributes:
        x, y: the centre, px.
        width, height: px, at least 1.
    """

    __slots__ = ("_at", "_covariance", "_speed_x", "_speed_y", "height", "width", "x", "y")

    def __init__(self, box: Sequence[float], at: float) -> None:
        self.x, self.y, self.width, self.height = centre_and_size(box)
        self._speed_x = self._speed_y = 0.0
        self._covariance = (JITTER**2, 0.0, USUAL_SPEED**2)
        self._at = at

    @property
    def side(self) -> float:
        """The face size, px: the side of the square of the same area."""
        return math.sqrt(self.width * self.height)

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) left, top, right, bottom in px."""
        half_width, half_height = self.width / 2, self.height / 2
        corners = (self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height)
        return np.array(corners, np.float32)

    def advance(self, at: float) -> None:
        """Predicts to the time ``at``; two short steps give what one long step gives."""
        elapsed = at - self._at
        if elapsed <= 0:
            return
        self._at = at
        kept = math.exp(-elapsed / MEMORY_S)
        reach = MEMORY_S * (1 - kept)
        self.x += self._speed_x * reach
        self.y += self._speed_y * reach
        self._speed_x *= kept
        self._speed_y *= kept
        place, both, speed = self._covariance
        wander = 2 * elapsed / MEMORY_S - 3 + 4 * kept - kept * kept
        self._covariance = (
            place + 2 * reach * both + reach * reach * speed + max(0.0, (USUAL_SPEED * MEMORY_S) ** 2 * wander),
            kept * (both + reach * speed) + USUAL_SPEED**2 * MEMORY_S * (1 - kept) ** 2,
            kept * kept * speed + USUAL_SPEED**2 * (1 - kept * kept),
        )

    def correct(self, box: Sequence[float]) -> None:
        """Takes in where the face is, at the time last advanced to."""
        x, y, self.width, self.height = centre_and_size(box)
        off_x, off_y = x - self.x, y - self.y
        place, both, speed = self._covariance
        gain = place / (place + JITTER**2)
        speed_gain = both / (place + JITTER**2)
        self.x += gain * off_x
        self.y += gain * off_y
        self._speed_x += speed_gain * off_x
        self._speed_y += speed_gain * off_y
        self._covariance = ((1 - gain) * place, (1 - gain) * both, speed - speed_gain * both)
        self._limit_speed()

    def _limit_speed(self) -> None:
        speed, top = math.hypot(self._speed_x, self._speed_y), TOP_SPEED * self.side
        if speed > top:
            self._speed_x *= top / speed
            self._speed_y *= top / speed


def centre_and_size(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Centre x, centre y, width, height of a left, top, right, bottom box; a side is at least 1 px."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, max(right - left, 1.0), max(bottom - top, 1.0)
