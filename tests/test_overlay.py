from __future__ import annotations

import itertools
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface import overlay
from rtface.overlay import INK, KNOWN, UNKNOWN, Overlay, draw
from rtface.types import Frame, FrameResult, Identity, Image, Neighbor, Track, TrackState

BOX = (200.0, 150.0, 300.0, 280.0)


def result(*tracks: Track, image: Image | None = None, age: float = 20.0, source: str = "a") -> FrameResult:
    picture = np.full((480, 640, 3), 127, np.uint8) if image is None else image
    picture.flags.writeable = False
    return FrameResult(Frame(picture, 0, 0.0, 0.0, source), tracks, (), {"age": age}, 2)


def verdict(person: str | None, distance: float = 0.62) -> Identity:
    return Identity(person, distance, 5 / 6, tuple(Neighbor("x", distance) for _ in range(6)))


def track(
    identity: Identity | None,
    box: tuple[float, float, float, float] = BOX,
    state: TrackState = TrackState.CONFIRMED,
) -> Track:
    return Track(1, np.array(box, np.float32), state, None, 0.0, 0.0, identity)


def painted(a: Image, b: Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of where two pictures differ."""
    rows, columns = np.nonzero((a != b).any(2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance of blue, green, red. Source: WCAG 2.1."""
    linear = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]


@pytest.mark.parametrize("ground", [KNOWN, UNKNOWN])
def test_letters_meet_the_highest_contrast_level_of_wcag(ground: tuple[int, int, int]) -> None:
    assert (luminance(ground) + 0.05) / (luminance(INK) + 0.05) >= 7


def test_the_frame_itself_is_not_touched() -> None:
    shown = result(track(verdict("Ada")))
    before = shown.frame.image.copy()
    assert draw(shown, fps=30).shape == before.shape
    assert np.array_equal(shown.frame.image, before)


def test_box_is_drawn_where_the_face_is_in_the_colour_of_the_verdict() -> None:
    for identity, color in [(verdict("Ada"), KNOWN), (verdict(None), UNKNOWN)]:
        picture = draw(result(track(identity)), fps=30)
        for x, y in [(200, 200), (300, 200), (250, 280)]:
            assert tuple(picture[y, x]) == color
        assert tuple(picture[215, 250]) == (127, 127, 127)  # inside, the face stays to be seen


def test_tentative_tracks_are_not_drawn() -> None:
    shown = draw(result(track(None, state=TrackState.TENTATIVE)), fps=30)
    assert np.array_equal(shown, draw(result(), fps=30))


def test_lost_tracks_are_dashed_and_nameless() -> None:
    nobody = draw(result(), fps=30)
    lost = draw(result(track(verdict("Ada"), state=TrackState.LOST)), fps=30)
    found = draw(result(track(verdict("Ada"))), fps=30)
    assert painted(lost, nobody)[1] >= BOX[1] - 5  # no label above
    side = (lost[160:270, 200] == KNOWN).all(1)
    assert 0.2 < side.mean() < 0.8
    assert (found[160:270, 200] == KNOWN).all()


def test_unknown_says_only_that_whatever_the_distance() -> None:
    near, none = (draw(result(track(verdict(None, distance))), fps=30) for distance in (0.9, math.inf))
    assert np.array_equal(near, none)


@pytest.mark.parametrize("names", [("Ada", "Eva"), ("Łukasz", "Lukasz"), ("Ελένη", "Ελένα"), ("김민수", "김민서")])
def test_names_are_told_apart_in_their_own_script(names: tuple[str, str]) -> None:
    missing = [face.ink(sign, 20) for face in overlay._typefaces() for sign in ("\U0010ffff", "?")]
    for letter in set(names[0] + names[1]):
        if any(np.array_equal(overlay._typeface(letter).ink(letter, 20), box) for box in missing):
            pytest.skip("no font here has these letters")
    first, second = (draw(result(track(verdict(name))), fps=30) for name in names)
    assert not np.array_equal(first, second)


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV brings its own font from version 5 on")
def test_korean_needs_no_font_on_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_system_fonts", lambda: iter(()))
    overlay._typefaces.cache_clear()
    overlay._typeface.cache_clear()
    try:
        masks = [overlay.lettering(name, 20) for name in ("김민수", "김민서", "???")]
    finally:
        overlay._typefaces.cache_clear()
        overlay._typeface.cache_clear()
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(masks, 2))


