"""Training in tests: one thread, so that figures and times do not hang on what else the machine does."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch = pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")
    torch.set_num_threads(1)
