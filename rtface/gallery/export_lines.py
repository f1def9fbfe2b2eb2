"""The lines of an exported gallery: what each may hold, checked before anything of it is believed."""

from __future__ import annotations

import base64
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

VERSION = 1
YEAR_9999 = 253_370_764_800.0
"""Seconds since 1970; a clock that shows more is no clock."""


def _without_zeros(text: str) -> str:
    if "\0" in text:  # PostgreSQL keeps no such text
        raise ValueError("text with a zero character")
    return text


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


Text = Annotated[str, AfterValidator(_without_zeros)]
Seconds = Annotated[float, Field(ge=0, le=YEAR_9999)]
Base64 = Annotated[bytes, PlainSerializer(_encoded, return_type=str)]


class _Record(BaseModel):
    """Fields a later rtface of the same version adds are left aside."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, val_json_bytes="base64")


class Opening(_Record):
    """The first line of any version."""

    format: Literal["rtface gallery"]
    version: int


class Header(Opening):
    """The first line: whose embeddings, how the gallery kept them, and how many numbers each has here."""

    name: Text
    fingerprint: Text
    size: int
    form: Text
    numbers: Annotated[int, Field(gt=0)]


class ConsentRecord(_Record):
    """See ``people.Consent``."""

    given_at: Seconds
    purpose: Text
    until: date | None = None


class PersonRecord(_Record):
    """See ``people.Person``; the rows follow in lines of their own."""

    name: Text
    created_at: Seconds
    note: Text = ""
    tags: tuple[Text, ...] = ()
    consent: ConsentRecord | None = None


class RowRecord(_Record):
    """See ``people.Picture``; ``embedding`` is little-endian float32, ``crop`` a JPEG."""

    sha256: Text
    file: Text
    added_at: Seconds
    quality: Annotated[float, Field(ge=0, le=1)]
    against: bool = False
    origin: Text = ""
    detector: Text = ""
    embedder: Text = ""
    box: tuple[float, float, float, float] | None = None
    embedding: Base64
    crop: Base64 | None = None


class End(_Record):
    """The last line: how much there was, and the SHA-256 of all lines before."""

    people: int
    rows: int
    sha256: str


class Line(_Record):
    """Any line but the first: one of the three."""

    person: PersonRecord | None = None
    row: RowRecord | None = None
    end: End | None = None
