"""What may enter the gallery, and what is said of what may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rtface.contact_sheet import from_jpeg
from rtface.enrollment import Enroller, EnrollRules, Intent, enroll_from_source, picture_sha256
from rtface.errors import UnknownPerson
from rtface.gallery.people import Provenance, crops_of
from rtface.gallery.store import PersonGallery, open_gallery
from rtface.pipeline.judge import Judge, VoteRules
from rtface.types import Detection, Image
from tests.fakes import SIZE, FakeDetector, FakeEmbedder, ScriptedSource, detection, paint

ADA, BOB = 60, 120


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[PersonGallery]:
    with open_gallery(tmp_path / "g.db", model="fake", fingerprint="0123456789ab", size=SIZE, create=True) as gallery:
        yield gallery


def enroller(gallery: PersonGallery, found: list[Detection], **rules: float) -> Enroller:
    limits = EnrollRules(int(rules.get("min_face_px", 40)), rules.get("min_quality", 0.1))
    judge = Judge(gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    return Enroller(FakeDetector([found]), FakeEmbedder(), gallery, judge, limits)


def face(person: int) -> Image:
    return paint({(50, 60): person})


def test_a_good_picture_is_enrolled_and_told_with_its_quality(gallery: PersonGallery) -> None:
    outcome = enroller(gallery, [detection(50, 60)]).enroll_image("Ada", face(ADA), "ada.jpg")
    assert outcome.accepted
    assert outcome.quality is not None
    assert 0 < outcome.quality <= 1
    assert gallery.counts() == {"Ada": 1}


def test_no_face_is_refused(gallery: PersonGallery) -> None:
    outcome = enroller(gallery, []).enroll_image("Ada", face(ADA), "wall.jpg")
    assert (outcome.accepted, outcome.reason) == (False, "no face")


def test_several_faces_are_refused_unless_one_is_clearly_the_largest(gallery: PersonGallery) -> None:
    alike = [detection(50, 60), detection(180, 60, side=70)]
    refused = enroller(gallery, alike).enroll_image("Ada", face(ADA), "two.jpg")
    assert not refused.accepted
    assert "2 faces" in refused.reason
    small = [detection(50, 60), detection(180, 60, side=50)]
    assert enroller(gallery, small).enroll_image("Ada", face(ADA), "one.jpg").accepted


def test_a_small_face_is_refused_with_its_size(gallery: PersonGallery) -> None:
    outcome = enroller(gallery, [detection(50, 60)], min_face_px=100).enroll_image("Ada", face(ADA), "far.jpg")
    assert "80 px wide, at least 100" in outcome.reason


def test_a_blurred_face_is_refused(gallery: PersonGallery) -> None:
    smooth = np.full((240, 320, 3), 60, np.uint8)
    outcome = enroller(gallery, [detection(50, 60)]).enroll_image("Ada", smooth, "fog.jpg")
    assert outcome.reason == "too blurred"


def test_a_face_turned_away_is_refused(gallery: PersonGallery) -> None:
    turned = detection(50, 60)
    turned.landmarks[2, 0] += 60
    outcome = enroller(gallery, [turned]).enroll_image("Ada", face(ADA), "side.jpg")
    assert "turned" in outcome.reason


def test_somebody_elses_face_is_refused_with_the_name(gallery: PersonGallery) -> None:
    enroller(gallery, [detection(50, 60)]).enroll_image("Ada", face(ADA), "ada.jpg")
    twin = face(ADA)
    twin[0, 0] = 1
    outcome = enroller(gallery, [detection(50, 60)]).enroll_image("Bob", twin, "bob.jpg")
    assert not outcome.accepted
    assert "looks like Ada" in outcome.reason
    assert enroller(gallery, [detection(50, 60)]).enroll_image("Bob", face(BOB), "bob2.jpg").accepted


def test_the_same_picture_is_enrolled_once(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    assert adding.enroll_image("Ada", face(ADA), "ada.jpg").accepted
    again = adding.enroll_image("Ada", face(ADA), "copy.jpg")
    assert "already enrolled for Ada" in again.reason
    assert gallery.counts() == {"Ada": 1}


def test_an_unreadable_picture_does_not_stop_the_others(gallery: PersonGallery, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    outcomes = list(enroller(gallery, [detection(50, 60)]).enroll("Ada", [bad, tmp_path / "missing.jpg"]))
    assert [outcome.accepted for outcome in outcomes] == [False, False]
    assert all(outcome.picture in outcome.reason for outcome in outcomes)


def test_a_camera_gives_frames_half_a_second_apart(gallery: PersonGallery) -> None:
    images = [face(ADA) for _ in range(90)]
    for number, image in enumerate(images):
        image[0, 0] = number
    source = ScriptedSource(images)
    outcomes = list(enroll_from_source(enroller(gallery, [detection(50, 60)]), "Ada", source, 10))
    assert len(outcomes) == 6
    assert all(outcome.accepted for outcome in outcomes)
    assert source.closed


def test_a_camera_without_a_good_frame_says_why(gallery: PersonGallery) -> None:
    (outcome,) = enroll_from_source(enroller(gallery, []), "Ada", ScriptedSource([face(ADA)] * 3), 10)
    assert (outcome.accepted, outcome.reason) == (False, "no face")


NOT, TWIN = Intent(against=True), Intent(look_alike=True)


def marked(person: int, mark: int) -> Image:
    """Another picture of the same face."""
    image = face(person)
    image[0, 0] = mark
    return image


def test_a_counter_example_is_kept_as_one_and_bars_the_name(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    outcome = adding.enroll_image("Ada", marked(ADA, 1), "twin.jpg", NOT)
    assert (outcome.accepted, outcome.reason) == (True, "counter-example")
    assert gallery.counts() == {"Ada": 1}
    assert [picture.against for picture in gallery.pictures("Ada")] == [False, True]
    judge = Judge(gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    assert judge.vote(FakeEmbedder().embed(face(ADA)[None, 60:140, 50:130]))[0].person is None


def test_counter_example_for_nobody_is_told_before_a_face_is_looked_for(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [])
    with pytest.raises(UnknownPerson, match="Nobody called 'Ada'"):
        adding.enroll_image("Ada", face(ADA), "x.jpg", NOT)
    with pytest.raises(UnknownPerson):
        list(adding.enroll("Ada", [], NOT))
    assert gallery.people() == []


def test_a_picture_is_not_a_person_s_and_not_theirs_at_once(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    own = adding.enroll_image("Ada", face(ADA), "ada.jpg", NOT)
    assert (own.accepted, own.already) == (False, False)
    assert "already enrolled for Ada" in own.reason
    adding.enroll_image("Ada", face(BOB), "bob.jpg", NOT)
    turned = adding.enroll_image("Ada", face(BOB), "bob.jpg")
    assert (turned.accepted, turned.already) == (False, False)
    again = adding.enroll_image("Ada", face(BOB), "bob.jpg", NOT)
    assert (again.accepted, again.already) == (False, True)
    assert "already enrolled as not Ada" in turned.reason == again.reason
    assert adding.enroll_image("Bob", face(BOB), "bob.jpg").accepted, "it is somebody's picture all the same"


def test_twins_are_enrolled_when_that_is_meant(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    assert not adding.enroll_image("Eve", marked(ADA, 1), "eve.jpg").accepted
    assert adding.enroll_image("Eve", marked(ADA, 1), "eve.jpg", TWIN).accepted
    assert gallery.counts() == {"Ada": 1, "Eve": 1}


def test_counter_example_near_a_face_does_not_keep_it_from_being_enrolled(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    adding.enroll_image("Ada", face(BOB), "bob.jpg", NOT)
    assert adding.enroll_image("Bob", marked(BOB, 1), "bob2.jpg").accepted


def test_where_a_row_comes_from_is_kept_with_it(gallery: PersonGallery) -> None:
    adding = enroller(gallery, [detection(50, 60)])
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    (picture,) = gallery.pictures("Ada")
    assert (picture.file, picture.sha256, picture.revision) == ("ada.jpg", picture_sha256(face(ADA)), 1)
    assert picture.provenance == Provenance("picture", "fake", "fake", (50.0, 60.0, 130.0, 140.0))
    (outcome,) = enroll_from_source(adding, "Ada", ScriptedSource([marked(ADA, 1)], name="door"), 1)
    assert outcome.picture == "door at 0.00 s"
    assert gallery.pictures("Ada")[1].provenance.origin == "camera"


@pytest.mark.parametrize("keep", [True, False])
def test_faces_are_kept_only_where_the_settings_say_so(gallery: PersonGallery, keep: bool) -> None:
    judge = Judge(gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    adding = Enroller(FakeDetector([[detection(50, 60)]]), FakeEmbedder(), gallery, judge, EnrollRules(40, 0.1, keep))
    adding.enroll_image("Ada", face(ADA), "ada.jpg")
    crops = crops_of(gallery.database, "Ada")
    assert len(crops) == keep
    for crop in crops.values():
        kept = from_jpeg(crop)
        assert kept is not None
        assert np.abs(kept.astype(int) - face(ADA)[60:140, 50:130]).mean() < 12


def test_one_picture_is_anothers_only_if_every_pixel_is() -> None:
    image = face(ADA)
    assert picture_sha256(image) == picture_sha256(image.copy())
    assert picture_sha256(image) != picture_sha256(marked(ADA, 1))
    assert picture_sha256(image) != picture_sha256(image.reshape(320, 240, 3)), "the same bytes in another shape"
