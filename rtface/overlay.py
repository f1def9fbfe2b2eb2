"""A result drawn on a copy of its picture: boxes, names in any script, and how fast it all went."""

from __future__ import annotations

import os
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from rtface.types import FrameResult, Identity, Image, Track, TrackState

Color = tuple[int, int, int]
"""Blue, green, red."""

KNOWN: Color = (233, 180, 86)
UNKNOWN: Color = (0, 159, 230)
UNDECIDED: Color = (205, 205, 205)
INK: Color = (24, 20, 16)
"""Sky blue and orange of Okabe and Ito's palette: told apart with every kind of colour blindness, and dark letters have
a contrast above 7:1 on both. Source: Okabe, Ito, Color Universal Design, 2008."""

SHORT_SIDE_PER_LETTER = 33
"""A label is 1/33 of the picture's shorter side high: 15 px at 640x480, 33 px at 1920x1080. Chosen by eye."""

SMALLEST_LETTER_PX = 12
FPS_WINDOW_S = 2.0

Mask = NDArray[np.uint8]
"""(H, W) how much ink, 0..255."""

_LETTERING = threading.Lock()


class Overlay:
    """Draws results as they come and measures their rate. Sinks that share one draw each result once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock gives seconds."""
        self._clock = clock
        self._counts: dict[str, deque[tuple[float, int]]] = {}
        self._drawn: dict[str, tuple[FrameResult, Image]] = {}
        self._lock = threading.Lock()

    def __call__(self, result: FrameResult) -> Image:
        """(H, W, 3) uint8 BGR; shared with other sinks, so not to be written to."""
        source = result.frame.source
        with self._lock:
            last, picture = self._drawn.get(source, (None, None))
            if last is not result or picture is None:
                picture = draw(result, fps=self._rate(result))
                picture.flags.writeable = False
                self._drawn[source] = result, picture
            return picture

    def _rate(self, result: FrameResult) -> float:
        """Results a second over the last two seconds, drawn or not; 0 while there is nothing to tell."""
        counts = self._counts.setdefault(result.frame.source, deque())
        counts.append((self._clock(), result.frame.index - result.dropped))
        while counts[-1][0] - counts[0][0] > FPS_WINDOW_S:
            counts.popleft()
        elapsed = counts[-1][0] - counts[0][0]
        return max(counts[-1][1] - counts[0][1], 0) / elapsed if elapsed > 0 else 0.0


