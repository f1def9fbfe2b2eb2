"""Galleries as the first released rtface made them: its own statements, kept here whatever becomes of ours."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLES = """
CREATE TABLE meta (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL,
    rewritten INTEGER NOT NULL,
    erasing INTEGER NOT NULL,
    model TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    size INTEGER NOT NULL);
CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_at REAL NOT NULL);
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    file TEXT NOT NULL,
    added_at REAL NOT NULL,
    quality REAL NOT NULL,
    UNIQUE (person_id, sha256));
CREATE INDEX pictures_by_sha256 ON pictures (sha256);
CREATE TABLE embeddings (
    picture_id INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE,
    vector BLOB NOT NULL);
PRAGMA application_id = 1920231009;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


def first_version_at(path: Path, people: Mapping[str, NDArray[np.float32]]) -> None:
    """A gallery of the first version with these unit rows of the model facenet 1f2e."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size = 8192")
    connection.executescript(TABLES)
    connection.execute("BEGIN")
    size = next(iter(people.values())).shape[1] if people else 0
    total = sum(map(len, people.values()))
    connection.execute("INSERT INTO meta VALUES (1, ?, 0, 0, 'facenet', '1f2e', ?)", (total, size))
    for name, rows in people.items():
        person = connection.execute("INSERT INTO people (name, created_at) VALUES (?, 1.5)", (name,)).lastrowid
        for place, row in enumerate(rows):
            picture = connection.execute(
                "INSERT INTO pictures (person_id, sha256, file, added_at, quality) VALUES (?, ?, ?, 2.5, 0.5)",
                (person, f"{name}-{place}", f"/old/{name}-{place}.jpg"),
            ).lastrowid
            connection.execute("INSERT INTO embeddings VALUES (?, ?)", (picture, row.astype("<f4").tobytes()))
    connection.execute("COMMIT")
    connection.close()
