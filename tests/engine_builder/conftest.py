"""The table of everything that was compiled stands at the end of the run."""

from __future__ import annotations

import pytest

COMPILED = pytest.StashKey[list[tuple[str, ...]]]()
HEADING = ("graph", "precision", "card", "layers", "seconds", "MB")


@pytest.fixture
def compiled(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Rows of that table."""
    return request.config.stash.setdefault(COMPILED, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(COMPILED, [])
    if rows:
        terminalreporter.section("compiled by TensorRT for RTX, without a card")
        for row in (HEADING, *rows):
            cells = (cell.ljust(14) if place < 3 else cell.rjust(8) for place, cell in enumerate(row))
            terminalreporter.write_line(" ".join(cells))
