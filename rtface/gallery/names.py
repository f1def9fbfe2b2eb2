"""What a person can be called."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from rtface.errors import BadName

LONGEST = 100
"""Characters; longer than any name on a passport, short enough for a label over a face."""

_REFUSED = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a paragraph break"}
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the text around them, so that one name can be made to look like another (Unicode TR 36)."""
_UNSEEN = frozenset("\u00ad\u180e\u200b\u2060\ufeff")
"""They take no room and mean nothing, so that one name could be enrolled twice; the joiners U+200C and U+200D mean
something in Persian and in Indian scripts."""


def normalised(text: str) -> str:
    """The one spelling of a name: composed (NFC, as macOS decomposes file names) and without spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def person_name(text: str) -> str:
    """A name as the gallery keeps it; any script is fine.

    Raises:
        BadName: empty or invisible, over 100 characters, with slashes or control characters, ``.``, ``..``, or
            starting with ``-``.
    """
    name = normalised(text)
    reason = _objection(name)
    if reason:
        raise BadName(f"Nobody can be called {_shortened(name)!r}: {reason}.")
    return name


def tag_name(text: str) -> str:
    """A tag as the gallery keeps it.

    Raises:
        BadName: as for a name.
    """
    tag = normalised(text)
    reason = _objection(tag)
    if reason:
        raise BadName(f"No tag can be {_shortened(tag)!r}: {reason}.")
    return tag


def free_text(text: str) -> str:
    """A note or a purpose as the gallery keeps it: composed, no spaces around it, what is no character replaced."""
    kept = (sign if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs") else "\ufffd" for sign in text)
    return normalised("".join(kept))


def _objection(name: str) -> str | None:
    if not any(unicodedata.category(character)[0] in "LNPS" for character in name):
        return "a name needs at least one visible character"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters and a name has at most {LONGEST}; shorten it"
    if name in (".", ".."):
        return "that means a folder; choose another name"
    if name.startswith("-"):
        return "it looks like a command-line option; begin it with a letter"
    for character in name:
        if character in "/\\":
            return f"it contains {character!r}; leave the slashes out"
        fault = _REFUSED.get(unicodedata.category(character))
        if character in _DIRECTION_MARKS:
            fault = "a direction mark"
        if character in _UNSEEN:
            fault = "an invisible character"
        if fault:
            return f"it contains {fault} (U+{ord(character):04X}); leave that out"
    return None


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"


def similar(name: str, known: Iterable[str]) -> str:
    """`` Did you mean ...?`` for the most similar known name whatever its case, or nothing."""
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), folded, 1)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""
