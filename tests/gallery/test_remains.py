"""What is left in a file is found wherever it lies; the truth is a slow search for every piece at every place."""

import random
from pathlib import Path

import pytest

from rtface.gallery import remains
from rtface.gallery.remains import Remains


def slowly(data: bytes, values: list[bytes], texts: list[str]) -> int:
    """Every place compared with every piece and text."""
    pieces = {value[at : at + 8] for value in values for at in range(0, len(value) - 7, 8)} - {bytes(8)}
    wanted = {*pieces, *(text.encode() for text in texts if len(text.encode()) >= 8)}
    return sum(data.startswith(piece, at) for at in range(len(data)) for piece in wanted)


@pytest.mark.parametrize("seed", range(40))
def test_everything_is_counted_once_however_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(remains, "BLOCK", rng.choice([16, 57, 100, 1 << 24]))
    values, texts = [rng.randbytes(rng.randint(0, 60)) for _ in range(4)], ["Ada Secretname", "김민수입니다", "short"]
    parts = [rng.choice([rng.randbytes(rng.randint(0, 30)), *values, *map(str.encode, texts)]) for _ in range(30)]
    data = b"".join(part[rng.randint(0, 3) :] for part in parts)
    (tmp_path / "f").write_bytes(data)
    assert Remains(values, texts).count_in(tmp_path / "f") == slowly(data, values, texts)


def test_fifteen_bytes_of_a_vector_are_found_at_any_place(tmp_path: Path) -> None:
    value = random.Random(1).randbytes(512)
    for start in range(0, 64):
        (tmp_path / "f").write_bytes(bytes(start % 11) + value[start : start + 15] + bytes(9))
        assert Remains([value], []).count_in(tmp_path / "f") == 1


def test_empty_file_and_nothing_to_look_for(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    assert Remains([b"x" * 64], ["a long enough text"]).count_in(tmp_path / "f") == 0
    (tmp_path / "f").write_bytes(bytes(1000))
    assert Remains([], ["", "short"]).count_in(tmp_path / "f") == 0
    assert (Remains([bytes(64)], []).pieces, Remains([], ["short"]).texts) == (0, 0)
