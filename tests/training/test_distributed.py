"""Two processes, each with half of a batch, come to the gradient that one has with the whole of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch
import torch.distributed

from tests.training.parallel import gradient

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("piece", [0, 5])
def test_two_processes_have_the_gradient_of_one(piece: int, tmp_path: Path) -> None:
    """Through torchrun on gloo; only mining in the whole batch finds these triplets."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    alone, loss, triplets = gradient(None, 0)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [*launch, "-m", "tests.training.parallel", str(tmp_path), str(piece)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert triplets > 20
    assert max(part.abs().max().item() for part in alone.values()) > 1e-4
    for rank in range(2):
        together, loss_there, triplets_there = torch.load(tmp_path / f"{rank}.pt")
        assert triplets_there == triplets
        assert loss_there == pytest.approx(loss, rel=1e-6)
        for name, part in alone.items():
            torch.testing.assert_close(together[name], part, rtol=1e-4, atol=1e-7)