def test_without_opencvs_font_or_any_on_the_system_latin_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_system_fonts", lambda: iter(()))
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    overlay._typefaces.cache_clear()
    overlay._typeface.cache_clear()
    try:
        ada, eva = overlay.lettering("Ada 0.62", 20), overlay.lettering("Eva 0.62", 20)
        korean = overlay.lettering("김민수", 20)
    finally:
        overlay._typefaces.cache_clear()
        overlay._typeface.cache_clear()
    assert ada.any()
    assert ada.shape != eva.shape or not np.array_equal(ada, eva)
    assert korean.shape[0] == ada.shape[0]


@pytest.mark.parametrize("size", [(120, 160), (480, 640), (1080, 1920), (1280, 720)])
def test_long_names_are_cut_to_the_picture_and_letters_grow_with_it(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 127, np.uint8)
    box = (width * 0.5, height * 0.5, width * 0.6, height * 0.7)
    picture = draw(result(track(verdict("Ada " * 80), box), image=image), fps=30)
    rows = np.nonzero((picture == KNOWN).all(2).sum(1) > width / 3)[0]
    assert height / 40 <= len(rows) <= height / 5


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    box=st.tuples(*[st.floats(-500, 900)] * 4),
    state=st.sampled_from(TrackState),
    name=st.none() | st.text(max_size=30),
    distance=st.sampled_from([0.0, 0.62, 4.0, math.inf]),
    size=st.sampled_from([(1, 1), (7, 300), (120, 160)]),
)
def test_any_box_and_any_name_can_be_drawn(
    box: tuple[float, float, float, float],
    state: TrackState,
    name: str | None,
    distance: float,
    size: tuple[int, int],
) -> None:
    image = np.zeros((*size, 3), np.uint8)
    assert draw(result(track(verdict(name, distance), box, state), image=image), fps=0).shape == image.shape


def test_notice_stands_below_the_status_line() -> None:
    plain = draw(result(), fps=20)
    noted = draw(replace(result(), notice="Building engines 43 %"), fps=20)
    changed = np.flatnonzero((plain != noted).any(axis=(1, 2)))
    status = np.flatnonzero((plain != result().frame.image).any(axis=(1, 2)))
    assert changed[0] > status[-1]
    assert len(changed) == pytest.approx(len(status), abs=2)


def test_sinks_that_share_an_overlay_draw_once_and_cannot_spoil_it() -> None:
    shared = Overlay()
    shown = result(track(verdict("Ada")))
    first = shared(shown)
    assert shared(shown) is first
    assert not first.flags.writeable
    assert shared(result()) is not first


def test_rate_is_that_of_the_last_two_seconds_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: dict[str, list[float]] = {"a": [], "b": []}
    drawn = np.zeros((1, 1, 3), np.uint8)

    def record(shown: FrameResult, *, fps: float) -> Image:
        rates[shown.frame.source].append(fps)
        return drawn.copy()

    monkeypatch.setattr(overlay, "draw", record)
    now = [0.0]
    shared = Overlay(lambda: now[0])

    def shown(source: str, index: int, dropped: int) -> FrameResult:
        made = result(source=source)
        return replace(made, frame=replace(made.frame, index=index), dropped=dropped)

    for step in range(200):  # 20 pictures a second, then 40; of three frames of a one is dropped and one not drawn
        now[0] += 0.05 if step < 100 else 0.025
        shared(shown("a", 3 * step, step))
        if step % 4 == 0:
            shared(shown("b", step // 4, 0))
    assert rates["a"][0] == 0
    assert rates["a"][99] == pytest.approx(40)
    assert rates["a"][199] == pytest.approx(80, rel=0.02)
    assert rates["b"][49] == pytest.approx(10, rel=0.05)
