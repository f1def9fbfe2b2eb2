"""Frames to verdicts, in a painted world whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import GalleryLost
from rtface.pipeline.judge import Judge, VoteRules
from rtface.pipeline.recognizer import EMBEDDINGS_A_ROUND, LOOKS_A_ROUND, Recognizer, TrackRules
from rtface.tracking.tracker import FaceTracker
from rtface.types import Detection, Event, EventKind, Frame, FrameResult, Image, Neighbor
from tests.fakes import FakeDetector, FakeEmbedder, FakeGallery, detection, paint

ADA, BOB, STRANGER = 60, 120, 180
RULES = TrackRules(min_votes=3, min_quality=0.0, confirm_s=2.0)


class World:
    """A recogniser over scripted detections."""

    def __init__(
        self,
        script: Sequence[Sequence[Detection]],
        people: dict[str, float],
        rules: TrackRules = RULES,
        gallery: FakeGallery | None = None,
    ) -> None:
        self.embedder = FakeEmbedder()
        self.gallery = gallery or FakeGallery(people)
        self.now = 0.0
        judge = Judge(self.gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
        self.recognizer = Recognizer(
            FakeDetector(script),
            self.embedder,
            judge,
            rules,
            lambda stills: FaceTracker(),
            clock=lambda: self.now,
        )

    def play(
        self, images: Sequence[Image], fps: float = 30, source: str = "cam", start: float = 0
    ) -> list[FrameResult]:
        frames = [Frame(image, i, start + i / fps, 0.0, source) for i, image in enumerate(images)]
        return [self.recognizer.process([frame])[0] for frame in frames]


def people_of(result: FrameResult) -> list[str | None]:
    return [track.identity.person if track.identity else None for track in result.tracks]


class ServerGallery(FakeGallery):
    """Out of reach while ``lost``; a search asks the server, or not."""

    def __init__(self, people: dict[str, float], *, asks: bool) -> None:
        super().__init__(people)
        self.lost, self.asks = False, asks

    def refresh(self) -> bool:
        if self.lost:
            raise GalleryLost("The gallery db:5432 cannot be reached.")
        return super().refresh()

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        if self.lost and self.asks:
            raise GalleryLost("The gallery db:5432 cannot be reached.")
        return super().search(embeddings, k)


def kinds(results: Sequence[FrameResult]) -> list[EventKind]:
    return [event.kind for result in results for event in result.events]


def events(results: Sequence[FrameResult], kind: EventKind) -> list[Event]:
    return [event for result in results for event in result.events if event.kind is kind]


def test_an_enrolled_face_is_named_after_enough_votes_and_once() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA, "Bob": BOB})
    results = world.play([paint({(50, 60): ADA})] * 12)
    assert people_of(results[-1]) == ["Ada"]
    assert kinds(results) == [EventKind.APPEARED, EventKind.IDENTIFIED]
    named = [people_of(result) == ["Ada"] for result in results].index(True)
    assert sum(world.embedder.batches[: named + 1]) >= RULES.min_votes


def test_a_stranger_stays_nobody() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA, "Bob": BOB})
    results = world.play([paint({(50, 60): STRANGER})] * 90)
    assert {person for result in results for person in people_of(result)} == {None}
    assert kinds(results) == [EventKind.APPEARED]


def test_nobody_is_named_with_an_empty_gallery() -> None:
    world = World([[detection(50, 60)]], {})
    results = world.play([paint({(50, 60): ADA})] * 20)
    assert {person for result in results for person in people_of(result)} == {None}


def test_another_face_in_the_same_place_never_inherits_the_name() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA, "Bob": BOB})
    results = world.play([paint({(50, 60): ADA})] * 12 + [paint({(50, 60): STRANGER})] * 12)
    assert people_of(results[11]) == ["Ada"]
    assert all(people_of(result) == [None] for result in results[12:])
    assert results[12].tracks[0].id != results[11].tracks[0].id
    assert [event.track_id for event in events(results, EventKind.LEFT)] == [results[11].tracks[0].id]


def test_a_swap_of_two_known_people_is_followed_at_once() -> None:
    both = [detection(20, 60), detection(200, 60)]
    world = World([both], {"Ada": ADA, "Bob": BOB})
    before, after = paint({(20, 60): ADA, (200, 60): BOB}), paint({(20, 60): BOB, (200, 60): ADA})
    results = world.play([before] * 12 + [after] * 12)
    assert people_of(results[11]) == ["Ada", "Bob"]
    assert people_of(results[12]) == [None, None]
    final = {float(track.box[0]): track.identity.person for track in results[-1].tracks if track.identity}
    assert final == {20.0: "Bob", 200.0: "Ada"}


def test_one_person_is_in_a_frame_once() -> None:
    both = [detection(20, 60), detection(200, 60)]
    world = World([both], {"Ada": ADA})
    results = world.play([paint({(20, 60): ADA, (200, 60): ADA})] * 20)
    assert all(people_of(result).count("Ada") <= 1 for result in results)
    assert people_of(results[-1]).count("Ada") == 1


def test_a_name_is_revoked_when_the_evidence_turns() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA})
    named = world.play([paint({(50, 60): ADA})] * 12)
    assert people_of(named[-1]) == ["Ada"]
    world.gallery.rows.clear()
    world.gallery.revision += 1
    later = world.play([paint({(50, 60): ADA})] * 900, start=1.0)
    assert people_of(later[-1]) == [None]
    (revoked,) = events(later, EventKind.REVOKED)
    assert revoked.identity is not None
    assert revoked.identity.person == "Ada"
    assert revoked.gallery_revision == 2


def test_a_named_face_is_looked_at_again_only_now_and_then() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA})
    world.play([paint({(50, 60): ADA})] * 300)
    assert 5 + 3 <= sum(world.embedder.batches) <= 5 + 6


def test_all_cameras_share_one_batch() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA, "Bob": BOB})
    for i in range(10):
        frames = [
            Frame(paint({(50, 60): brightness}), i, i / 30, 0.0, name)
            for name, brightness in (("left", ADA), ("right", BOB))
        ]
        left, right = world.recognizer.process(frames)
    assert (people_of(left), people_of(right)) == (["Ada"], ["Bob"])
    assert set(world.embedder.batches) == {2}


def test_a_crowd_is_embedded_a_few_a_frame_and_everybody_gets_a_turn() -> None:
    crowd = [detection(10 + 60 * (i % 5), 10 + 70 * (i // 5), side=50) for i in range(10)]
    world = World([crowd], {"Ada": ADA})
    image = paint({(int(d.box[0]), int(d.box[1])): 60 + 10 * i for i, d in enumerate(crowd)}, side=50)
    results = world.play([image] * 30)
    assert max(world.embedder.batches) <= EMBEDDINGS_A_ROUND
    assert sum(world.embedder.batches) >= 10 * 3
    assert all(track.identity is not None for track in results[-1].tracks), "somebody was never looked at"


def test_cameras_share_the_embeddings_of_a_round_and_none_is_starved() -> None:
    crowd = [detection(10 + 60 * i, 10, side=50) for i in range(5)]
    world = World([crowd], {"Ada": ADA})
    image = paint({(int(d.box[0]), int(d.box[1])): 60 + 10 * i for i, d in enumerate(crowd)}, side=50)
    named = []
    for i in range(40):
        results = world.recognizer.process([Frame(image, i, i / 30, 0.0, f"camera {n}") for n in range(4)])
        named = [people_of(result).count("Ada") for result in results]
    assert max(world.embedder.batches) <= EMBEDDINGS_A_ROUND
    assert named == [1, 1, 1, 1]


def test_face_that_stays_unknown_is_cut_out_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA})
    cuts: list[Image] = []
    cut = world.embedder.crop

    def counted(image: Image, face: Detection) -> Image:
        cuts.append(image)
        return cut(image, face)

    monkeypatch.setattr(world.embedder, "crop", counted)
    world.play([paint({(50, 60): STRANGER})] * 300)
    assert 10 * 8 <= len(cuts) <= 10 * 10 + 10


def test_poor_faces_do_not_keep_a_good_one_from_its_turn() -> None:
    poor = [detection(10 + 40 * i, 10, side=9) for i in range(LOOKS_A_ROUND)]
    world = World([[*poor, detection(50, 120)]], {"Ada": ADA}, TrackRules(3, 0.3, 2.0))
    results = world.play([paint({(50, 120): ADA})] * 20)
    assert "Ada" in people_of(results[-1])


def test_poor_faces_are_not_looked_at() -> None:
    world = World([[detection(50, 60, side=9)]], {"Ada": ADA}, TrackRules(3, 0.3, 2.0))
    results = world.play([paint({(50, 60): ADA}, side=10)] * 20)
    assert world.embedder.batches == []
    assert people_of(results[-1]) == [None]


def test_everybody_leaves_when_the_source_ends() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA})
    world.play([paint({(50, 60): ADA})] * 12)
    (left,) = world.recognizer.finish("cam", 1.0)
    assert left.kind is EventKind.LEFT
    assert left.identity is not None
    assert left.identity.person == "Ada"
    assert world.recognizer.finish("cam", 1.0) == ()


def test_a_face_hidden_for_a_moment_keeps_its_name_and_says_nothing() -> None:
    seen, gone = [detection(50, 60)], list[Detection]()
    world = World([seen] * 12 + [gone] * 15 + [seen] * 12, {"Ada": ADA})
    results = world.play([paint({(50, 60): ADA})] * 39)
    assert results[20].tracks == ()
    assert people_of(results[-1]) == ["Ada"]
    assert kinds(results) == [EventKind.APPEARED, EventKind.IDENTIFIED]


def test_timings_name_every_stage() -> None:
    world = World([[detection(50, 60)]], {"Ada": ADA})
    (result,) = world.play([paint({(50, 60): ADA})])
    assert set(result.timings) == {"detect", "track", "align", "recognize", "age"}
    assert all(np.isfinite(ms) and ms >= 0 for ms in result.timings.values())


def test_pictures_of_a_folder_are_judged_each_by_itself() -> None:
    embedder, gallery = FakeEmbedder(), FakeGallery({"Ada": ADA, "Bob": BOB})
    judge = Judge(gallery, {1e-1: 0.6, 1e-4: 0.3}, VoteRules(5, 0.5, "auto", 0.01))
    detector = FakeDetector([[detection(50, 60)]])
    recognizer = Recognizer(
        detector, embedder, judge, RULES, lambda stills: FaceTracker(confirm_hits=1 if stills else 2), stills=["dir"]
    )
    pictures = [paint({(50, 60): person}) for person in (ADA, BOB, STRANGER)]
    frames = [Frame(picture, i, i * 10.0, 0.0, "dir") for i, picture in enumerate(pictures)]
    results = [recognizer.process([frame])[0] for frame in frames]
    assert [people_of(result) for result in results] == [["Ada"], ["Bob"], [None]]


@pytest.mark.parametrize("asks", [True, False])
def test_names_stay_while_the_gallery_s_server_is_gone_and_results_say_so(asks: bool) -> None:
    gallery = ServerGallery({"Ada": ADA, "Bob": BOB}, asks=asks)
    world = World([[detection(50, 60)]], {}, gallery=gallery)
    named = world.play([paint({(50, 60): ADA})] * 12)
    gallery.lost = True
    world.now += 1
    during = world.play([paint({(50, 60): ADA})] * 200, start=0.4)
    assert people_of(named[-1]) == ["Ada"]
    assert all(people_of(result) == ["Ada"] for result in during)
    assert [result.notice for result in (named[-1], during[-1])] == ["", "The gallery db:5432 cannot be reached."]
    gallery.lost = False
    world.now += 1
    after = world.play([paint({(50, 60): ADA})] * 100, start=7.1)
    assert after[-1].notice == ""
    assert kinds(named + during + after) == [EventKind.APPEARED, EventKind.IDENTIFIED]


def test_face_that_takes_another_s_place_during_an_outage_does_not_keep_the_name() -> None:
    gallery = ServerGallery({"Ada": ADA, "Bob": BOB}, asks=True)
    world = World([[detection(50, 60)]], {}, gallery=gallery)
    world.play([paint({(50, 60): ADA})] * 12)
    gallery.lost = True
    during = world.play([paint({(50, 60): STRANGER})] * 60, start=1)
    assert people_of(during[-1]) == [None]
    gallery.lost = False
    world.now += 1
    assert people_of(world.play([paint({(50, 60): BOB})] * 60, start=4)[-1]) == ["Bob"]
