"""``rtface gallery calibrate``: what it says, keeps and refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.gallery.calibration import kept_calibration
from rtface.gallery.store import PersonGallery, open_gallery
from rtface.models.catalogue import load
from tests.cli.calls import Rtface
from tests.gallery.samples import enroll, units


def opened(rtface: Rtface, folder: Path, *, create: bool = False) -> PersonGallery:
    spec = load(folder)["facenet"]
    return open_gallery(
        rtface.gallery, model="facenet", fingerprint=spec.fingerprint, size=spec.embedding_size, create=create
    )


@pytest.fixture
def ten(rtface: Rtface, tmp_path: Path) -> Rtface:
    """Ten people at random, who are much less alike than people are."""
    with opened(rtface, tmp_path, create=True) as gallery:
        for number, row in enumerate(units(3, 10, 512)):
            enroll(gallery, f"p{number}", row[None])
    return rtface


def test_distance_is_said_and_kept(ten: Rtface, tmp_path: Path) -> None:
    ended = ten("gallery", "calibrate", "--false-identification-rate", "0.01", "--margin", "0.05")
    assert ended.code == 0
    assert "10 people are enrolled: 10 chances for a stranger." in ended.out
    assert "1,704 people facenet was measured on; 1.00 times as alike" in ended.out
    assert "Distance 1.016, margin 0.05: one look at a stranger gives a name at a rate of 0.01" in ended.out
    assert ended.err == "Kept with the gallery.\n"
    with opened(ten, tmp_path) as gallery:
        kept = kept_calibration(gallery.database)
    assert kept is not None
    assert (kept.rate, kept.margin, kept.people) == (0.01, 0.05, 10)


def test_dry_run_changes_nothing(ten: Rtface, tmp_path: Path) -> None:
    (said,) = ten("gallery", "calibrate", "--dry-run", "--json").records
    assert (said["kept"], said["false_identification_rate"], said["people"]) == (False, 0.001, 10)
    interval = said["expected_rate_interval"]
    assert isinstance(interval, list)
    assert interval[0] < said["expected_rate"] <= 0.00101 < interval[1]  # type: ignore[operator]
    with opened(ten, tmp_path) as gallery:
        assert kept_calibration(gallery.database) is None


def test_people_of_one_kind_get_a_smaller_distance(ten: Rtface, tmp_path: Path) -> None:
    (before,) = ten("gallery", "calibrate", "--dry-run", "--json").records
    with opened(ten, tmp_path) as gallery:
        kin = np.concatenate((np.ones((6, 100)) / 20, units(4, 6, 412) * np.sqrt(0.75)), axis=1).astype(np.float32)
        for number, row in enumerate(kin):
            enroll(gallery, f"kin {number}", row[None] / np.linalg.norm(row))
        for number in range(6):
            gallery.remove(f"p{number}")
    (after,) = ten("gallery", "calibrate", "--json").records
    assert after["people"] == before["people"]
    assert after["distance"] <= before["distance"]  # type: ignore[operator]


def test_rate_that_cannot_be_shown_is_refused(ten: Rtface, tmp_path: Path) -> None:
    ended = ten("gallery", "calibrate", "--false-identification-rate", "1e-7")
    assert ended.code == 1
    assert "cannot be promised here: a stranger has 10 chances" in ended.err
    assert "Ask for 2.1e-05 or more." in ended.err
    with opened(ten, tmp_path) as gallery:
        assert kept_calibration(gallery.database) is None


def test_name_rate_that_no_looks_can_show_is_refused(ten: Rtface) -> None:
    ended = ten("gallery", "calibrate", "--set", "false_name_rate=0.00001")
    assert ended.code == 1
    assert "false_name_rate 1e-05 cannot be shown" in ended.err


def test_settings_that_are_stronger_are_named(ten: Rtface) -> None:
    ended = ten("gallery", "calibrate", "--set", "max_distance=0.9", "--set", "min_margin=0.1")
    assert "The settings have their own min_margin and max_distance, which will be used instead." in ended.err


@pytest.mark.parametrize("rate", ["0", "1.5", "often"])
def test_what_is_no_rate_is_wrong_usage(ten: Rtface, rate: str) -> None:
    assert ten("gallery", "calibrate", "--false-identification-rate", rate).code == 2


def test_without_a_gallery_there_is_nothing_to_calibrate(rtface: Rtface) -> None:
    ended = rtface("gallery", "calibrate")
    assert ended.code == 1
    assert "rtface enroll" in ended.err
    assert not rtface.gallery.exists()
