"""The page: whole, self-contained, and with nothing in it that the browser could take for more than text."""

from __future__ import annotations

import json
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import EvaluationError
from rtface.evaluation.page import Chart, Page, PicturePair, Table, check_place, write


class Read(HTMLParser):
    """What a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Read:
    parser = Read()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


FACE = np.full((20, 20, 3), 128, np.uint8)
PAGE = Page(
    title="A & B",
    lead=["1 < 2"],
    tables=[Table("Figures", ("", "value"), [("VAL <script>alert(1)</script>", "0.9")])],
    charts=[Chart("ROC", b"<svg/>")],
    pairs=[("Worst", [PicturePair((FACE, None), ("a/<b>.jpg", "김.jpg"), 0.51)])],
    failed=["<img src=x>.jpg"],
    record={"auc": 1.0},
)


def test_the_page_needs_nothing_else_and_names_are_only_text(tmp_path: Path) -> None:
    write(tmp_path / "r.html", PAGE)
    seen = read(tmp_path / "r.html")
    assert "script" not in seen.tags
    assert "b" not in seen.tags
    assert [source.split(",")[0] for source in seen.sources] == ["data:image/svg+xml;base64", "data:image/jpeg;base64"]
    for text in ("A & B", "VAL <script>alert(1)</script>", "a/<b>.jpg", "김.jpg", "<img src=x>.jpg", "no picture"):
        assert text in seen.text
    assert "pictures of people" in seen.text
    assert json.loads((tmp_path / "r.json").read_text()) == {"auc": 1.0}


def test_the_page_is_its_owners_alone_and_replaces_another(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("old")
    write(tmp_path / "r.html", PAGE)
    assert stat.S_IMODE((tmp_path / "r.html").stat().st_mode) & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_a_page_without_people_needs_no_warning(tmp_path: Path) -> None:
    write(tmp_path / "r.html", Page("Title", ["Lead"]))
    assert "pictures of people" not in read(tmp_path / "r.html").text


def test_a_place_that_will_not_do_is_told_early(tmp_path: Path) -> None:
    check_place(tmp_path / "r.html")
    for place in (tmp_path / "r.txt", tmp_path / "absent" / "r.html"):
        with pytest.raises(EvaluationError):
            check_place(place)
