"""RESULTS.md is what commands printed, told as Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import results
from tests.benchmarks.results import SECTIONS, Section, shown


def test_json_lines_become_a_table_for_each_kind() -> None:
    told = list(shown('{"a_b": 1, "c": "x"}\n{"a_b": 2, "c": "y"}\n{"d": 3}\n'))
    assert told == ["| a b | c |", "|---|---|", "| 1 | x |", "| 2 | y |", "", "| d |", "|---|", "| 3 |", ""]


def test_numbers_have_four_digits_and_parts_their_names() -> None:
    told = list(shown('{"a": 0.123456, "b": {"x": 1, "y": 98.76543}, "c": [0.1, 0.25], "d": 2320}\n'))
    assert told[2] == "| 0.1235 | x 1, y 98.77 | 0.1 to 0.25 | 2320 |"


def test_markdown_stays_and_words_are_fenced() -> None:
    assert list(shown("accuracy  98\n\n| a |\n|---|\n| 1 |\n\n| b |\nend\n")) == [
        "```\naccuracy  98\n```",
        "| a |",
        "|---|",
        "| 1 |",
        "",
        "| b |",
        "```\nend\n```",
    ]


def test_a_section_that_is_run_takes_its_place_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path / "kept")
    first, own, gone = (
        Section(name, f"The {name}", ("python -c 'import sys; print(sys.argv[1], 6 * 7)' {shared}",), "Words.")
        for name in "abc"
    )
    monkeypatch.setattr(results, "SECTIONS", (own, first))
    before = "# Results\n\nOf us.\n\n## The a\n\nOld.\n\n### Part\n\n## The c\n\nPast.\n"
    page = results.page(own, results.run(own, "once"), before)
    start, told = page.split("## The b\n\nWords.\n")
    assert start == "# Results\n\nOf us.\n\n"
    assert "once 42" in told and results.commit() in told
    assert told.endswith("\n\n## The a\n\nOld.\n\n### Part\n") and gone.title not in page
    again = results.page(own, results.run(own, "again"), page)
    assert "again 42" in again and "once 42" not in again and again.count("## ") == page.count("## ")


def test_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="failed with 3"):
        results.outcome("python -c 'raise SystemExit(3)'", str(tmp_path))


def test_every_command_names_a_program_of_ours() -> None:
    words = [command.split() for section in SECTIONS for command in section.commands]
    assert len(words) > len(SECTIONS)
    for command in words:
        if command[0] == "python":
            assert command[1] == "-m"
            assert (results.ROOT / (command[2].replace(".", "/") + ".py")).is_file() or command[2].endswith("harmonic")
        else:
            assert command[:2] == ["rtface", "evaluate"]
