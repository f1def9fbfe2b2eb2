"""How a system opens its sources."""

import threading

import pytest

from rtface.errors import SourceUnavailable
from rtface.interfaces import FrameSource
from rtface.system import open_system
from tests.fakes import ScriptedSource


def test_sources_open_together_and_stay_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    both_are_opening = threading.Barrier(2, timeout=20)

    def slow(uri: str) -> FrameSource:
        both_are_opening.wait()
        return ScriptedSource([], name=uri)

    monkeypatch.setattr("rtface.sources.open_source", slow)
    with open_system() as system:
        assert [source.name for source in system.open_sources("door", "yard")] == ["door", "yard"]


def test_of_several_sources_all_are_opened_or_none_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[ScriptedSource] = []

    def some(uri: str) -> FrameSource:
        if uri == "away":
            raise SourceUnavailable("away is away")
        opened.append(ScriptedSource([], name=uri))
        return opened[-1]

    monkeypatch.setattr("rtface.sources.open_source", some)
    with open_system() as system:
        with pytest.raises(SourceUnavailable, match="away is away"):
            system.open_sources("door", "away", "yard")
        with pytest.raises(SourceUnavailable, match="named twice"):
            system.open_sources("door", "door")
    assert len(opened) == 4
    assert all(source.closed for source in opened)
