"""``rtface gallery compact``: fewer bytes, the same people, told in numbers."""

from pathlib import Path

from tests.cli import people
from tests.cli.calls import Rtface


def test_compact_tells_bytes_before_and_after_and_stats_the_form(rtface: Rtface) -> None:
    people.enroll(rtface.gallery, "Ada", 3, seed=1)
    done = rtface("gallery", "compact", "--json")
    (record,) = done.records
    assert (record["rows"], record["bytes_before"]) == (3, 4 * people.SIZE)
    after = int(str(record["bytes_after"]))
    assert after <= people.SIZE
    assert f"3 rows rewritten, {after} bytes a face (before {4 * people.SIZE:,})" in done.err
    (stats,) = rtface("gallery", "stats", "--json").records
    assert (stats["form"], stats["vector_bytes"], stats["people"]) == ("bytes", after, 1)
    assert rtface("gallery", "check").err.strip().endswith("0 problems.")
    (again,) = rtface("gallery", "compact", "--json").records
    assert again["rows"] == 0


def test_a_gallery_that_is_not_there_is_made_compact(rtface: Rtface, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    rtface("gallery", "compact", gallery=path)
    people.enroll(path, "Ada", 1, seed=1)
    (stats,) = rtface("gallery", "stats", "--json", gallery=path).records
    assert (stats["form"], stats["people"]) == ("bytes", 1)
