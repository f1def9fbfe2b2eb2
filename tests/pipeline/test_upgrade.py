"""The CPU serves until the card's engines are built and found right; whatever goes wrong, it goes on serving."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import BackendError, EngineStale
from rtface.pipeline.parity import Parity, Reference
from rtface.pipeline.upgrade import Parts, Upgrade
from tests.fakes import FakeDetector, FakeEmbedder

GOOD = Parity(12, 0.9999, 0.999, 0, 12, 0)
BAD = Parity(12, 0.93, 0.999, 0, 12, 0)


@dataclass
class FakeBuild:
    """Done after so many looks."""

    reference: Path
    looks: int = 3
    error: Exception | None = None
    closed: bool = False

    @property
    def progress(self) -> str:
        return f"Building, {self.looks} to go"

    def finished(self) -> bool:
        self.looks -= 1
        if self.looks:
            return False
        if self.error:
            raise self.error
        Reference(np.zeros((1, 8, 8, 3), np.uint8), np.eye(1, 8, dtype=np.float32), np.zeros((1, 5), np.float32)).save(
            self.reference
        )
        return True

    def close(self) -> None:
        self.closed = True


class Closing(FakeEmbedder):
    closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Machine:
    """What an upgrade works on, and what has become of it."""

    error: Exception | None = None
    open_error: Exception | None = None
    parity: Parity = GOOD
    builds: list[FakeBuild] = field(default_factory=list)
    embedders: list[Closing] = field(default_factory=list)
    swapped: list[Parts] = field(default_factory=list)

    def start(self, reference: Path) -> FakeBuild:
        self.builds.append(FakeBuild(reference, error=self.error))
        return self.builds[-1]

    def open_parts(self) -> Parts:
        if self.open_error:
            raise self.open_error
        self.embedders.append(Closing())
        return Parts(FakeDetector([[]]), self.embedders[-1])

    def compare(self, reference: Reference, parts: Parts) -> Parity:
        assert reference.crops.shape == (1, 8, 8, 3)
        if not self.parity.ok:
            raise BackendError(str(self.parity))
        return self.parity

    def upgrade(self) -> Upgrade:
        return Upgrade(self.start, self.open_parts, self.compare, self.swapped.append)


def steps(upgrade: Upgrade, until: Callable[[], bool]) -> list[str]:
    """What is told of each step."""
    told: list[str] = []
    while not until():
        assert len(told) < 20
        upgrade.step()
        told.append(upgrade.notice)
    return told


def test_builds_then_opens_compares_and_swaps_a_step_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    upgrade = machine.upgrade()
    with caplog.at_level(logging.INFO):
        told = steps(upgrade, lambda: bool(machine.swapped))
    assert told == ["Building, 2 to go", "Building, 1 to go", "Opening engines", "Comparing engines", ""]
    assert machine.swapped[0].embedder is machine.embedders[0]
    assert "takes over: worst cosine 0.99990" in caplog.text
    upgrade.step()
    assert (len(machine.swapped), upgrade.notice) == (1, "")
    upgrade.close()
    assert not machine.embedders[0].closed  # it serves


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Machine(error=BackendError("The parser stopped at node X.")), "The parser stopped at node X."),
        (Machine(open_error=EngineStale("Made for another card.")), "Made for another card."),
        (Machine(parity=BAD), "worst cosine 0.93"),
    ],
    ids=["build", "open", "comparison"],
)
def test_failure_keeps_the_cpu_and_says_why(machine: Machine, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = machine.upgrade()
    steps(upgrade, lambda: "on the CPU" in upgrade.notice)
    assert machine.swapped == []
    assert "the CPU goes on" in caplog.text
    assert reason in caplog.text
    upgrade.step()
    assert "on the CPU" in upgrade.notice
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert all(embedder.closed for embedder in machine.embedders)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_closing_half_way_stops_the_build_and_frees_what_was_opened(count: int) -> None:
    machine = Machine()
    upgrade = machine.upgrade()
    for _ in range(count):
        upgrade.step()
    folder = machine.builds[0].reference.parent
    assert folder.is_dir()
    upgrade.close()
    assert machine.builds[0].closed
    assert not folder.exists()
    assert machine.swapped == []
    assert all(embedder.closed for embedder in machine.embedders)
    assert len(machine.embedders) == (count > 3)
