"""What a build calls is what the full TensorRT has, from version 10.0 on. It cannot run here: it needs a card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rtface.engine_builder import Target, build, timings
from rtface.errors import BackendError
from tests.bindings import described, published
from tests.engine_builder.given import ORIGIN, chain, rtx
from tests.engine_builder.recorded import Use, full_tensorrt


@pytest.fixture
def uses(tmp_path: Path) -> set[Use]:
    """Of a build, of one that finds the timings of the first, and of one that fails."""
    found: set[Use] = set()
    wanted = Target(full_tensorrt(rtx(), found), "8.6")
    graph = chain(tmp_path / "own" / "own.onnx", "Relu", "Exp")
    build(graph, ORIGIN, wanted)
    assert timings(tmp_path, wanted).is_file()
    build(graph, ORIGIN, wanted, force=True)
    with pytest.raises(BackendError):
        build(chain(graph, "Bernoulli"), ORIGIN, wanted)
    return found


def counts(name: str, told: str | None) -> list[range]:
    """How many arguments each form of a function takes, besides the object itself."""
    forms = re.findall(rf"^(?:\d+\. )?{name}\(self: [^,)]+(.*)\) ->", told or "", re.MULTILINE)
    arguments = [[part for part in re.split(r", (?=\w+:)", form) if part.strip(", ")] for form in forms]
    return [range(sum("=" not in one for one in form), len(form) + 1) for form in arguments]


@pytest.mark.filterwarnings("ignore:.*[Tt]iming cache:DeprecationWarning")
@pytest.mark.parametrize("bindings", published() or [None], ids=lambda folder: folder.name if folder else "none")
def test_every_use_is_in_the_published_bindings(uses: set[Use], bindings: Path | None) -> None:
    if bindings is None:
        pytest.skip("needs the bindings that `make test` fetches")
    there = described(bindings)
    assert len(uses) > 30
    for kind, name, count in sorted(uses, key=str):
        assert name in there[kind], f"there is no {kind}.{name}"
        if count is not None:
            allowed = counts(name, there[kind][name])
            assert any(count in numbers for numbers in allowed), f"{kind}.{name} does not take {count}: {allowed}"


@pytest.mark.filterwarnings("ignore:.*[Tt]iming cache:DeprecationWarning")
def test_full_tensorrt_is_told_no_card_and_given_its_timings(uses: set[Use]) -> None:
    names = {name for _, name, _ in uses}
    assert {"create_timing_cache", "set_timing_cache", "get_timing_cache", "serialize"} <= names
    assert not {"set_compute_capability", "num_compute_capabilities"} & names


def test_counting_finds_what_is_wrong() -> None:
    told = "set_shape(self: a.B, input: str, min: a.Dims, opt: a.Dims = None) -> None"
    assert counts("set_shape", told) == [range(2, 4)]
    assert counts("reset", "reset(self: a.B) -> bool") == [range(0, 1)]
    assert counts("gone", None) == []
