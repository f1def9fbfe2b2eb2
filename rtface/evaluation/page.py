"""An evaluation as one HTML file that needs nothing else: figures, charts and pictures are inside it."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtface.contact_sheet import jpeg
from rtface.errors import EvaluationError
from rtface.types import Image

WARNING = (
    "This file holds pictures of people and names of files. Treat it as you treat the pictures themselves: "
    "keep it private, and delete it when it has served."
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figcaption, small { color: #555; } figure > img { max-width: 100%; }
.warning { border: 2px solid #d55e00; padding: .6rem 1rem; }
.pairs { display: flex; flex-wrap: wrap; gap: 1rem; } .pairs figure { width: 15rem; margin: 0; }
.pairs img { width: 7rem; height: 7rem; object-fit: contain; background: #eee; } .pairs small { word-break: break-all; }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words and numbers under a head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: SVG, and what it shows."""

    title: str
    svg: bytes


@dataclass(frozen=True, slots=True, eq=False)
class PicturePair:
    """Two faces that were judged wrong, None where one cannot be shown, and the files they are from."""

    faces: tuple[Image | None, Image | None]
    names: tuple[str, str]
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is on the page.

    Attributes:
        title: one line.
        lead: sentences: what was measured, on what, with which model.
        tables, charts: in this order.
        pairs: (heading, pairs) lists of wrong ones.
        failed: files in which no face was found.
        record: the same as JSON.
    """

    title: str
    lead: Sequence[str]
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    pairs: Sequence[tuple[str, Sequence[PicturePair]]] = ()
    failed: Sequence[str] = ()
    record: dict[str, object] = field(default_factory=dict)


def check_place(path: Path) -> None:
    """Fails early, before a long run, when the page cannot be written there.

    Raises:
        EvaluationError: its ending or folder will not do.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise EvaluationError(f"The report {path} has to end in .html.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise EvaluationError(f"The report {path} cannot be written: {path.absolute().parent} has to be a folder.")


def write(path: Path, page: Page) -> None:
    """Writes the page, and its record as JSON beside it; each whole or not at all, for its owner's eyes only.

    Raises:
        EvaluationError: they cannot be written.
    """
    record = json.dumps(page.record, ensure_ascii=False, allow_nan=False, indent=1)
    for place, text in ((path, "\n".join(_html(page))), (path.with_suffix(".json"), record)):
        beside = place.with_name(f".{place.name}.part")
        try:
            with os.fdopen(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
            beside.replace(place)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise EvaluationError(f"The report {place} cannot be written: {error.strerror}.") from error


def _html(page: Page) -> Iterator[str]:
    title = html.escape(page.title)
    yield f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
    yield f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
    if page.pairs or page.failed:
        yield f"<p class='warning'><strong>{html.escape(WARNING)}</strong></p>"
    for sentence in page.lead:
        yield f"<p>{html.escape(sentence)}</p>"
    for table in page.tables:
        yield from _table(table)
    for chart in page.charts:
        data = base64.b64encode(chart.svg).decode()
        yield f"<figure><img alt='{html.escape(chart.title)}' src='data:image/svg+xml;base64,{data}'>"
        yield f"<figcaption>{html.escape(chart.title)}</figcaption></figure>"
    for heading, pairs in page.pairs:
        yield f"<h2>{html.escape(heading)}</h2><div class='pairs'>"
        yield from (_pair(pair) for pair in pairs)
        yield "</div>"
    if page.failed:
        yield f"<h2>Failures to acquire: {len(page.failed)}</h2><ul>"
        yield from (f"<li>{html.escape(name)}</li>" for name in page.failed)
        yield "</ul>"
    yield "</body></html>"


def _table(table: Table) -> Iterator[str]:
    yield f"<h2>{html.escape(table.title)}</h2><table><tr>"
    yield from (f"<th>{html.escape(name)}</th>" for name in table.head)
    yield "</tr>"
    for row in table.rows:
        first, *rest = (html.escape(cell) for cell in row)
        yield f"<tr><td>{first}</td>{''.join(f'<td class=number>{cell}</td>' for cell in rest)}</tr>"
    yield "</table>"


def _pair(pair: PicturePair) -> str:
    pictures = "".join(_picture(face) for face in pair.faces)
    names = " · ".join(html.escape(name) for name in pair.names)
    return f"<figure>{pictures}<figcaption>distance {pair.distance:.3f}<br><small>{names}</small></figcaption></figure>"


def _picture(face: Image | None) -> str:
    if face is None:
        return "<em>no picture</em>"
    return f"<img alt='' src='data:image/jpeg;base64,{base64.b64encode(jpeg(face)).decode()}'>"
