import unicodedata

import pytest

from rtface.errors import BadName
from rtface.gallery.names import person_name, similar


@pytest.mark.parametrize(
    "name", ["김민수", "Zoë", "O'Brien", "Ana María", "田中", "محمد", "x", "J. R.", "R2-D2", "a" * 100]
)
def test_name_in_any_script_is_fine(name: str) -> None:
    assert person_name(name) == name


def test_decomposed_name_is_the_same_name() -> None:
    assert person_name(unicodedata.normalize("NFD", "김민수 Zoë")) == "김민수 Zoë"


def test_spaces_around_a_name_do_not_count() -> None:
    assert person_name("  Ada \u3000") == "Ada"


def test_name_joined_by_an_invisible_joiner_is_fine() -> None:
    persian = "علی\u200cرضا"
    assert person_name(persian) == persian


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "visible"),
        (" \t ", "visible"),
        ("\u200b", "visible"),
        ("a/b", "'/'"),
        ("a\\b", "slash"),
        ("a\x00b", "U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("a\x7f", "U\\+007F"),
        ("a\u2028b", "line break"),
        ("a\udcffb", "half a character"),
        ("evil\u202egnp", "direction mark"),
        (".", "folder"),
        ("..", "folder"),
        ("-rf", "option"),
        ("x" * 300, "300 characters and a name has at most 100"),
    ],
)
def test_name_nobody_can_have_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(BadName, match=reason):
        person_name(name)


def test_refusal_of_a_long_name_is_short() -> None:
    with pytest.raises(BadName) as refusal:
        person_name("x" * 10_000)
    assert len(str(refusal.value)) < 200


def test_similar_name_is_suggested_whatever_its_case() -> None:
    assert similar("ADA", ["Ada", "Grace"]) == " Did you mean 'Ada'?"
    assert similar("zzz", ["Ada", "Grace"]) == ""
