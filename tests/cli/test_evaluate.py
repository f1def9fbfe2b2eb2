"""``rtface evaluate`` on small benchmarks of its own, and on broken ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
from PIL import Image

from rtface.sources.demo import portrait
from tests.cli.calls import Rtface

PAIRS = "2\t1\nAda\t1\t2\nAda\t1\tGrace\t1\nGrace\t1\t2\nAda\t2\tGrace\t2\n"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of embeddings of the test's own; the user's is left alone."""
    folder = tmp_path_factory.mktemp("cache") / "evaluation"
    monkeypatch.setattr("rtface.evaluation.template_cache.cache_folder", lambda: folder)
    return folder


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


def test_view_1_takes_two_files(rtface: Rtface, models: None, images: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1\nAda\t1\t2\nAda\t1\tGrace\t1\n")
    (tmp_path / "test.txt").write_text("1\nGrace\t1\t2\nAda\t2\tGrace\t2\n")
    words = ("--images", images, "--pairs", tmp_path / "train.txt", "--test", tmp_path / "test.txt", "--json")
    (report,) = rtface("evaluate", "lfw", *words).records
    assert (report["accuracy"], report["pairs"]) == (1.0, 4)


def test_a_list_of_pairs_is_judged_and_its_failures_are_named(
    rtface: Rtface, models: None, images: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "nobody.png")
    lines = [
        f"{images}/Ada/Ada_0001.jpg,{images}/Ada/Ada_0002.jpg,same",
        f"{images}/Grace/Grace_0001.jpg,{images}/Grace/Grace_0002.jpg,1",
        f"{images}/Ada/Ada_0001.jpg,{images}/Grace/Grace_0001.jpg,different",
        f"{images}/Ada/Ada_0002.jpg,nobody.png,0",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    ended = rtface("evaluate", "pairs", tmp_path / "list.csv", "--json")
    (report,) = ended.records
    accuracy = report["accuracy"]
    assert isinstance(accuracy, dict)
    assert (accuracy["mean"], accuracy["folds"]) == (0.75, 2)
    assert (report["same_pairs"], report["different_pairs"], report["failed_to_acquire"]) == (2, 1, 1)
    assert report["failed_files"] == [str(tmp_path / "nobody.png")]
    told = rtface("evaluate", "pairs", tmp_path / "list.csv")
    assert f"no face: {tmp_path / 'nobody.png'}" in told.err
    assert "accuracy" in told.out


def test_folders_are_compared_one_to_one_and_one_to_many(rtface: Rtface, models: None, images: Path) -> None:
    ended = rtface("evaluate", "folders", images, "--json")
    (report,) = ended.records
    assert (report["people"], report["files"], report["auc"]) == (2, 4, 1.0)
    assert isinstance(report["identification"], list)
    (found,) = report["identification"]
    assert (found["people"], found["enrolled"], found["mated"], found["nonmated"], found["missed"]) == (1, 1, 1, 2, 0)
    words = rtface("evaluate", "folders", images)
    assert "1:N, 1 people" in words.out
    assert "equal error rate" in words.out


def test_a_report_is_one_file_with_charts_and_a_warning(
    rtface: Rtface, models: None, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "report.html"
    ended = rtface("evaluate", "folders", images, "--report", page)
    assert ended.code == 0, ended.err
    text = page.read_text()
    assert text.count("data:image/svg+xml;base64,") == 2
    assert text.count("data:image/jpeg;base64,") == 2 * (4 + 2)  # four different pairs and two same ones
    assert "pictures of people" in text
    assert "pictures of people" in ended.err
    assert "http" not in text.replace("http-equiv", "")
    assert json.loads(page.with_suffix(".json").read_text())["files"] == 4


def test_a_report_that_cannot_be_written_is_told_before_the_work(rtface: Rtface, images: Path, tmp_path: Path) -> None:
    for place, told in ((tmp_path / "report.pdf", "end in .html"), (tmp_path / "no" / "r.html", "has to be a folder")):
        ended = rtface("evaluate", "folders", images, "--report", place)
        assert ended.code == 1
        assert told in ended.err


def test_embeddings_are_kept_until_they_are_cleared(rtface: Rtface, models: None, images: Path, cache: Path) -> None:
    rtface("evaluate", "folders", images, "--json", "--no-cache")
    assert not cache.exists()
    first = rtface("evaluate", "folders", images, "--json")
    (kept,) = rtface("evaluate", "cache").records
    assert (kept["folder"], kept["templates"]) == (str(cache), 4)
    assert rtface("evaluate", "folders", images, "--json").out == first.out
    assert rtface("evaluate", "cache").records[0]["templates"] == 4
    assert rtface("evaluate", "cache", "--clear").code == 0
    (kept,) = rtface("evaluate", "cache").records
    assert kept["templates"] == 0


def test_videos_are_compared_by_folder_table_or_list(
    rtface: Rtface, models: None, images: Path, tmp_path: Path
) -> None:
    for name in ("Ada", "Grace"):
        for clip in ("one", "two"):
            (tmp_path / name / clip).mkdir(parents=True)
            for number, picture in enumerate(sorted((images / name).iterdir())):
                shutil.copy(picture, tmp_path / name / clip / f"{number}.jpg")
    (tmp_path / "labels.csv").write_text("clip,person\nAda/one,A\nAda/two,A\nGrace/one,G\nGrace/two,G\n")
    (tmp_path / "splits.txt").write_text(
        "split number, first name, second name, is same person, is same video\n"
        "1, Ada/one, Ada/two, 1, 0\n1, Ada/one, Grace/one, 0, 0\n"
        "2, Grace/one, Grace/two, 1, 0\n2, Ada/two, Grace/two, 0, 0\n"
    )
    for words in (
        (tmp_path,),
        ("--labels", tmp_path / "labels.csv"),
        ("--pairs", tmp_path / "splits.txt"),
    ):
        (report,) = rtface("evaluate", "videos", *words, "--json", "--resamples", "20").records
        assert (report["protocol"], report["files"], report["auc"]) == ("videos", 4, 1.0)
        assert report["same_pairs"] == 2
    accuracy = report["accuracy"]
    assert isinstance(accuracy, dict)
    assert (accuracy["mean"], accuracy["folds"]) == (1.0, 2)


def test_sensitivity_is_told_beside_the_paper(rtface: Rtface, models: None, images: Path, tmp_path: Path) -> None:
    for name in ("Ada", "Grace"):
        (tmp_path / name).mkdir()
        picture = Image.open(images / name / f"{name}_0001.jpg")
        for number in range(4):
            picture.rotate(3 * number).save(tmp_path / name / f"{number}.jpg")
    ended = rtface("evaluate", "sensitivity", tmp_path, "--resamples", "0")
    assert ended.code == 0, ended.err
    lines = {line.split("  ")[0]: line for line in ended.out.splitlines()}
    assert "VAL at FAR 1e-1" in lines["pictures"]
    assert lines["jpeg quality 10"].split()[-4] == "0.673"
    assert "NN1" in ended.err
    (report,) = rtface("evaluate", "sensitivity", tmp_path, "--resamples", "0", "--json").records
    points = report["points"]
    assert isinstance(points, list)
    assert {point["series"] for point in points} >= {"untouched", "jpeg", "size", "blur", "rotation", "dimensions"}
    assert points[0]["val"] == 1.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("videos",), "Give one of FOLDER, --pairs and --labels"),
        (("sensitivity",), "Give either FOLDER or --pairs"),
        (("videos", "--labels", "absent.csv"), "cannot be read"),
        (("pairs", "absent.csv"), "cannot be read"),
        (("folders", "absent"), "cannot be read"),
        (("folders", "absent", "--gallery-sizes", "ten"), "not a list of numbers"),
    ],
)
def test_what_cannot_be_evaluated_is_told(rtface: Rtface, words: tuple[str, ...], told: str) -> None:
    ended = rtface("evaluate", *words)
    assert ended.code != 0
    assert told in ended.err