def draw(result: FrameResult, *, fps: float) -> Image:
    """Boxes and labels of the tracks, a line with rate, age and drops, and the notice, on a copy of the picture.

    Tentative tracks are not drawn, lost ones dashed and without a label, undecided ones grey.

    Args:
        result: what is to be shown.
        fps: results a second; 0 when not known yet.
    """
    picture = np.array(result.frame.image, np.uint8)
    letter = max(SMALLEST_LETTER_PX, round(min(picture.shape[:2]) / SHORT_SIDE_PER_LETTER))
    shown = [track for track in result.tracks if track.state is not TrackState.TENTATIVE]
    for track in shown:
        _box(picture, track, letter)
    for track in shown:
        text = _words(track.identity)
        if text and track.state is TrackState.CONFIRMED:
            _label(picture, text, track, letter)
    rate = f"{fps:.1f}" if fps > 0 else "–"
    age = f"{result.timings['age']:.0f}" if "age" in result.timings else "–"
    top = letter // 3
    for text in (f"{rate} fps   age {age} ms   dropped {result.dropped}", result.notice):
        if text:
            line = _tag(text, letter, (0, 0, 0), (255, 255, 255), 0.62)
            _paste(picture, line, letter // 3, top)
            top += line[1].shape[0] + letter // 6
    return picture


def _words(identity: Identity | None) -> str:
    """Ada 0.62 · 83%: the name, the distance, the share of the votes."""
    if identity is None:
        return ""
    if identity.person is None:
        return "unknown"
    name = "".join(sign if sign.isprintable() else " " for sign in identity.person)
    return f"{name} {identity.distance:.2f} · {identity.share:.0%}"


def _color(identity: Identity | None) -> Color:
    if identity is None:
        return UNDECIDED
    return UNKNOWN if identity.person is None else KNOWN


def _box(picture: Image, track: Track, letter: int) -> None:
    """A coloured line between two dark ones, to be seen on any ground."""
    left, top, right, bottom = (round(float(side)) for side in track.box)
    line = max(2, letter // 7)
    passes = ((INK, line + 2), (_color(track.identity), line))
    if track.state is TrackState.CONFIRMED:
        for color, width in passes:
            cv2.rectangle(picture, (left, top), (right, bottom), color, width, cv2.LINE_AA)
        return
    dash = max(letter // 2, 4)
    for color, width in passes:
        for x in range(left, right, 2 * dash):
            for y in (top, bottom):
                cv2.line(picture, (x, y), (min(x + dash, right), y), color, width, cv2.LINE_AA)
        for y in range(top, bottom, 2 * dash):
            for x in (left, right):
                cv2.line(picture, (x, y), (x, min(y + dash, bottom)), color, width, cv2.LINE_AA)


def _label(picture: Image, text: str, track: Track, letter: int) -> None:
    """Above the box where there is room, else inside its top; never over the picture's edge."""
    room = picture.shape[1]
    tag = _tag(text, letter, _color(track.identity), INK, 1.0)
    while tag[1].shape[1] > room and len(text) > 2:
        text = text[: max(1, min(len(text) - 2, len(text) * room // tag[1].shape[1] - 1))] + "…"
        tag = _tag(text, letter, _color(track.identity), INK, 1.0)
    height, width = tag[1].shape
    edge = max(2, letter // 7) // 2 + 1
    left, top = round(float(track.box[0])) - edge, round(float(track.box[1])) - edge
    above = top - height
    _paste(picture, tag, min(max(left, 0), max(room - width, 0)), above if above >= 0 else max(top, 0))


@lru_cache(maxsize=512)
def _tag(text: str, letter: int, ground: Color, ink: Color, opacity: float) -> tuple[Image, Mask]:
    """Letters on a rounded ground: its (H, W, 3) colours and how much they cover."""
    words = lettering(text, letter)
    margin = letter // 3
    height, width = words.shape[0] + margin // 2, words.shape[1] + 2 * margin
    cover = np.zeros((height, width), np.uint8)
    round_by = letter // 4
    cv2.rectangle(cover, (round_by, 0), (width - 1 - round_by, height - 1), 255, -1)
    cv2.rectangle(cover, (0, round_by), (width - 1, height - 1 - round_by), 255, -1)
    for x in (round_by, width - 1 - round_by):
        for y in (round_by, height - 1 - round_by):
            cv2.circle(cover, (x, y), round_by, 255, -1, cv2.LINE_AA)
    shade = np.zeros((height, width, 1), np.float32)
    shade[margin // 4 : margin // 4 + words.shape[0], margin : margin + words.shape[1], 0] = words / np.float32(255)
    colors = (np.array(ground, np.float32) * (1 - shade) + np.array(ink, np.float32) * shade).astype(np.uint8)
    # The letters stay solid where the ground lets the picture through.
    return colors, np.rint(cover * np.maximum(shade[..., 0], np.float32(opacity))).astype(np.uint8)


def _paste(picture: Image, tag: tuple[Image, Mask], left: int, top: int) -> None:
    """Lays a tag over the picture in place; what reaches over the edge is cut off."""
    under = picture[top : top + tag[1].shape[0], left : left + tag[1].shape[1]]
    height, width = under.shape[:2]
    cover = tag[1][:height, :width, None].astype(np.uint16)
    mixed = tag[0][:height, :width] * cover + under * (255 - cover)
    under[:] = (mixed + 127) // 255


class _Typeface(Protocol):
    """One font. Its letters stand on a baseline 1.05 letters below the top of a line 1.4 letters high."""

    def ink(self, text: str, letter: int) -> Mask:
        """The line of text."""


class _BuiltIn:
    """The font OpenCV carries from version 5 on: Latin, Greek, Cyrillic, Hangul, Han, kana and more."""

    def __init__(self) -> None:
        self._face: Any = cv2.FontFace("sans")

    def ink(self, text: str, letter: int) -> Mask:
        canvas = np.zeros((round(1.4 * letter), 2 * letter * (len(text) + 1)), np.uint8)
        end, _ = cv2.putText(canvas, text, (0, round(1.05 * letter)), (255, 255, 255), self._face, letter, 500)
        return canvas[:, : max(int(end[0]), 1)]


class _File:
    """A font file, or Pillow's own small Latin one."""

    def __init__(self, path: Path | None) -> None:
        self._at = cache(lambda size: ImageFont.truetype(str(path), size) if path else ImageFont.load_default(size))

    def ink(self, text: str, letter: int) -> Mask:
        font = self._at(letter)
        canvas = Pictures.new("L", (max(round(font.getlength(text)), 1), round(1.4 * letter)))
        ImageDraw.Draw(canvas).text((0, round(1.05 * letter)), text, 255, font, anchor="ls")
        return np.asarray(canvas, np.uint8)


def lettering(text: str, letter: int) -> Mask:
    """A line of text, each piece in the first font that has its letters, which are ``letter`` px high."""
    with _LETTERING:
        return np.hstack([face.ink(piece, letter) for face, piece in _runs(text)])


def _runs(text: str) -> Iterator[tuple[_Typeface, str]]:
    face, piece = _typefaces()[0], ""
    for sign in text:
        # Blanks, accents and joiners stay with the letter before them.
        clings = sign.isspace() or unicodedata.category(sign) in ("Mn", "Me", "Mc", "Cf")
        wanted = face if clings and piece else _typeface(sign)
        if wanted is not face and piece:
            yield face, piece
            piece = ""
        face, piece = wanted, piece + sign
    if piece:
        yield face, piece


@lru_cache(maxsize=4096)
def _typeface(sign: str) -> _Typeface:
    """The first font that has this sign; the first of all when none has it."""
    if sign.isspace():
        return _typefaces()[0]
    for face in _typefaces():
        drawn = face.ink(sign, 20)
        # What a font does not have it shows as a box or as a question mark.
        if sign == "?" or not any(np.array_equal(drawn, face.ink(other, 20)) for other in ("\U0010ffff", "?")):
            return face
    return _typefaces()[0]


@cache
def _typefaces() -> list[_Typeface]:
    """In order of preference: OpenCV's, the system's, Pillow's."""
    built_in: list[_Typeface] = [_BuiltIn()] if hasattr(cv2, "FontFace") else []
    return [*built_in, *_system_fonts(), _File(None)]


FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
FONT_FOLDERS_ELSEWHERE = ("/System/Library/Fonts", "/Library/Fonts", f"{os.environ.get('WINDIR', 'C:/Windows')}/Fonts")
MOST_FONTS = 100
"""Each is opened once when a sign is in none before it."""


def _system_fonts() -> Iterator[_Typeface]:
    """Upright sans-serif fonts of normal weight first; DejaVu before all, it has the most scripts."""
    folders = [Path(folder).expanduser() for folder in (*FONT_FOLDERS, *FONT_FOLDERS_ELSEWHERE)]
    files = [path for folder in folders for path in folder.rglob("*.[to]t[fc]")]
    styled = ("bold", "italic", "oblique", "light", "black", "thin", "mono", "condensed", "serif")

    def rank(path: Path) -> tuple[bool, int, str]:
        name = path.stem.lower()
        return name != "dejavusans", sum(style in name.replace("sansserif", "") for style in styled), str(path)

    for path in sorted(files, key=rank)[:MOST_FONTS]:
        try:
            ImageFont.truetype(str(path), 20)
        except OSError:
            continue
        yield _File(path)
