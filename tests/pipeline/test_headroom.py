"""A detection beside an embedding is begun only where it is likely to be over first."""

from __future__ import annotations

from rtface.pipeline.headroom import Headroom


def measured(detection_s: float, embedding_s: float) -> Headroom:
    """After one round, the embedding of the next just launched at 100 s."""
    headroom = Headroom()
    headroom.detected(detection_s)
    headroom.launched(0.0)
    headroom.collected(embedding_s)
    headroom.detected(detection_s)
    headroom.launched(100.0)
    return headroom


def test_nothing_fits_before_anything_was_measured() -> None:
    headroom = Headroom()
    headroom.detected(0.25)
    headroom.launched(1.0)
    assert not headroom.fits(1.0)


def test_what_is_shorter_than_what_is_left_fits() -> None:
    headroom = measured(0.25, 1.0)
    assert headroom.fits(100.0)
    assert headroom.fits(100.75)
    assert not headroom.fits(100.8125)
    assert not measured(1.25, 1.0).fits(100.0)


def test_rows_that_lay_waiting_do_not_make_the_embedding_look_longer() -> None:
    headroom = measured(0.25, 1.0)
    headroom.detected(5.0)  # beside the embedding, and much longer than thought
    headroom.collected(105.0)
    headroom.detected(0.5)
    headroom.launched(200.0)
    assert headroom.fits(200.5)
    assert not headroom.fits(200.75)


def test_one_slow_embedding_at_first_is_forgotten_after_a_round() -> None:
    headroom = measured(0.25, 50.0)  # the first run of an engine
    headroom.detected(0.25)
    headroom.collected(100.5)
    headroom.launched(200.0)
    assert headroom.fits(200.25)
    assert not headroom.fits(200.5)


def test_embedding_that_has_grown_longer_is_measured_again_when_nothing_ran_beside_it() -> None:
    headroom = measured(1.25, 1.0)
    headroom.collected(103.0)
    headroom.launched(200.0)
    assert headroom.fits(201.5)
