"""``rtface evaluate lfw`` on a pair file of its own, and on broken ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from PIL import Image

from rtface.sources.demo import portrait
from tests.cli.calls import Rtface

PAIRS = "2\t1\nAda\t1\t2\nAda\t1\tGrace\t1\nGrace\t1\t2\nAda\t2\tGrace\t2\n"


@pytest.fixture(scope="module")
def images(ada: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, two pictures each: the same one in colour and in grey."""
    folder = tmp_path_factory.mktemp("lfw")
    left, top = 60, 150  # around one of the six faces of the group photo
    cv2.imwrite(str(folder / "grace.png"), portrait()[top : top + 330, left : left + 330])
    for name, source in (("Ada", ada), ("Grace", folder / "grace.png")):
        (folder / name).mkdir()
        Image.open(source).convert("RGB").save(folder / name / f"{name}_0001.jpg")
        Image.open(source).convert("L").save(folder / name / f"{name}_0002.jpg")
    return folder


def test_report_has_the_keys_others_script_against(rtface: Rtface, models: None, images: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(PAIRS)
    ended = rtface("evaluate", "lfw", "--images", images, "--pairs", pairs, "--json")
    assert ended.code == 0, ended.err
    (report,) = ended.records
    keys = {"accuracy", "accuracy_std", "val_at_far", "threshold", "pairs", "failed_to_acquire"}
    assert set(report) >= keys
    assert (report["accuracy"], report["pairs"], report["failed_to_acquire"]) == (1.0, 4, 0)
    assert isinstance(report["val_at_far"], dict)
    assert set(report["val_at_far"]) >= {"1e-3", "1e-4"}
    assert not rtface.gallery.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "line 1"),
        ("2\n", "line 1"),
        (PAIRS[:-20], "line"),
        (PAIRS.replace("Grace\t1\t2", "Grace 1"), "line 4"),
        (PAIRS.replace("2\t1", "3\t1", 1), "promises 3 folds"),
        (PAIRS.replace("Grace", "Bob"), "Bob/Bob_0001.jpg"),
        (b"\xff\xfe\x00\x01", "is not a text file"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_pair_file_is_told_by_line(
    rtface: Rtface, images: Path, tmp_path: Path, content: str | bytes | None, told: str
) -> None:
    pairs = tmp_path / "pairs.txt"
    if content is not None:
        pairs.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = rtface("evaluate", "lfw", "--images", images, "--pairs", pairs, "--json")
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err


def test_pictures_without_faces_are_told(rtface: Rtface, models: None, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(PAIRS)
    for name in ("Ada", "Grace"):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            Image.new("RGB", (64, 64)).save(tmp_path / name / f"{name}_000{number}.jpg")
    ended = rtface("evaluate", "lfw", "--images", tmp_path, "--pairs", tmp_path / "pairs.txt")
    assert ended.code == 1
    assert "In none of the 4 pictures was a face found" in ended.err
