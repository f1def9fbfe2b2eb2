"""A gallery's tables, version by version, as SQLite makes them."""

from __future__ import annotations

_FIRST = (
    """CREATE TABLE meta (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        revision INTEGER NOT NULL,     -- grows with every change
        rewritten INTEGER NOT NULL,    -- the revision of the last change that was not an addition
        erasing INTEGER NOT NULL,      -- the revision of a removal whose traces are still in the file, or 0
        model TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        size INTEGER NOT NULL)         -- numbers in an embedding""",
    """CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created_at REAL NOT NULL)""",
    """CREATE TABLE pictures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: an index made before a removal cannot mistake a row
        person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        file TEXT NOT NULL,
        added_at REAL NOT NULL,
        quality REAL NOT NULL,
        UNIQUE (person_id, sha256))""",
    "CREATE INDEX pictures_by_sha256 ON pictures (sha256)",
    """CREATE TABLE embeddings (
        picture_id INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE,
        vector BLOB NOT NULL)                  -- in the form that meta names""",
    "INSERT INTO meta VALUES (1, 0, 0, 0, '', '', 0)",
)

_SECOND = (
    "ALTER TABLE meta ADD COLUMN logged_after INTEGER NOT NULL DEFAULT 0",  # changes hold all rewriting after it
    "UPDATE meta SET logged_after = rewritten",
    "ALTER TABLE meta ADD COLUMN form TEXT NOT NULL DEFAULT 'float32'",  # how vectors lie in embeddings
    "ALTER TABLE meta ADD COLUMN sealed BLOB",  # known words sealed with the key, to tell a wrong one; NULL: no key
    "ALTER TABLE meta ADD COLUMN calibration TEXT",  # JSON; NULL: never calibrated
    "ALTER TABLE people ADD COLUMN note TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE people ADD COLUMN consent_at REAL",  # NULL: nothing is recorded
    "ALTER TABLE people ADD COLUMN consent_for TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE people ADD COLUMN consent_until TEXT",  # its last day, YYYY-MM-DD; NULL: until withdrawn
    "ALTER TABLE pictures ADD COLUMN against INTEGER NOT NULL DEFAULT 0",  # 1: this face is not this person
    "ALTER TABLE pictures ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",  # of the gallery when it came
    "ALTER TABLE pictures ADD COLUMN origin TEXT NOT NULL DEFAULT ''",  # picture, camera, import; '': not recorded
    "ALTER TABLE pictures ADD COLUMN detector TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE pictures ADD COLUMN embedder TEXT NOT NULL DEFAULT ''",  # engine and precision
    "ALTER TABLE pictures ADD COLUMN box TEXT NOT NULL DEFAULT ''",  # JSON: left, top, right, bottom in px
    "CREATE INDEX people_by_consent ON people (consent_until) WHERE consent_until IS NOT NULL",
    """CREATE TABLE tags (
        person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        tag TEXT NOT NULL,
        PRIMARY KEY (person_id, tag))""",
    """CREATE TABLE crops (
        picture_id INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE,
        jpeg BLOB NOT NULL)""",
    """CREATE TABLE changes (
        revision INTEGER NOT NULL,
        person_id INTEGER NOT NULL,    -- renamed, moved to or from, hidden, shown or gone; ids are never reused
        PRIMARY KEY (revision, person_id))""",
)

VERSIONS = (_FIRST, _SECOND)
"""The statements that make each version out of the one before. What has been released is never changed: a new gallery
goes the same way as an old one, so that both end with the same tables."""

VERSION = len(VERSIONS)
