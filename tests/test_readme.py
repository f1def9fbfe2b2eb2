"""What the README promises runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtface.cli import COMMANDS
from tests.shared import system

README = Path(__file__).parents[1] / "README.md"


def test_the_python_program_runs_as_printed(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    with system(tmp_path / "try.db", {"embedder": "sface"}):
        pass
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    enrolled, identified, streamed = ran.stdout.splitlines()
    assert enrolled == "astronaut.png True enrolled"
    assert identified.split()[0] == "Eileen"
    assert "person='Eileen'" in streamed


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if name not in text] == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if "://" not in link and not (README.parent / link).exists()] == []
